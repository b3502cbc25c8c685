"""timers: turns ticks of log time into arrivals for the people whose timers are due.

Every worker has a wheel with the deadlines of its own people. After a restart it is refilled from their states (``operators/track.py``), so
this step has no state. A tick must reach every worker, and Bytewax has no broadcast: the tick is sent once to each *lane*, a key of its
own, and with enough lanes every worker owns some. One worker needs one lane. With ``LANES`` lanes, one of 32 workers has none with a
probability of 1e-5; a test checks the placement for up to 8.
"""

from __future__ import annotations

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from operators.decode import Decoded
from operators.link import AddressedArrival
from operators.timer_registry import TimerRegistry, tenant_to_wake
from state.messages import Tick
from state.person.arrivals import GuidanceSwitched, TimerDue

LANES = 480
LANES_FOR_EACH = 12
"""Lanes for each process, where every process, not every worker, must own one: of 8 processes one has none with a probability of 2e-5."""


class TimerLogic(StatefulBatchLogic[Tick, list[AddressedArrival], None]):
    """One lane: turns ticks into arrivals for the people of this worker. A second lane on the same worker finds no timers left."""

    def __init__(self, timers: TimerRegistry, longest: int) -> None:
        """Called once per lane, on the worker that owns it. ``longest``: milliseconds for which a recommendation may be valid."""
        self._timers, self._longest = timers, longest

    @override
    def on_batch(self, values: list[Tick]) -> tuple[list[list[AddressedArrival]], bool]:
        wheel = self._timers.for_this_thread()
        due: list[AddressedArrival] = []
        for tick in values:
            timers = wheel.pop_due_timers(tick.partition, tick.at)
            if self._timers.wakes:
                due += self._switched(tick, timers)
            due += [(key, TimerDue(tick.at, tick.seq)) for _, key in timers]
        return ([due] if due else []), False

    def _switched(self, tick: Tick, timers: list[tuple[int, str]]) -> list[AddressedArrival]:
        """Take the timers for everybody from ``timers``, and return what they bring, which goes before the timers of each person.

        After a restart switches of long ago come again. Nothing from before them can be valid any more, so nobody is woken.
        """
        switches = list(dict.fromkeys((at, tenant) for at, key in timers if (tenant := tenant_to_wake(key)) is not None))
        if not switches:
            return []
        timers[:] = [each for each in timers if tenant_to_wake(each[1]) is None]
        people = sorted({key for _, key in timers} | self._timers.for_this_thread().keys(tick.partition))
        return [
            (key, GuidanceSwitched(tenant, at, tick.seq))
            for at, tenant in switches
            if at > tick.at - self._longest
            for key in people
            if tenant_to_wake(key) is None
        ]

    @override
    def snapshot(self) -> None:
        return None


def timers_step(step_id: str, up: Stream[Decoded], timers: TimerRegistry, lanes: int, longest: int) -> KeyedStream[list[AddressedArrival]]:
    """Emit due timers as log time advances. ``lanes``: 1 for one worker, ``LANES`` otherwise. ``longest`` as in ``TimerLogic``."""
    names = [str(lane) for lane in range(lanes)]

    def route(batch: list[Decoded]) -> list[tuple[str, Tick]]:
        return [(name, tick) for decoded in batch for tick in decoded.ticks for name in names]

    return op.stateful_batch(step_id, op.flat_map_batch(f"{step_id}_lanes", up, route), lambda _nothing: TimerLogic(timers, longest))
