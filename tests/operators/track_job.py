"""The step `track` for one key, without an engine, and what arrives at it."""

from __future__ import annotations

from typing import Any

import msgspec

from operators.awake import AwakePeople
from operators.timer_registry import TimerRegistry
from operators.track import track_logic
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.event import Event
from state.person.arrivals import Arrival, TimerDue, VisitorDeleted
from tests.state.lives import (
    KEYS,
    START,
    flat,
    plan,
)


class Job:
    """One key of the step without an engine: the wheel is popped as time passes, as ``timers`` does."""

    def __init__(self, of: Plan | None = None, *, most_awake: int = 1) -> None:
        """A key that nothing has arrived for."""
        self.plan = of or plan()
        self.wheels = TimerRegistry()
        self.build = track_logic(ByTenant(self.plan), KEYS, self.wheels, awake=AwakePeople(most_awake))
        self.logic = self.build(None)
        self.outputs: list[Any] = []
        self.seq = 0

    def take(self, *arrivals: Arrival) -> list[Any]:
        """One activation."""
        collectors, discard = self.logic.on_batch(list(arrivals))
        assert discard is not self.has_person
        fresh = flat(*collectors)
        self.outputs += fresh
        return fresh

    def see(self, *events: Event) -> list[Any]:
        """Events, numbered as a source does."""
        return self.take(*(msgspec.structs.replace(each, seq=2 * (self.seq + at)) for at, each in enumerate(events, 1)))

    def wait(self, at: int, partition: int = 0) -> list[Any]:
        """Log time passes, and the wheel calls."""
        fresh: list[Any] = []
        for key in self.wheels.for_this_thread().pop_due(partition, START + at):
            assert key == KEYS.stream_key("t", "u")
            fresh += self.take(TimerDue(partition, START + at, 1))
        return fresh

    @property
    def has_person(self) -> bool:
        """Whether the key is anybody's: only then it has a snapshot."""
        return self.logic._person is not None or self.logic._encoded is not None

    def restart(self) -> None:
        """The process is gone, with its wheel; the snapshot is what remains."""
        snapshot = self.logic.snapshot()
        self.wheels = TimerRegistry()
        self.build = track_logic(ByTenant(self.plan), KEYS, self.wheels)
        self.logic = self.build(snapshot)


def in_partition(made: Event, partition: int, behind: int = 0) -> Event:
    """The same event in another partition, whose log time is ``behind``."""
    return msgspec.structs.replace(made, partition=partition, log_time=made.log_time - behind)


def gone(at: int, into: str = "known") -> VisitorDeleted:
    return VisitorDeleted(
        tenant="t",
        key=KEYS.stream_key("t", "u"),
        into_key=KEYS.stream_key("t", into),
        timestamp=START + at,
        log_time=START + at,
        partition=0,
        seq=6,
    )
