"""Reads events from a file of JSON lines: plain, gzip, or ``-`` for standard input. Bounded; log time comes from the events.

Log time. ``log_time`` is the largest event time so far. A time before 2000 or more than a day past ``reference`` does not advance it.
Before the first line with a time it is ``MIN_TIME``, the year 2000. Log time is divided into slots of ``TICK_MS``. A timer fires right
before the first line whose slot begins at or after its deadline, by a ``Tick`` in a batch of its own (``sources/batching.py``). The end
of the input fires no timers, because the next file may continue it. No batch extends across a boundary at which learned parameters
change. Hence the same lines give the same messages and the same effective ticks in the same order, for every division into batches,
files and runs.

The last line of a file is read even without a newline. If the file has grown by more than a newline there when it is read again, the
whole line is read once more, under its old number. The first time it was half a JSON object, which was rejected.
"""

from __future__ import annotations

import math
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from typing_extensions import override

from sources.batching import BatchAction, BatchPlanner, BatchPolicy
from sources.errors import InputError
from sources.files.blocks import GZIP_MAGIC, FileBlocks, SniffedBlocks
from sources.files.input_positions import InputPositions, InputState, dump, file_too_short, identify_file, load
from sources.files.lines import LineReader
from state.messages import Message, Tick
from state.never import never
from state.times import YEAR_2000

TICK_MS = 900_000
MIN_TIME = YEAR_2000
"""2000-01-01: an earlier event time is a fault."""
FUTURE_MS = 24 * 3_600_000
"""An event time further than this past the reference is a fault."""
BACKWARD_MS = 3_600_000
"""Networks disorder events by up to an hour; a larger disorder comes from an unsorted export."""
PARTITION = 0
"""All files of a data directory are one partition, because they share one log time."""

PeekTimestamp = Callable[[bytes], int | None]


@dataclass
class Progress:
    """Progress of a run, for a display. ``read`` and ``total`` are bytes of the file itself; ``total`` is None for a pipe."""

    read: int = 0
    total: int | None = None
    lines: int = 0
    done: bool = False
    """The end of the input was reached: no stop, no ``error``."""
    error: InputError | None = None
    """Why the input ended early. Everything that could be read was processed."""
    backward: int = 0
    """Lines more than ``BACKWARD_MS`` older than a line before them. Many mean that the file is not sorted by time."""
    furthest_back: int = 0
    """The largest step back in time, in milliseconds."""
    first_backward: int = 0
    """Number of the first such line, 0 if there is none."""


class JsonlSource(FixedPartitionedSource[Message | Tick, dict[str, Any]]):
    """Reads one file. Its snapshot contains the positions of all files that this data directory has read.

    ``path`` is a file or ``-``. A pipe is read like standard input and cannot be resumed. ``peek_timestamp`` returns the event time of a
    line (ms), None if it has none, and does not raise. ``now`` returns wall-clock milliseconds. While ``paused()`` is true nothing is
    read. Once ``stopping()`` is true the source ends, which gives a final snapshot. ``progress`` is updated in the process that reads.

    A file that cannot be read, has changed or is damaged ends the input in order, and ``progress.error`` holds the error. An exception
    would lose the last epoch and print the engine's stack trace. The caller that runs the flow must check ``progress.error`` afterwards.
    """

    def __init__(
        self,
        path: str | Path,
        peek_timestamp: PeekTimestamp,
        policy: BatchPolicy,
        *,
        now: Callable[[], int],
        stopping: Callable[[], bool] = never,
        paused: Callable[[], bool] = never,
    ) -> None:
        self.path = Path(path)
        self.peek_timestamp = peek_timestamp
        self.policy = policy
        self.now = now
        self.stopping = stopping
        self.paused = paused
        self.progress = Progress()

    @override
    def list_parts(self) -> list[str]:
        return ["input"]

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: dict[str, Any] | None) -> _Partition | _RefusedPartition:
        try:
            return _Partition(self, load(resume_state, MIN_TIME))
        except InputError as error:
            self.progress.error = error
            return _RefusedPartition(resume_state)


class _Partition(StatefulSourcePartition[Message | Tick, dict[str, Any]]):
    def __init__(self, source: JsonlSource, positions: InputPositions) -> None:
        self._source = source
        self._positions = positions
        self._progress = source.progress
        self._owned, self._descriptor, regular = _open(source.path)
        blocks = FileBlocks(self._descriptor, waits=not regular)
        self._blocks = SniffedBlocks(blocks, str(source.path))
        self._seen_size: float = math.inf  # lines from this byte on need a new reference time
        self._regular = regular
        if regular:
            self._name = source.path.name
            try:
                self._state, first_byte = self._resume()
            except InputError:
                self.close()
                raise
            blocks.raw_read = first_byte
        else:
            positions.streams += 1
            self._name = f"stdin:{positions.streams}"
            self._state, first_byte = InputState(seen_at=source.now()), 0
        self._reader = LineReader(self._blocks, start=self._state.position, first_byte=first_byte)
        self._lines: list[bytes] = []
        self._next = 0
        self._overhead = 1
        self._terminated = True
        self._planner = BatchPlanner(source.policy, PARTITION, positions.ticked)

    @override
    def next_batch(self) -> list[Message | Tick]:
        if self._source.stopping():
            raise StopIteration
        if self._source.paused():
            return []
        batch: list[Message | Tick] = []
        horizon: int | None = None
        full = False
        while not full and (self._next < len(self._lines) or self._fill()):
            horizon, full = self._take(batch, horizon)
        self._progress.read = self._blocks.raw_read
        self._progress.lines = self._state.line
        if not batch:
            self._end_if_done()
        return batch

    @override
    def snapshot(self) -> dict[str, Any]:
        return dump(self._positions)

    @override
    def close(self) -> None:
        if self._owned:
            self._owned = False
            os.close(self._descriptor)

    def _resume(self) -> tuple[InputState, int]:
        """Identify the file and seek to its position. Return its state and the byte that is read next. Raises ``InputError``."""
        path, now = self._source.path, self._source.now
        state = identify_file(self._positions, path, self._descriptor, now())
        size = self._progress.total = os.fstat(self._descriptor).st_size
        if os.pread(self._descriptor, 1, 0) == GZIP_MAGIC:
            if size > state.size:  # the position of the old end in the unpacked text is not known
                state.size, state.seen_at = size, now()
            return state, 0
        if size < state.position + state.unterminated_bytes:
            raise file_too_short(path, state.position + state.unterminated_bytes)
        self._seen_size = state.size
        os.lseek(self._descriptor, state.position, os.SEEK_SET)
        return state, state.position

    def _take(self, batch: list[Message | Tick], horizon: int | None) -> tuple[int | None, bool]:
        """Move lines into ``batch``; return its horizon, and whether it is full."""
        policy, state, positions = self._source.policy, self._state, self._positions
        peek, limit, overhead, name = self._source.peek_timestamp, policy.batch_size, self._overhead, self._name
        lines, index = self._lines, self._next
        position, number, log_time, seq = state.position, state.line, positions.log_time, positions.seq
        slot_end = log_time - log_time % TICK_MS + TICK_MS
        latest = state.seen_at + FUTURE_MS
        full = False
        while index < len(lines):
            raw = lines[index]
            value = raw[:-1] if raw.endswith(b"\r") else raw
            if value and not value.isspace():
                if position >= self._seen_size:
                    self._update_seen_size(position)
                    latest = state.seen_at + FUTURE_MS
                own = peek(value)
                time = log_time if own is None or not log_time < own <= latest else own
                if time >= slot_end:
                    start = time - time % TICK_MS
                    action = self._planner.decide(start, horizon)
                    if action is not BatchAction.APPEND:
                        if action is BatchAction.TICK:
                            positions.ticked = self._planner.ticked
                            batch.append(Tick(PARTITION, positions.ticked, seq + 1))
                        full = True
                        break
                    slot_end = start + TICK_MS
                if horizon is None:
                    horizon = self._planner.horizon_of(time)
                if len(batch) >= limit:
                    full = True
                    break
                log_time = time
                if own is not None and MIN_TIME <= own < log_time - BACKWARD_MS:
                    self._note_backward(number + 1, log_time - own)
                seq += 2
                batch.append(Message(value, None, name, PARTITION, number + 1, log_time, state.seen_at, seq))
            index += 1
            if self._terminated:
                position += len(raw) + overhead
                number += 1
            else:
                state.unterminated_bytes = len(raw) + overhead
        self._next = index
        state.position, state.line, positions.log_time, positions.seq = position, number, log_time, seq
        return horizon, full

    def _note_backward(self, line: int, by: int) -> None:
        progress = self._progress
        progress.backward += 1
        progress.furthest_back = max(progress.furthest_back, by)
        progress.first_backward = progress.first_backward or line

    def _fill(self) -> bool:
        """Load the next lines, reading at most one block. Returns False if there are none now, or no more."""
        if self._progress.error is not None:
            return False
        try:
            chunk = self._reader.read()
        except InputError as error:
            self._progress.error = error
            return False
        if not self._regular:
            self._state.seen_at = self._source.now()
        if chunk is None:
            return False
        self._lines, self._overhead, self._terminated = chunk
        self._next = 0
        if self._state.unterminated_bytes:
            self._skip_line_taken_before()
        return True

    def _skip_line_taken_before(self) -> None:
        """Skip the first line if an earlier run read all of it except its newline."""
        raw, state = self._lines[0], self._state
        size = len(raw) + self._overhead
        content = size - self._terminated
        if content == state.unterminated_bytes or (raw.endswith(b"\r") and content - 1 == state.unterminated_bytes):
            self._next = 1
            if not self._terminated:
                return
            state.position += size
            state.line += 1
        state.unterminated_bytes = 0

    def _update_seen_size(self, position: int) -> None:
        """Record that the file has grown: the lines after the old size use the current time as their reference."""
        self._state.size = max(os.fstat(self._descriptor).st_size, position + 1)
        self._state.seen_at = self._source.now()
        self._seen_size = self._state.size
        self._progress.total = self._state.size

    def _end_if_done(self) -> None:
        if self._progress.error is None:
            if not self._reader.ended:
                return
            if self._reader.missing:
                self._progress.error = file_too_short(self._source.path, self._state.position)
            else:
                self._progress.done = True
        raise StopIteration


class _RefusedPartition(StatefulSourcePartition[Message | Tick, dict[str, Any]]):
    """An input that ends at once and keeps its snapshot unchanged."""

    def __init__(self, resume: dict[str, Any] | None) -> None:
        self._snapshot = dump(InputPositions(MIN_TIME)) if resume is None else resume

    @override
    def next_batch(self) -> list[Message | Tick]:
        raise StopIteration

    @override
    def snapshot(self) -> dict[str, Any]:
        return self._snapshot


def _open(path: Path) -> tuple[bool, int, bool]:
    """Return whether the caller must close the file, its descriptor, and whether it is a regular file."""
    if str(path) == "-":
        return False, sys.stdin.fileno(), False
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        os.close(descriptor)
        raise InputError(f"{path} is a directory; name a file of JSON lines, or - for standard input.")
    return True, descriptor, stat.S_ISREG(mode)
