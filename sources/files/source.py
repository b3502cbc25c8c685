"""Reads events from a file of JSON lines: plain, gzip, or ``-`` for standard input. Bounded; log time comes from the events.

Log time. ``log_time`` is the largest event time so far. A time before 2000 or more than a day past ``reference`` does not advance it.
A time more than an hour past log time advances it only if the lines after it agree (``leaps.py``); the event keeps its own time either way.
Before the first line with a time log time is ``MIN_TIME``, the year 2000. Log time is divided into slots of ``TICK_MS``. A timer fires
right before the first line whose slot begins at or after its deadline, by a ``Tick`` in a batch of its own (``sources/batching.py``). The
end of the input fires no timers, because the next file may continue it. No batch extends across a boundary at which learned parameters
change. Hence the same lines give the same messages and the same effective ticks in the same order, for every division into batches and
runs, and also into files, unless one is cut between a leap and the lines that judge it.

The last line of a file is read even without a newline. If the file has grown by more than a newline there when it is read again, the
whole line is read once more, under its old number. The first time it was half a JSON object, which was rejected.
"""

from __future__ import annotations

import math
import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from time import monotonic
from typing import Any

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from typing_extensions import override

from sources.batching import BatchPlanner, BatchPolicy
from sources.errors import InputError
from sources.files.blocks import GZIP_MAGIC, FileBlocks, SniffedBlocks
from sources.files.input_positions import InputPositions, InputState, dump, file_too_short, identify_file, load
from sources.files.kinds import HEAD_BYTES, head_of
from sources.files.leaps import LEAP_MS, LINES, judge
from sources.files.lines import Chunk, LineReader
from sources.files.sent_file import read_sent
from sources.files.switch_file import read_switches
from sources.headers import traceparent_of
from state.duration import DAY, HOUR
from state.events import may_switch
from state.messages import Message, Peeked, Tick
from state.never import never
from state.times import YEAR_2000

TICK_MS = 900_000
MIN_TIME = YEAR_2000
"""2000-01-01: an earlier event time is a fault."""
FUTURE_MS = DAY
"""An event time further than this past the reference is a fault."""
LOOK_AHEAD_BYTES = 8 * 1024 * 1024
"""No leap is judged by lines further ahead than this."""
PIPE_WAIT_S = 2.0
"""A leap in a pipe that brings nothing for so long is judged by the lines that are there."""
BACKWARD_MS = HOUR
"""Networks disorder events by up to an hour; a larger disorder comes from an unsorted export."""
PARTITION = 0
"""All files of a data directory are one partition, because they share one log time."""

Peek = Callable[[bytes], Peeked]
PeekPerson = Callable[[bytes], object]


def nobody(_line: bytes) -> None:
    """The person of a line where persons are not known."""


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
    backward_from: int = 0
    """Number of the line that had moved log time ahead of that one, 0 if it was read by an earlier run."""
    ahead: int = 0
    """Lines more than ``FUTURE_MS`` past log time that did not move it."""
    furthest_ahead: int = 0
    """The largest distance of such a line from log time, in milliseconds."""
    first_ahead: int = 0
    """Number of the first such line, 0 if there is none."""
    not_judged: int = 0
    """Of ``ahead``, the lines after which none with a time came that could say whether they are right."""
    head: bytes | None = None
    """The beginning of the text, for a message about an input that holds no events; None if an earlier run has read it from a pipe."""
    from_start: bool = False
    """This run has read the input from its first line on."""


class JsonlSource(FixedPartitionedSource[Message | Tick, dict[str, Any]]):
    """Reads one file. Its snapshot contains the positions of all files that this data directory has read.

    ``path`` is a file or ``-``. A pipe is read like standard input and cannot be resumed. ``peek`` returns the event time of a line (ms),
    None if it has none, and what it has read; ``peek_person`` returns whose line it is, None if nobody knows. Neither raises. ``now``
    returns wall-clock milliseconds. While ``paused()`` is true nothing is read. Once ``stopping()`` is true the source ends, which gives a
    final snapshot. ``progress`` is updated in the process that reads. A line of a pipe that leaps waits for those that judge it, until
    nothing has come for ``pipe_wait_s``; the one with which log time begins does not wait. New lines of the files ``switches`` and
    ``sent`` come before the first line (``switch_file.py``, ``sent_file.py``).

    A file that cannot be read, has changed or is damaged ends the input in order, and ``progress.error`` holds the error. An exception
    would lose the last epoch and print the engine's stack trace. The caller that runs the flow must check ``progress.error`` afterwards.
    """

    def __init__(
        self,
        path: str | Path,
        peek: Peek,
        policy: BatchPolicy,
        *,
        now: Callable[[], int],
        peek_person: PeekPerson = nobody,
        stopping: Callable[[], bool] = never,
        paused: Callable[[], bool] = never,
        pipe_wait_s: float = PIPE_WAIT_S,
        switches: Path | None = None,
        sent: Path | None = None,
    ) -> None:
        self.path = Path(path)
        self.peek = peek
        self.peek_person = peek_person
        self.policy = policy
        self.now = now
        self.stopping = stopping
        self.paused = paused
        self.pipe_wait_s = pipe_wait_s
        self.switches = switches
        self.sent = sent
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
        written = [] if source.switches is None else read_switches(source.switches)
        self._switches = deque(written[positions.switches :])
        self._sent = deque(() if source.sent is None else read_sent(source.sent)[positions.sent :])
        self._owned, self._descriptor, regular = _open(source.path)
        blocks = FileBlocks(self._descriptor, waits=not regular)
        self._blocks = SniffedBlocks(blocks, str(source.path))
        self._seen_size: float = math.inf  # lines from this byte on need a new reference time
        self._regular = regular
        if regular:
            self._name = os.fsencode(source.path.name).decode(errors="replace")  # it goes into tables, which hold UTF-8
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
            self._progress.head, self._progress.from_start = b"", True
        self._reader = LineReader(self._blocks, start=self._state.position, first_byte=first_byte)
        self._ahead: deque[Chunk] = deque()  # chunks that were read to judge a leap
        self._read_error: InputError | None = None
        self._judged: tuple[int, int] | None = None  # number and log time of the line that was judged last
        self._held = 0  # number of the line that waits for the lines that judge it
        self._data_at = monotonic()  # when data came last
        self._slot_line = 0  # number of the line with which log time entered its slot
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
        if self._switches:
            return [self._switch(self._switches.popleft())]
        if self._sent:
            return self._take_sent()
        batch: list[Message | Tick] = []
        full = False
        self._planner.begin_batch()
        while not full and (self._next < len(self._lines) or self._fill()):
            full = self._take(batch)
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
        self._progress.head = head_of(os.pread(self._descriptor, HEAD_BYTES, 0))
        self._progress.from_start = state.position == 0
        if os.pread(self._descriptor, 1, 0) == GZIP_MAGIC:
            if size > state.size:  # the position of the old end in the unpacked text is not known
                state.size, state.seen_at = size, now()
            return state, 0
        if size < state.position + state.unterminated_bytes:
            raise file_too_short(path, state.position + state.unterminated_bytes)
        self._seen_size = state.size
        os.lseek(self._descriptor, state.position, os.SEEK_SET)
        return state, state.position

    def _switch(self, value: bytes) -> Message:
        """Return a switch as a message. Log time stays where it is: the switch holds for what is read from here on."""
        positions, name = self._positions, str(self._source.switches)
        positions.switches += 1
        positions.seq += 2
        at = positions.log_time
        return Message(value, None, name, PARTITION, positions.switches, at, self._source.now(), positions.seq)

    def _take_sent(self) -> list[Message | Tick]:
        """Return the next messages that commands sent. Log time stays where it is, as for a switch."""
        batch: list[Message | Tick] = []
        positions, at, reference = self._positions, self._positions.log_time, self._source.now()
        name = self._source.sent.name if self._source.sent is not None else ""
        while self._sent and len(batch) < self._source.policy.batch_size:
            sent = self._sent.popleft()
            positions.sent += 1
            if sent is None:
                continue
            positions.seq += 2
            traceparent = traceparent_of(sent.headers) if sent.headers else ""
            batch.append(
                Message(sent.value, sent.key, name, PARTITION, positions.sent, at, reference, positions.seq, traceparent, sent.headers)
            )
            if may_switch(sent.value):
                break
        return batch

    def _take(self, batch: list[Message | Tick]) -> bool:
        """Move lines into ``batch``; return whether it is full."""
        policy, state, positions, planner = self._source.policy, self._state, self._positions, self._planner
        peek, limit, overhead, name = self._source.peek, policy.batch_size, self._overhead, self._name
        lines, index = self._lines, self._next
        position, number, log_time, seq = state.position, state.line, positions.log_time, positions.seq
        slot_end = log_time - log_time % TICK_MS + TICK_MS
        reference = state.seen_at
        latest = reference + FUTURE_MS
        full = False
        while index < len(lines) and not full:
            raw = lines[index]
            value = raw[:-1] if raw.endswith(b"\r") else raw
            if value and not value.isspace():
                if position >= self._seen_size:
                    self._update_seen_size(position)
                    reference = state.seen_at
                    latest = reference + FUTURE_MS
                peeked = peek(value)
                own = peeked.at
                time = log_time if own is None or not log_time < own <= latest else own
                if time >= slot_end and time > log_time + LEAP_MS:
                    judged = self._judge(number + 1, index, time, log_time, latest)
                    if judged is None:
                        full = True
                        break
                    time = judged
                if time >= slot_end:
                    start = time - time % TICK_MS
                    action = planner.decide(start, time)
                    if action.ticks:
                        positions.ticked = planner.ticked
                        batch.append(Tick(PARTITION, positions.ticked, seq + 1))
                    if action.ends:
                        full = True
                        break
                    slot_end = start + TICK_MS
                    self._slot_line = number + 1
                if len(batch) >= limit:
                    full = True
                    break
                if planner.first is None:
                    planner.begin_messages(time)
                log_time = time
                if own is not None and MIN_TIME <= own < log_time - BACKWARD_MS:
                    self._note_backward(number + 1, log_time - own)
                seq += 2
                known = None if peeked.wire is None else peeked
                batch.append(Message(value, None, name, PARTITION, number + 1, log_time, reference, seq, peeked=known))
                full = may_switch(value)
            index += 1
            if self._terminated:
                position += len(raw) + overhead
                number += 1
            else:
                state.unterminated_bytes = len(raw) + overhead
        self._next = index
        state.position, state.line, positions.log_time, positions.seq = position, number, log_time, seq
        return full

    def _judge(self, number: int, index: int, time: int, log_time: int, latest: int) -> int | None:
        """Return the log time of the line ``number``, ``lines[index]``, which leaps to ``time``. None: more lines must come first."""
        if self._judged is None or self._judged[0] != number:
            if self._held == number and not self._has_news():
                return None
            person = self._source.peek_person(self._lines[index])
            following = self._following(index + 1, latest, waits=not self._regular and log_time != MIN_TIME)
            try:
                first = list(islice(following, 1))
                judged = judge(time, person, log_time, chain(first, following), unknown=MIN_TIME)
            except _NotYetError:
                self._held = number
                return None
            self._judged = number, judged
            if time > judged + FUTURE_MS:
                self._note_ahead(number, time - judged, judged=bool(first))
        return self._judged[1]

    def _has_news(self) -> bool:
        """Read for the line that is held. Returns whether it should be judged again: something came, the input ended, or it is quiet."""
        before = len(self._ahead)
        return not self._read() or len(self._ahead) > before or self._is_quiet()

    def _is_quiet(self) -> bool:
        return monotonic() - self._data_at >= self._source.pipe_wait_s

    def _following(self, index: int, latest: int, *, waits: bool) -> Iterator[tuple[int, object]]:
        """Yield time and person of the next lines that have a time in range, from ``lines[index]`` on."""
        peek, person, left = self._source.peek, self._source.peek_person, LOOK_AHEAD_BYTES
        for raw in islice(self._lines_from(index, waits=waits), LINES):
            left -= len(raw)
            if left < 0:
                return
            time = peek(raw).at
            if time is not None and MIN_TIME <= time <= latest:
                yield time, person(raw)

    def _lines_from(self, index: int, *, waits: bool) -> Iterator[bytes]:
        """Yield the lines from ``lines[index]`` on. Where a pipe has no more now, they end, or raise ``_NotYetError`` if ``waits``."""
        for at in range(index, len(self._lines)):
            yield self._lines[at]
        seen = 0
        while True:
            while seen == len(self._ahead):
                if not self._read() and seen == len(self._ahead):
                    return
                if seen == len(self._ahead) and not self._regular:
                    if waits and not self._is_quiet():
                        raise _NotYetError
                    return
            yield from self._ahead[seen].lines
            seen += 1

    def _note_ahead(self, line: int, by: int, *, judged: bool) -> None:
        progress = self._progress
        progress.ahead += 1
        progress.not_judged += not judged
        progress.furthest_ahead = max(progress.furthest_ahead, by)
        progress.first_ahead = progress.first_ahead or line

    def _note_backward(self, line: int, by: int) -> None:
        progress = self._progress
        progress.backward += 1
        progress.furthest_back = max(progress.furthest_back, by)
        if not progress.first_backward:
            progress.first_backward, progress.backward_from = line, self._slot_line

    def _fill(self) -> bool:
        """Load the next lines, reading at most one block. Returns False if there are none now, or no more."""
        if self._progress.error is not None:
            return False
        if not self._ahead:
            self._read()
        if not self._ahead and self._read_error is not None:
            self._progress.error = self._read_error
            return False
        if not self._regular:
            self._state.seen_at = self._source.now()
        if not self._ahead:
            return False
        self._lines, self._overhead, self._terminated = self._ahead.popleft()
        self._next = 0
        if not self._progress.head:  # a pipe
            self._progress.head = b"\n".join(self._lines)[:HEAD_BYTES]
        if self._state.unterminated_bytes:
            self._skip_line_taken_before()
        return True

    def _read(self) -> bool:
        """Read at most one block. Returns False at the end of what can be read."""
        if self._read_error is not None:
            return False
        before = self._blocks.raw_read
        try:
            chunk = self._reader.read()
        except InputError as error:
            self._read_error = error
            return False
        if self._blocks.raw_read != before:
            self._data_at = monotonic()
        if chunk is not None:
            self._ahead.append(chunk)
        return not self._reader.ended

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
            if self._next < len(self._lines) or self._ahead or not self._reader.ended:
                return
            if self._reader.missing:
                self._progress.error = file_too_short(self._source.path, self._state.position)
            else:
                self._progress.done = True
        raise StopIteration


class _NotYetError(Exception):
    """A pipe has no more data for the moment."""


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


def _standard_input() -> int:
    """Return the descriptor of standard input. Raises ``InputError`` if there is none, or nothing can be read from it."""
    try:
        descriptor = sys.stdin.fileno() if sys.stdin is not None else -1
    except (OSError, ValueError):
        descriptor = -1
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        raise InputError("Standard input is closed; pipe events into the command, or name a file.") from None
    if stat.S_ISDIR(mode):
        raise InputError("Standard input is a directory; pipe events into the command, or name a file.")
    return descriptor


def _open(path: Path) -> tuple[bool, int, bool]:
    """Return whether the caller must close the file, its descriptor, and whether it is a regular file."""
    if str(path) == "-":
        return False, _standard_input(), False
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; check the name of the file and its rights.") from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        os.close(descriptor)
        raise InputError(f"{path} is a directory; name a file of JSON lines, or - for standard input.")
    return True, descriptor, stat.S_ISREG(mode)
