"""Reads events from a file of JSON lines: plain, gzip, or ``-`` for standard input. Bounded; log time comes from the events.

Log time. ``log_time`` is the largest event time so far. A time before 2000 or more than a day past ``reference`` does not advance it.
A time more than an hour past log time advances it only if the lines after it agree (``leaps.py``); the event keeps its own time either way.
Before the first line with a time log time is ``MIN_TIME``, the year 2000. Log time is divided into slots of ``TICK_MS``. A timer fires
right before the first line whose slot begins at or after its deadline, by a ``Tick`` in a batch of its own (``sources/batching.py``). The
end of the input fires no timers, because the next file may continue it. No batch extends across a boundary at which learned parameters
change. Hence the same lines give the same messages and the same effective ticks in the same order, for every division into batches and
runs, and also into files, unless one is cut between a leap and the lines that judge it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from typing_extensions import override

from sources.batching import BatchPlanner, BatchPolicy
from sources.errors import InputError
from sources.files.input_positions import InputPositions, dump, load
from sources.files.leaps import LEAP_MS, LINES, judge
from sources.files.line_supply import LineSupply, NotYetError
from sources.files.progress import Progress
from sources.files.sent_file import read_sent
from sources.files.switch_file import read_switches
from sources.headers import traceparent_of
from state.decode import may_switch
from state.duration import DAY, HOUR
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
        self._note_log_time()
        written = [] if source.switches is None else read_switches(source.switches)
        self._switches = deque(written[positions.switches :])
        self._sent = deque(() if source.sent is None else read_sent(source.sent)[positions.sent :])
        self._supply = LineSupply(source.path, positions, source.progress, now=source.now, pipe_wait_s=source.pipe_wait_s)
        self._judged: tuple[int, int] | None = None  # number and log time of the line that was judged last
        self._held = 0  # number of the line that waits for the lines that judge it
        self._slot_line = 0  # number of the line with which log time entered its slot
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
        supply = self._supply
        self._planner.begin_batch()
        while not full and supply.has_line():
            full = self._take(batch)
        self._progress.read = supply.raw_read
        self._progress.lines = supply.state.line
        self._note_log_time()
        if not batch and supply.has_ended():
            raise StopIteration
        return batch

    @override
    def snapshot(self) -> dict[str, Any]:
        return dump(self._positions)

    @override
    def close(self) -> None:
        self._supply.close()

    def _note_log_time(self) -> None:
        if self._positions.log_time > MIN_TIME:
            self._progress.log_time = self._positions.log_time

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
        supply, positions, planner = self._supply, self._positions, self._planner
        peek, limit = self._source.peek, self._source.policy.batch_size
        state, lines, index, overhead, name = supply.state, supply.lines, supply.next, supply.overhead, supply.name
        position, number, log_time, seq = state.position, state.line, positions.log_time, positions.seq
        slot_end = log_time - log_time % TICK_MS + TICK_MS
        reference = state.seen_at
        latest = reference + FUTURE_MS
        full = False
        while index < len(lines) and not full:
            raw = lines[index]
            value = raw[:-1] if raw.endswith(b"\r") else raw
            if value and not value.isspace():
                if position >= supply.seen_size:
                    supply.note_growth(position)
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
                    self._progress.note_backward(number + 1, log_time - own, moved_by=self._slot_line)
                seq += 2
                known = None if peeked.wire is None else peeked
                batch.append(Message(value, None, name, PARTITION, number + 1, log_time, reference, seq, peeked=known))
                full = may_switch(value)
            index += 1
            if supply.terminated:
                position += len(raw) + overhead
                number += 1
            else:
                state.unterminated_bytes = len(raw) + overhead
        supply.next = index
        state.position, state.line, positions.log_time, positions.seq = position, number, log_time, seq
        return full

    def _judge(self, number: int, index: int, time: int, log_time: int, latest: int) -> int | None:
        """Return the log time of the line ``number``, ``lines[index]`` of the supply, which leaps to ``time``.

        None: more lines must come first.
        """
        if self._judged is None or self._judged[0] != number:
            if self._held == number and not self._supply.has_news():
                return None
            person = self._source.peek_person(self._supply.lines[index])
            following = self._following(index + 1, latest, waits=log_time != MIN_TIME)
            try:
                first = list(islice(following, 1))
                judged = judge(time, person, log_time, chain(first, following), unknown=MIN_TIME)
            except NotYetError:
                self._held = number
                return None
            self._judged = number, judged
            if time > judged + FUTURE_MS:
                self._progress.note_ahead(number, time - judged, judged=bool(first))
        return self._judged[1]

    def _following(self, index: int, latest: int, *, waits: bool) -> Iterator[tuple[int, object]]:
        """Yield time and person of the next lines that have a time in range, from ``lines[index]`` on. ``waits`` as in ``lines_from``."""
        peek, person, left = self._source.peek, self._source.peek_person, LOOK_AHEAD_BYTES
        for raw in islice(self._supply.lines_from(index, waits=waits), LINES):
            left -= len(raw)
            if left < 0:
                return
            time = peek(raw).at
            if time is not None and MIN_TIME <= time <= latest:
                yield time, person(raw)


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
