"""timers: turns ticks of log time into arrivals for the people whose timers are due.

Every worker has a wheel with the deadlines of its own people. After a restart it is refilled from their states (``operators/track.py``), so
this step has no state. On one worker a tick comes among the events of its batch, by the same way: so ``track`` meets the batch as a whole,
and puts each person's timers and events into input order. On several workers a tick must reach each of them, and Bytewax has no broadcast:
the tick is sent once to each *lane*, a key of its own, and there are enough lanes for every worker to own some.
"""

from __future__ import annotations

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from operators.decode import Decoded
from operators.identify import Identified
from operators.lanes import Lanes
from operators.link import AddressedArrival
from operators.timer_registry import TimerRegistry, tenant_to_wake
from state.messages import Tick
from state.person.arrivals import Arrival, GuidanceSwitched, TimerDue


class DueTimers:
    """Finds the people of the calling worker whom ticks wake. One object serves all workers of a process."""

    def __init__(self, timers: TimerRegistry, longest: int) -> None:
        """``longest``: milliseconds for which a recommendation of any tenant may be valid."""
        self._timers, self._longest = timers, longest

    def take(self, ticks: list[Tick]) -> list[AddressedArrival]:
        """Take the timers that ``ticks`` have passed, and return what they bring to whom. A repeated tick finds no timers left."""
        wheel = self._timers.for_this_thread()
        due: list[AddressedArrival] = []
        for tick in ticks:
            timers = wheel.pop_due_timers(tick.partition, tick.at)
            if self._timers.wakes:
                due += self._switched(tick, timers)
            if timers:
                woken = TimerDue(tick.partition, tick.at, tick.seq)
                due += [(key, woken) for _, key, _ in timers]
        return due

    def _switched(self, tick: Tick, timers: list[tuple[int, str, str]]) -> list[AddressedArrival]:
        """Take the timers for everybody of a tenant from ``timers``, and return what they bring: it goes before the timers of each person.

        After a restart switches of long ago come again. Nothing from before them can be valid any more, so nobody is woken.
        """
        switches = list(dict.fromkeys((at, tenant) for at, key, _ in timers if (tenant := tenant_to_wake(key)) is not None))
        if not switches:
            return []
        timers[:] = [each for each in timers if tenant_to_wake(each[1]) is None]
        in_force = [(at, tenant) for at, tenant in switches if at > tick.at - self._longest]
        wheel = self._timers.for_this_thread()
        people = {
            tenant: sorted({key for _, key, of in timers if of == tenant} | wheel.keys(tick.partition, tenant))
            for tenant in dict.fromkeys(tenant for _, tenant in in_force)
        }
        return [(key, GuidanceSwitched(tenant, tick.partition, at, tick.seq)) for at, tenant in in_force for key in people[tenant]]


class TickLane(StatefulBatchLogic[list[Tick], list[Tick], None]):
    """One lane: brings ticks to the worker that owns it."""

    @override
    def on_batch(self, values: list[list[Tick]]) -> tuple[list[list[Tick]], bool]:
        return values, False

    @override
    def snapshot(self) -> None:
        return None


def timers_step(
    step_id: str, decoded: Stream[Decoded], identified: KeyedStream[Identified], timers: TimerRegistry, lanes: Lanes, longest: int
) -> KeyedStream[Arrival]:
    """Pass on ``identified``, one item for each arrival, with the timers that are due.

    With several workers the ticks come from ``decoded``. ``longest`` as in ``DueTimers``.
    """
    due = DueTimers(timers, longest)

    def route(batch: list[Decoded]) -> list[tuple[str, list[Tick]]]:
        return [(lane, each.ticks) for each in batch if each.ticks for lane in lanes.every]

    def arrivals(batch: list[tuple[str, Identified]]) -> list[AddressedArrival]:
        found: list[AddressedArrival] = []
        for _, bundle in batch:
            found += due.take(bundle) if type(bundle[0]) is Tick else bundle  # type: ignore[arg-type]
        return found

    if lanes.workers > 1:
        ticks = op.stateful_batch(f"{step_id}_lanes", op.flat_map_batch(f"{step_id}_spread", decoded, route), lambda _nothing: TickLane())
        identified = op.merge(f"{step_id}_merge", identified, ticks)
    return op.flat_map_batch(step_id, identified, arrivals)
