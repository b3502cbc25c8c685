"""timers: the passing of log time wakes the people whose deadlines it has reached.

Every worker has a wheel with the keys and deadlines of its own people; it is refilled from their states after a restart
(``operators/track.py``), so this step has nothing to remember. A tick has to reach every worker, and Bytewax has no broadcast: it goes
out once per *lane*, a key of its own, and with enough lanes every worker owns some. One worker needs one lane. ``LANES`` lanes leave one
of 32 workers without any with a probability of 1e-5; a test checks the placement for up to 8.
"""

from __future__ import annotations

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from operators.timer_registry import TimerRegistry
from state.messages import Tick
from state.stream_items import Due

LANES = 480

Call = tuple[str, Due]


class Waking(StatefulBatchLogic[Tick, list[Call], None]):
    """One lane: turns ticks into calls to the people of this worker who are due. Lanes that share a worker find nothing left to do."""

    def __init__(self, wheels: TimerRegistry) -> None:
        """Called once per lane, on the worker that owns it."""
        self._wheels = wheels

    @override
    def on_batch(self, values: list[Tick]) -> tuple[list[list[Call]], bool]:
        wheel = self._wheels.mine()
        calls = [(key, Due(tick.at, tick.seq)) for tick in values for key in wheel.pop_due(tick.partition, tick.at)]
        return ([calls] if calls else []), False

    @override
    def snapshot(self) -> None:
        return None


def timers_step(step_id: str, up: Stream[Tick], wheels: TimerRegistry, lanes: int) -> KeyedStream[Due]:
    """Wake people as log time passes. ``lanes``: 1 where one worker runs, ``LANES`` where there may be more."""
    names = [str(lane) for lane in range(lanes)]
    laned = op.flat_map_batch(f"{step_id}_lanes", up, lambda ticks: [(name, tick) for tick in ticks for name in names])
    woken = op.stateful_batch(step_id, laned, lambda _nothing: Waking(wheels))
    return op.flat_map_batch(f"{step_id}_calls", woken, lambda batch: [call for _, calls in batch for call in calls])
