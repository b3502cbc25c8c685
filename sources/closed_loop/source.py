"""Source of the closed loop: users act, the engine decides, their apps read the decisions, and the users react to them.

Lock-step: on one worker Bytewax asks for a batch only after the last one has passed through the whole graph, sinks included. So when apps
read recommendations in the next slot, the results of all earlier events are in Redis, and a run is reproducible from its seed. It
therefore runs on one worker only. An interrupted run cannot be resumed, because the population is not in the snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from typing_extensions import override

from sources.closed_loop.program import PopulationError
from sources.closed_loop.protocol import Begin, Population
from state.messages import Message, Tick
from state.never import never
from state.stuck.parameters import PERIOD

PARTITION = 0

Read = Callable[[list[str]], list[bytes | None]]


@dataclass
class LoopProgress:
    """Progress of a run, for a display. Times are Unix ms of log time; ``lines`` counts events."""

    start: int
    end: int
    now: int
    lines: int = 0
    slots: int = 0
    done: bool = False
    error: PopulationError | None = None

    @property
    def log_time(self) -> int:
        """The newest log time, in Unix milliseconds."""
        return self.now

    @property
    def read(self) -> int:
        """Simulated time that has passed, in milliseconds."""
        return self.now - self.start

    @property
    def total(self) -> int:
        """Simulated time of the whole run, in milliseconds."""
        return self.end - self.start


class PeopleSource(FixedPartitionedSource[Message | Tick, None]):
    """Reads the events of ``population``, slot by slot.

    ``read`` returns the records of users as an app reads them, None for a user without one. While ``paused()`` is true simulated time
    stands still. At the end the true values are written to the file ``truth``, line by line. ``peek_timer`` returns the earliest timer of
    a partition. A ``PopulationError`` ends the input in order, and ``progress.error`` holds it.
    """

    def __init__(
        self,
        population: Population,
        begin: Begin,
        read: Read,
        truth: Path,
        peek_timer: Callable[[int], int | None],
        *,
        stopping: Callable[[], bool] = never,
        paused: Callable[[], bool] = never,
    ) -> None:
        self.population = population
        self.begin = begin
        self.read = read
        self.truth = truth
        self.peek_timer = peek_timer
        self.stopping = stopping
        self.paused = paused
        self.progress = LoopProgress(begin.start, begin.end, begin.start)

    @override
    def list_parts(self) -> list[str]:
        return ["people"]

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Loop:
        return _Loop(self)


class _Loop(StatefulSourcePartition[Message | Tick, None]):
    def __init__(self, source: PeopleSource) -> None:
        self._source = source
        self._slot = 0
        self._next: int | None = source.begin.start
        self._reads: list[str] = []
        self._seq = 0
        self._number = 0
        self._log_time = 0
        self._ticked = source.begin.start

    @override
    def next_batch(self) -> list[Message | Tick]:
        source, progress = self._source, self._source.progress
        if source.stopping() or progress.done or progress.error is not None:
            raise StopIteration
        if source.paused():
            return []
        try:
            return self._go_on()
        except PopulationError as error:
            progress.error = error
            return []

    @override
    def snapshot(self) -> None:
        return None

    def _go_on(self) -> list[Message | Tick]:
        source, begin = self._source, self._source.begin
        if not self._slot:
            self._slot = source.population.begin(begin)
        at = begin.end if self._next is None or self._next >= begin.end else self._next
        due = source.peek_timer(PARTITION)
        while self._ticked < at:
            # A tick never passes a boundary at which parameters change: the parameters after it are learned from timers before it.
            self._ticked = min(at, self._ticked - self._ticked % PERIOD + PERIOD)
            if due is not None and due <= self._ticked:
                return [Tick(PARTITION, self._ticked, self._seq + 1)]
        source.progress.now = at
        if at == begin.end:
            self._write_truth()
            return []
        return self._live(at)

    def _live(self, at: int) -> list[Message | Tick]:
        source = self._source
        guidance = dict(zip(self._reads, source.read(self._reads), strict=True)) if self._reads else {}
        slot = source.population.advance(at, at + self._slot, guidance)
        self._next, self._reads = slot.next, slot.reads
        batch: list[Message | Tick] = []
        for arrived, event in slot.events:
            self._seq += 2
            self._number += 1
            self._log_time = max(self._log_time, arrived)
            batch.append(Message(event, None, "population", PARTITION, self._number, self._log_time, self._log_time, self._seq))
        source.progress.lines = self._number
        source.progress.slots += 1
        return batch

    def _write_truth(self) -> None:
        source = self._source
        with source.truth.open("wb") as file:
            for line in source.population.finish():
                file.write(line + b"\n")
        source.progress.done = True
