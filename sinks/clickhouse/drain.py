"""Delivers ready segments to the store, in order and at least once, in a separate thread: the dataflow does not wait for inserts."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial

import polars as pl

from sinks.clickhouse.errors import PermanentInsert, SegmentDamaged, TransientInsert
from sinks.clickhouse.inserter import Inserter
from sinks.clickhouse.segment import Segment
from sinks.clickhouse.spool import Spool, StoredSegment
from state.backoff import backoff_seconds
from state.records.recommendation import Erase

logger = logging.getLogger(__name__)

GROUP_BYTES = 8 * 2**20
"""Compressed spool bytes that are merged into one insert for each table: large enough to be fast, small enough for memory."""
GROUP_SEGMENTS = 500
POLL_SECONDS = 1.0
"""How often an idle drain looks for segments of other processes."""
PASSES_AT_ONCE = 30
"""Passes that may follow each other at once. After them one a second takes what has gathered: each pass makes a part in each table, and
ClickHouse refuses inserts when it cannot merge as fast as parts come (TOO_MANY_PARTS)."""
FIRST_BACKOFF, MAX_BACKOFF = 0.2, 30.0
WARN_SECONDS = 60.0


class Drain:
    """Delivers the segments of a spool to an inserter. Call ``start`` and ``close`` once. ``drain_once`` is one pass, for tests and tools.

    A segment is removed only after the store has acknowledged all of it, so a crash delivers it again. Rows that the store refuses for good
    move to ``rejected/`` with their error, and a segment that cannot be read does; all others are delivered. Other errors are retried
    without a limit.

    A deletion follows the rows of its segment, and is run even where those are refused. It reaches what was rejected before too.

    Attributes for metrics: ``rows_inserted``, ``failures`` (attempts that failed), ``last_error`` (empty after a success).
    """

    def __init__(
        self,
        spool: Spool,
        inserter: Inserter,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.rows_inserted = 0
        self.failures = 0
        self.last_error = ""
        self._spool = spool
        self._inserter = inserter
        self._clock = clock
        self._jitter = jitter
        self._stopping = threading.Event()
        self._pause = pause if pause is not None else self._stopping.wait
        self._warned_at: float | None = None
        self._passes_left, self._passed_at = float(PASSES_AT_ONCE), clock()
        self._thread = threading.Thread(target=self._run, name="clickhouse-drain", daemon=True)

    def start(self) -> None:
        """Start the thread. Does not block: the thread connects to the store."""
        self._thread.start()

    def close(self, timeout: float = 10.0) -> None:
        """Stop after the current insert, waiting at most ``timeout`` seconds for it. Other segments stay in the spool."""
        self._stopping.set()
        self._spool.wake()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def drain_once(self) -> bool:
        """Deliver the ready segments that no other drain has leased. Blocks, retries included. Returns whether it delivered anything."""
        moved = False
        with self._spool.lease() as segments:
            for group in _groups(segments):
                if self._stopping.is_set():
                    break
                self._deliver(group)
                moved = True
        return moved

    def _run(self) -> None:
        warm = False
        try:
            while not self._stopping.is_set():
                seen = self._spool.promotions
                try:
                    warm = warm or self._retry(self._inserter.warm)
                    if self.drain_once():
                        self._wait_for_a_pass()
                        continue
                    self._wait_for_promotion(seen)
                    self._spool.refresh()
                except Exception as error:  # noqa: BLE001 -- without this thread no rows are delivered: log the error and continue
                    self._record_failure(error)
                    self._pause(POLL_SECONDS)
        finally:
            self._inserter.close()

    def _wait_for_a_pass(self) -> None:
        """After a pass: block until another one may follow, a second at most."""
        now = self._clock()
        self._passes_left = min(float(PASSES_AT_ONCE), self._passes_left - 1 + now - self._passed_at)
        self._passed_at = now
        if self._passes_left < 0:
            self._pause(-self._passes_left)

    def _wait_for_promotion(self, seen: int) -> None:
        self._spool.wait_until(lambda: self._stopping.is_set() or self._spool.promotions != seen, POLL_SECONDS)

    def _deliver(self, group: list[StoredSegment]) -> None:
        """Insert the rows of some segments, then delete the people whom they delete, and only then remove the files."""
        loaded: list[tuple[StoredSegment, Segment]] = []
        damaged: list[tuple[StoredSegment, SegmentDamaged]] = []
        for stored in group:
            try:
                loaded.append((stored, self._spool.read(stored)))
            except FileNotFoundError:
                continue
            except SegmentDamaged as error:
                if error.erasures is None:
                    self._reject(stored, error)
                else:
                    damaged.append((stored, error))
        refused: list[tuple[str, pl.DataFrame, PermanentInsert]] = []
        for table, frame in _by_table([segment for _, segment in loaded]):
            try:
                if not self._retry(partial(self._inserter.insert, table, frame)):
                    return
            except PermanentInsert as error:
                if len(group) > 1:
                    # One segment is at fault: deliver each alone. Rows that are sent twice replace themselves.
                    for stored in group:
                        self._deliver([stored])
                    return
                refused.append((table, frame, error))
            else:
                self.rows_inserted += frame.height
        erasures = [erasure for _, segment in loaded for erasure in segment.erasures]
        erasures += [erasure for _, error in damaged for erasure in error.erasures or ()]
        if erasures:
            erasures = list(dict.fromkeys(erasures))  # each partition has them
            if not self._retry(partial(self._inserter.erase, erasures)):
                return
        for stored, damage in damaged:
            self._reject(stored, damage)
        if erasures:
            self._spool.erase(erasures, group)
        if refused:
            self._keep_refused(loaded[0][0], refused, erasures)
        else:
            self._spool.discard([stored.path for stored, _ in loaded])

    def _keep_refused(self, stored: StoredSegment, refused: list[tuple[str, pl.DataFrame, PermanentInsert]], erasures: list[Erase]) -> None:
        """Reject what of a segment was refused. Its deletions were run, so they are run on these rows too, and are not kept."""
        frames: defaultdict[str, list[pl.DataFrame]] = defaultdict(list)
        for table, frame, _ in refused:
            frames[table].append(frame)
        kept = Segment(frames, [], 0).without(erasures)
        if not kept.rows:
            self._spool.discard([stored.path])
            return
        try:
            self._spool.keep_only(stored, kept)
        except OSError as error:
            # The disk is full. The whole segment is as good: its rows replace themselves, and its deletions come after them.
            logger.warning("rows that were delivered are kept with those that were refused: %s", error)
        self._reject(stored, *(error for _, _, error in refused))

    def _retry(self, step: Callable[[], None]) -> bool:
        """Retry a step until it succeeds or the drain is stopped. Returns whether it succeeded. Raises ``PermanentInsert``."""
        attempt = 0
        while not self._stopping.is_set():
            try:
                step()
            except TransientInsert as error:
                self._record_failure(error)
                self._pause(backoff_seconds(attempt, first=FIRST_BACKOFF, longest=MAX_BACKOFF, jitter=self._jitter()))
                attempt += 1
            else:
                if self.last_error:
                    logger.info("ClickHouse accepts rows again")
                self.last_error, self._warned_at = "", None
                return True
        return False

    def _record_failure(self, error: Exception) -> None:
        self.last_error = str(error)
        self.failures += 1
        now = self._clock()
        if self._warned_at is None or now - self._warned_at >= WARN_SECONDS:
            self._warned_at = now
            logger.warning(
                "rows wait in the spool (%d segments, %d MiB) and are retried: %s",
                self._spool.segments_ready,
                self._spool.bytes // 2**20,
                error,
            )

    def _reject(self, stored: StoredSegment, *errors: Exception) -> None:
        reason = "\n".join(dict.fromkeys(map(str, errors)))
        unreadable = any(isinstance(error, SegmentDamaged) and error.erasures is None for error in errors)
        target = self._spool.reject(stored, reason, unreadable=unreadable)
        if unreadable:
            logger.error(
                "a segment cannot be read and was moved to %s: %s Nobody knows what people it deletes, so they may be in ClickHouse still: "
                "follow docs/runbook.md, 'A segment cannot be read'",
                target,
                reason,
            )
        else:
            logger.error("rows were rejected and moved to %s: %s. Fix the cause, then move the file back to the spool", target, reason)


def _by_table(segments: list[Segment]) -> Iterator[tuple[str, pl.DataFrame]]:
    """The rows of some segments, those of a table together."""
    # Frames of different columns cannot be merged: after an upgrade the spool may hold segments of the version before.
    tables: dict[tuple[str, tuple[tuple[str, pl.DataType], ...]], list[pl.DataFrame]] = {}
    for segment in segments:
        for table, frames in segment.frames.items():
            for frame in frames:
                tables.setdefault((table, tuple(frame.schema.items())), []).append(frame)
    for (table, _), frames in tables.items():
        yield table, pl.concat(frames)


def _groups(segments: list[StoredSegment]) -> Iterator[list[StoredSegment]]:
    group: list[StoredSegment] = []
    size = 0
    for segment in segments:
        if group and (size + segment.size > GROUP_BYTES or len(group) >= GROUP_SEGMENTS):
            yield group
            group, size = [], 0
        group.append(segment)
        size += segment.size
    if group:
        yield group
