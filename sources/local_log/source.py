"""Reads events from the local event log, with one Bytewax partition for each partition of the log, while other processes append to it.

Semantics are those of the Kafka source. Delivery: a snapshot holds the offset, so a resume is exact; a job without a snapshot starts at the
earliest message. Log time follows the append times, and the wall clock while a partition is read to its end (``sources/log_time.py``). The
file is the truth: whether a writer runs does not matter. No content of a message ends the job.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from typing_extensions import override

from sources.alignment import PartitionAlignment
from sources.batching import BatchPolicy
from sources.errors import OffsetGapError, SourceError
from sources.headers import traceparent_of
from sources.idle_polling import IdlePolling
from sources.local_log.erase import is_erased
from sources.local_log.reader import LogReader, Stored
from sources.log_time import BEGINNING, MIN_TIME, LogTime, TimeState
from sources.positions import Position, Positions
from state.decode import may_switch
from state.messages import Message, Tick
from state.never import never
from state.other_version import other_version

_LOG = logging.getLogger(__name__)

ACCEPT_GAP_SETTING: Final = "ONRAMP_EVENT_LOG_ACCEPT_GAP"
NAME: Final = "event-log"
"""The topic of the messages, and of the partitions in the recovery store: the directory may move."""
_LOOK_S: Final = 0.2  # between two looks at the bounds of an idle partition; its log time moves in steps of a second
_VERSION: Final = 1
_OTHER: Final = "an older copy of the log was put back, and written since"
_DELETED: Final = "messages were deleted before they were read, or an older copy of the log was put back"

Snapshot = tuple[int, int, int, int, int, str, int]
"""(version, next offset, log time, seq, log time of the last tick, id of the log, append time of the last message; 0 without one)"""


def _load(snapshot: Snapshot) -> tuple[int, TimeState, str, int]:
    """Return offset, time, id of the log and append time of the last message. Raises ``SourceError`` for another version."""
    if snapshot[0] != _VERSION:
        raise SourceError(f"{other_version('the position in the event log', snapshot[0], _VERSION)}.")
    _, offset, log_time, seq, ticked, log, stamp = snapshot
    return offset, TimeState(log_time, seq, ticked), log, stamp


class LocalLogSource(FixedPartitionedSource[Message | Tick, Snapshot | None]):
    """Reads all partitions of the log in ``directory``, which is created if there is none: the job may start before the first writer.

    ``now`` returns wall-clock milliseconds. ``accept_gap``: if the position is no longer in the log, continue at the earliest message
    instead of raising ``OffsetGapError``. ``tail=False`` ends each partition at its end; ``in_order``: messages come in the order of log
    time. While ``paused()`` is true nothing is read. Once ``stopping()`` is true every partition ends, which gives a final snapshot.
    ``lag`` is the number of messages behind, for each partition of this process; ``positions`` says how far it is. Raises ``SourceError``.
    """

    def __init__(
        self,
        directory: Path,
        policy: BatchPolicy,
        *,
        now: Callable[[], int],
        accept_gap: bool = False,
        tail: bool = True,
        in_order: bool = False,
        stopping: Callable[[], bool] = never,
        paused: Callable[[], bool] = never,
    ) -> None:
        self.directory = directory
        self.policy = policy
        self.now = now
        self.accept_gap = accept_gap
        self.tail = tail
        self.stopping = stopping
        self.paused = paused
        self.lag: dict[int, int] = {}
        self.positions = Positions()
        self.alignment = PartitionAlignment(now=None, most_ahead_ms=0) if in_order else PartitionAlignment(now=now)

    @override
    def list_parts(self) -> list[str]:
        """Return the partitions of the log. Blocks while another process opens it or appends, for ten seconds at most."""
        reader = LogReader(self.directory)
        reader.close()
        return [f"{NAME}:{index}" for index in range(reader.identity.partitions)]

    def snapshot_at(self, offset: int, time: TimeState, *, log_id: str, stamp: int) -> Snapshot:
        """Return a snapshot with which a partition begins at ``offset`` of the log ``log_id``. ``stamp``: of the message before (ms)."""
        return (_VERSION, offset, *time, log_id, stamp)

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: Snapshot | None) -> _Partition:
        """Open a partition at its position. Blocks as ``list_parts``."""
        return _Partition(self, int(for_part.rpartition(":")[2]), resume_state)


class _Partition(StatefulSourcePartition[Message | Tick, Snapshot | None]):
    def __init__(self, source: LocalLogSource, index: int, resume: Snapshot | None) -> None:
        self._source = source
        self._index = index
        offset, time_state, log, self._stamp = (None, BEGINNING, "", 0) if resume is None else _load(resume)
        self._time = LogTime(source.policy, index, time_state, now=source.now)
        self._rows: list[Stored] = []
        self._next = 0
        self._at_end = False
        self._polling = IdlePolling(source.policy.while_idle)
        self._look_at = 0.0
        self._reader = LogReader(source.directory)
        try:
            self._offset = self._start(offset, log)
        except BaseException:
            self._reader.close()
            raise
        source.alignment.add(index)
        if offset is not None:
            source.positions.of[index] = Position(self._offset, time_state.log_time)

    @override
    def next_batch(self) -> list[Message | Tick]:
        if self._index in self._source.positions.clock.paused:
            self._source.positions.clock.resumed(self._index)
        if self._source.stopping() or (self._at_end and not self._source.tail):
            self._source.alignment.end(self._index)
            raise StopIteration
        self._polling.begin()
        if self._source.paused():
            return []
        alignment = self._source.alignment
        if (tick := self._time.passed_tick()) is not None:
            if self._time.has_tick or self._next < len(self._rows):
                self._polling.goes_on()
            alignment.ticks(self._index, self._time.log_time)
            return [tick]
        until = alignment.limit(self._index)
        has_rows = self._next < len(self._rows) or self._fetch(until)
        batch = self._take(until) if has_rows and until else []
        if has_rows:
            in_hand = self._next < len(self._rows)
            if batch or not in_hand:
                self._polling.found()
            else:
                self._polling.waits()
            alignment.has_next(self._index, self._time.expected(self._rows[self._next].time if in_hand else None))
        return batch

    @override
    def next_awake(self) -> datetime | None:
        return self._polling.next_awake()

    @override
    def snapshot(self) -> Snapshot:
        self._time.commit_idle_time()
        self._source.positions.clock.snapshot(self._index)
        self._source.positions.of[self._index] = Position(self._offset, self._time.log_time)
        return (_VERSION, self._offset, *self._time.state, self._reader.identity.id, self._stamp)

    @override
    def close(self) -> None:
        self._source.alignment.end(self._index)
        self._reader.close()

    def _fetch(self, until: int) -> bool:
        """Read the next rows. Return whether there are any. At the end of the partition the wall clock moves log time, up to ``until``."""
        looks = time.monotonic() >= self._look_at or not self._source.tail
        committed = self._reader.committed_until(self._source.now()) if looks else None  # before the read, which sees all of that
        rows = self._reader.read(self._index, self._offset, self._source.policy.batch_size)
        self._rows, self._next = rows or [], 0
        if rows:
            if rows[0].offset != self._offset:
                self._skip_gap(rows[0].offset)
        elif rows is not None:
            self._source.alignment.end(self._index)
            if looks:
                self._look_at = time.monotonic() + _LOOK_S
                self._settle(None if committed is None else min(committed, until))
        return bool(rows)

    def _settle(self, committed: int | None) -> None:
        """Nothing followed the position. Decide whether it is the end of the partition as of ``committed``, or not in it at all."""
        bounds = self._reader.bounds(self._index)
        if bounds is None:
            return
        self._source.lag[self._index] = max(0, bounds.end - self._offset)
        if not bounds.low <= self._offset <= bounds.end:
            self._skip_gap(bounds.low)
        elif bounds.end == self._offset:
            self._at_end = True
            if committed is not None:
                self._time.advance_idle(committed)

    def _take(self, until: int) -> list[Message | Tick]:
        """Turn rows into a batch, up to the end of the batch or of the rows, or to the log time ``until``."""
        batch: list[Message | Tick] = []
        log_time, rows, index = self._time, self._rows, self._index
        log_time.begin_batch(until)
        for place in range(self._next, min(len(rows), self._next + self._source.policy.batch_size)):
            offset, stamp, record = rows[place]
            if not record.value and is_erased(record):
                self._offset, self._stamp, self._next = offset + 1, stamp, place + 1
                continue
            at, action = log_time.admit(stamp)
            if action.ticks:
                batch.append(log_time.tick())
            if action.ends:
                break
            seq = log_time.append(at)
            reference = at if at > MIN_TIME else self._source.now()
            traceparent = traceparent_of(record.headers) if record.headers else ""
            batch.append(Message(record.value, record.key, NAME, index, offset, at, reference, seq, traceparent, record.headers))
            self._offset, self._stamp = offset + 1, stamp
            self._next = place + 1
            if not record.key and may_switch(record.value):  # events of users have keys, which saves the search
                break
        self._measure_lag()
        return batch

    def _start(self, offset: int | None, log: str) -> int:
        """Return where to start: at ``offset`` of the log ``log``, or without one at the earliest message. Raises ``OffsetGapError``."""
        bounds = self._reader.first_bounds(self._index)
        if offset is None:
            return bounds.low
        self._offset = offset
        if log != self._reader.identity.id:
            self._skip_gap(bounds.low, "the log was removed and created again, or the setting names another one")
        elif not bounds.low <= offset <= bounds.end:
            self._skip_gap(bounds.low)
        elif self._stamp and offset > bounds.low and self._stamp != self._reader.time_of(self._index, offset - 1):
            self._skip_gap(bounds.low, _OTHER)
        return self._offset

    def _skip_gap(self, low: int, why: str = _DELETED) -> None:
        """Handle a position that is not in the log: raise ``OffsetGapError``, or continue at ``low``, the earliest message."""
        gap = (
            f"The event log {self._source.directory} must be read from offset {self._offset} of partition {self._index}, which is not in "
            f"it (it starts at {low}): {why}."
        )
        if not self._source.accept_gap:
            raise OffsetGapError(f"{gap} Restore the messages, or set {ACCEPT_GAP_SETTING}=true to continue at {low}.")
        _LOG.warning("%s Continuing at %d.", gap, low)
        self._offset, self._stamp = low, 0

    def _measure_lag(self) -> None:
        self._source.positions.of[self._index] = Position(self._offset, self._time.log_time)
        bounds = self._reader.bounds(self._index)
        if bounds is not None:
            self._source.lag[self._index] = max(0, bounds.end - self._offset)
