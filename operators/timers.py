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
from operators.timer_registry import TimerRegistry
from state.messages import Tick
from state.person.arrivals import TimerDue

LANES = 480


class TimerLogic(StatefulBatchLogic[Tick, list[AddressedArrival], None]):
    """One lane: turns ticks into arrivals for the people of this worker. A second lane on the same worker finds no timers left."""

    def __init__(self, timers: TimerRegistry) -> None:
        """Called once per lane, on the worker that owns it."""
        self._timers = timers

    @override
    def on_batch(self, values: list[Tick]) -> tuple[list[list[AddressedArrival]], bool]:
        wheel = self._timers.for_this_thread()
        due: list[AddressedArrival] = [
            (key, TimerDue(tick.at, tick.seq)) for tick in values for key in wheel.pop_due(tick.partition, tick.at)
        ]
        return ([due] if due else []), False

    @override
    def snapshot(self) -> None:
        return None


def timers_step(step_id: str, up: Stream[Decoded], timers: TimerRegistry, lanes: int) -> KeyedStream[list[AddressedArrival]]:
    """Emit due timers as log time advances. ``lanes``: 1 for one worker, ``LANES`` otherwise."""
    names = [str(lane) for lane in range(lanes)]

    def route(batch: list[Decoded]) -> list[tuple[str, Tick]]:
        return [(name, tick) for decoded in batch for tick in decoded.ticks for name in names]

    return op.stateful_batch(step_id, op.flat_map_batch(f"{step_id}_lanes", up, route), lambda _nothing: TimerLogic(timers))
