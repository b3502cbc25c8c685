"""The spool: a directory of segments between the dataflow and ClickHouse.

A segment has two stages, which are the suffix of its file name:

- ``pending``: ``snapshot()`` has written and fsynced it, but its epoch is not durable yet. If the job dies now, the epoch runs again, and
  the segment is removed when its partition is built.
- ``ready``: its epoch is known to be durable, or it was in the resume state. The drain delivers it and then removes it.

What ClickHouse refuses for good, and a file that nobody can read, moves to ``rejected/`` (``rejected.py``).

Threads and processes may share a directory. Each partition has one writer, the sink that built it. Ready segments belong to the drain
that holds the lock of their partition. So they are delivered in order and by one drain at a time, and any drain can deliver those of a
dead process.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sinks.clickhouse.errors import DeliveryGoesOn, SpoolClosed
from sinks.clickhouse.rejected import Rejected
from sinks.clickhouse.segment import Segment, SegmentName, parse_name
from state.never import never
from state.records.recommendation import Erase
from system.sync_path import sync_path
from system.try_lock import try_lock

logger = logging.getLogger(__name__)

DEFAULT_MAX_BYTES = 2 * 1024**3
WARN_SECONDS = 30.0
_LOOK_SECONDS = 0.5
"""Between two looks at a stop request while the spool is full."""
_LOCK_PAUSE = 0.005


class StoredSegment(NamedTuple):
    """A segment file. Sorts by partition, then in the order of writing."""

    name: SegmentName
    path: Path
    size: int


class Spool:
    """One directory of segments. The constructor creates the directory and nothing else.

    ``stopping``: whether the job must stop; then a writer does not wait for space any more. Polled from the writer's thread.

    Attributes for metrics, current within about a second: ``segments_pending``, ``segments_ready``,
    ``segments_rejected``, ``segments_unreadable`` (those of the rejected that nobody can read), ``bytes`` (on disk, pending and ready),
    ``blocked_writers`` (waiting for space now), ``promotions`` (calls of ``promote`` that promoted a segment, since start).
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        warn_seconds: float = WARN_SECONDS,
        stopping: Callable[[], bool] = never,
    ) -> None:
        self.directory = directory
        self._rejected = Rejected(directory)
        self.rejected = self._rejected.directory
        self.max_bytes = max_bytes
        self.segments_pending = 0
        self.segments_ready = 0
        self.segments_rejected = 0
        self.segments_unreadable = 0
        self.bytes = 0
        self.blocked_writers = 0
        self.promotions = 0
        self._stopping = stopping
        self._ready_bytes = 0
        self._warn_seconds = warn_seconds
        self._closed = False
        self._changed = threading.Condition()
        self._locks = directory / "locks"
        self._locks.mkdir(parents=True, exist_ok=True)
        self.rejected.mkdir(exist_ok=True)
        self.refresh()

    def refresh(self) -> None:
        """Count the files again, because other processes change them too, and wake all waiting threads. The drain calls it every second."""
        pending, ready = self.segments("pending"), self.segments("ready")
        rejected = self._rejected.count()
        with self._changed:
            self.segments_pending, self.segments_ready = len(pending), len(ready)
            self.segments_rejected, self.segments_unreadable = rejected
            self._ready_bytes = sum(segment.size for segment in ready)
            self.bytes = self._ready_bytes + sum(segment.size for segment in pending)
            self._changed.notify_all()

    def segments(self, stage: str, partition: str | None = None) -> list[StoredSegment]:
        """Return the segments of one stage, in order. A file that is removed meanwhile is skipped."""
        found = []
        for path in self.directory.iterdir():
            parsed = parse_name(path.name)
            if parsed is None or parsed[1] != stage or (partition is not None and parsed[0].partition != partition):
                continue
            with contextlib.suppress(FileNotFoundError):
                found.append(StoredSegment(parsed[0], path, path.stat().st_size))
        return sorted(found)

    def generations(self, partition: str) -> list[str]:
        """Return the generations of a partition's segments, of rejected ones too: what is written next must sort behind them."""
        parsed = [parse_name(path.name) for path in (*self.directory.iterdir(), *self.rejected.iterdir())]
        return [each[0].generation for each in parsed if each is not None and each[0].partition == partition]

    def oldest(self) -> float | None:
        """Return when the oldest segment was written, in seconds since 1970; None where there is none. Reads the directory."""
        written = []
        for segment in (*self.segments("pending"), *self.segments("ready")):
            with contextlib.suppress(FileNotFoundError):
                written.append(segment.path.stat().st_mtime)
        return min(written, default=None)

    def path(self, name: SegmentName, stage: str) -> Path:
        """Return the path of a segment in a stage."""
        return self.directory / f"{name.stem}.{stage}"

    def promote(self, names: list[SegmentName]) -> None:
        """Make pending segments ready for delivery. Call it only when their epoch is known to be durable.

        Atomic for each segment, and idempotent. Not fsynced: if a power failure undoes the rename, the segment is pending again, and the
        resume state, which is durable, promotes it.
        """
        if not names:
            return
        size = 0
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                source = self.path(name, "pending")
                size += source.stat().st_size
                source.rename(self.path(name, "ready"))
        with self._changed:
            self.promotions += 1
            self.segments_pending -= len(names)
            self.segments_ready += len(names)
            self._ready_bytes += size
            self._changed.notify_all()

    def read(self, segment: StoredSegment) -> Segment:
        """Read a ready segment, without people who were deleted while it was rejected. Raises ``SegmentDamaged``, ``FileNotFoundError``."""
        return self._rejected.read(segment.path)

    def discard(self, paths: list[Path]) -> None:
        """Remove files whose rows are in ClickHouse or whose epoch runs again."""
        if not paths:
            return
        for path in paths:
            path.unlink(missing_ok=True)
        self._rejected.clear(path.stem for path in paths)
        sync_path(self.directory)
        self.refresh()

    def reject(self, segment: StoredSegment, reason: str, *, unreadable: bool = False) -> Path:
        """Move a segment to ``rejected/`` with its error, and return the new path. Moving the file back delivers it again."""
        target = self._rejected.add(segment.path, reason, unreadable=unreadable)
        self.refresh()
        return target

    def keep_only(self, segment: StoredSegment, kept: Segment) -> None:
        """Write a leased segment again with what is left to be delivered of it. Atomic and durable. Raises ``OSError`` (disk full)."""
        self._rejected.replace(segment.path, kept)

    def erase(self, erasures: Sequence[Erase], group: Sequence[StoredSegment]) -> None:
        """Take deleted people out of what is delivered after their deletion, which leased segments of ``group`` have.

        That is what was rejected, and what an operator moved back since ``group`` was leased: nothing else is older than ``group`` is.
        Raises ``OSError`` (disk full): then call it again.
        """
        self._rejected.erase(erasures)
        leased, newest = {segment.path for segment in group}, {segment.name.partition: segment.name for segment in group}
        for segment in self.segments("ready"):
            if segment.name < newest.get(segment.name.partition, segment.name) and segment.path not in leased:
                self._rejected.erase_from(segment.path, erasures)
        self.refresh()

    def add_pending(self, size: int) -> None:
        """Make a new pending segment durable and count it. The partition that wrote it calls this. Blocks for one fsync."""
        sync_path(self.directory)
        with self._changed:
            self.segments_pending += 1
            self.bytes += size
            self._changed.notify_all()

    @contextlib.contextmanager
    def lease(self) -> Iterator[list[StoredSegment]]:
        """Lock every partition that no other drain has locked, and yield their ready segments in order. Does not block.

        During the block no other drain, in this process or another, can deliver those segments. The locks of a dead process are released.
        """
        handles: list[int] = []
        leased: list[StoredSegment] = []
        try:
            for partition in sorted({segment.name.partition for segment in self.segments("ready")}):
                handle = os.open(self._locks / partition, os.O_RDWR | os.O_CREAT, 0o644)
                handles.append(handle)
                if try_lock(handle):
                    # Listed again under the lock: the drain that held it before may have delivered some of them.
                    leased += self.segments("ready", partition)
            yield leased
        finally:
            for handle in handles:
                os.close(handle)

    @contextlib.contextmanager
    def delivery_paused(self, partitions: Sequence[str], within: float) -> Iterator[None]:
        """For the block, let no drain of any process deliver from ``partitions``, nor from any other in the directory.

        Blocks until the deliveries of now have ended. Raises ``DeliveryGoesOn`` if one has not ``within`` so many seconds.
        """
        there = (*self.segments("pending"), *self.segments("ready"))
        names = {*partitions, *(segment.name.partition for segment in there), *(path.name for path in self._locks.iterdir())}
        deadline = time.monotonic() + within
        with contextlib.ExitStack() as held:
            for name in sorted(names):
                handle = os.open(self._locks / name, os.O_RDWR | os.O_CREAT, 0o644)
                held.callback(os.close, handle)
                while not try_lock(handle):
                    if time.monotonic() >= deadline:
                        raise DeliveryGoesOn(
                            f"Rows have been on their way to ClickHouse for {within:.0f} s; `onramp doctor` says what is wrong with it."
                        )
                    time.sleep(_LOCK_PAUSE)
            yield

    def wait_for_room(self) -> None:
        """Block while the spool is full and a delivery can make space. Raises ``SpoolClosed`` after ``close()``, or if the job must stop.

        It does not block if nothing is ready: then the current epoch alone exceeds the limit, and no delivery would make space.
        """
        if self.bytes < self.max_bytes:
            return
        with self._changed:
            self.blocked_writers += 1
            self._changed.notify_all()
            try:
                warn_at = time.monotonic() + self._warn_seconds
                while self.bytes >= self.max_bytes and self._ready_bytes:
                    if self._closed or self._stopping():
                        raise SpoolClosed("The job stopped while its spool was full; nothing is lost, the last epoch runs again.")
                    self._changed.wait(min(self._warn_seconds, _LOOK_SECONDS))
                    if time.monotonic() >= warn_at:
                        warn_at = time.monotonic() + self._warn_seconds
                        logger.warning(
                            "the spool %s is full (%d MiB), and the job stopped reading its input: restore ClickHouse or raise "
                            "ONRAMP_SPOOL_MAX_MB",
                            self.directory,
                            self.bytes // 2**20,
                        )
            finally:
                self.blocked_writers -= 1

    def wait_until(self, reached: Callable[[], bool], timeout: float | None) -> bool:
        """Block until a condition on this spool is true; check it at every change. Returns whether it was true within ``timeout``."""
        with self._changed:
            return self._changed.wait_for(reached, timeout)

    def wake(self) -> None:
        """Wake all threads that wait for a change."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Release blocked writers. Files stay unchanged."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
