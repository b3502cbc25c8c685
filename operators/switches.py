"""switches: keeps the switches of guidance of each tenant for the next start, and wakes those who may lose guidance by one.

``decode`` publishes a switch in the store of this process at once, so that the events after it in the same batch meet it. Here it becomes
state, a row, and a timer of its own in the wheel of each worker: when log time reaches the switch, ``timers`` sends it to everybody of the
tenant who has a timer, and whoever has guidance has one. Bytewax has no broadcast, so a switch goes to every lane
(``operators/lanes.py``), also on one worker: a later run may have more processes, and each must know the switches.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Final

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from operators.decode import Decoded
from operators.lanes import STATE_LANES
from operators.timer_registry import TimerRegistry
from state.decision.switches import HISTORY_CODEC, History, Switch, Switches
from state.event import Event
from state.records.fact_builders import switch_fact
from state.records.facts import SwitchFact


class SharedSwitches(Switches):
    """Switches that the threads of several workers may change."""

    def __init__(self) -> None:
        """Guidance is on for everybody."""
        super().__init__()
        self._lock: Final = Lock()

    @override
    def take(self, event: Event) -> None:
        with self._lock:
            super().take(event)

    @override
    def restore(self, data: bytes) -> None:
        with self._lock:
            super().restore(data)


class Switched:
    """What ``switches`` emits: the row of each switch."""

    __slots__ = ("rows",)

    def __init__(self, rows: list[SwitchFact]) -> None:
        self.rows = rows


class SwitchLogic(StatefulBatchLogic[tuple[bool, Event], Switched, bytes]):
    """The switches of one tenant in one lane. The first lane writes the rows."""

    def __init__(self, switches: Switches, timers: TimerRegistry, resume_state: bytes | None) -> None:
        """Called for the first switch of a tenant, and after a restart for every lane in the recovery store."""
        self._switches, self._timers = switches, timers
        self._history: History | None = None
        if resume_state is not None:
            self._history = HISTORY_CODEC.decode(resume_state)
            switches.restore(resume_state)
            for switch in self._history.switches:
                for partition in switch.places:
                    self._wake(self._history.tenant, switch, partition)

    @override
    def on_batch(self, values: list[tuple[bool, Event]]) -> tuple[list[Switched], bool]:
        rows: list[SwitchFact] = []
        for writes, event in values:
            if self._history is None:
                self._history = History(event.tenant)
            taken = self._history.take(event)
            if taken is None:
                continue
            self._history, switch = taken
            self._switches.take(event)  # another process may have decoded it
            self._wake(event.tenant, switch, event.partition)
            if writes:
                rows.append(switch_fact(event, switch))
        return ([Switched(rows)] if rows else []), False

    @override
    def snapshot(self) -> bytes:
        assert self._history is not None, "a tenant without a switch has no key"
        return HISTORY_CODEC.encode(self._history)

    def _wake(self, tenant: str, switch: Switch, partition: int) -> None:
        if switch.action != "resume":
            self._timers.wake_everybody(partition, tenant, switch.places[partition][0] + 1)


def switch_logic(switches: Switches, timers: TimerRegistry) -> Callable[[bytes | None], SwitchLogic]:
    """Builder for ``stateful_batch``."""
    return lambda resume_state: SwitchLogic(switches, timers, resume_state)


def switches_step(step_id: str, up: Stream[Decoded], switches: Switches, timers: TimerRegistry) -> KeyedStream[Switched]:
    """Keep the switches, and register when they come into force."""

    def route(batch: list[Decoded]) -> list[tuple[str, tuple[bool, Event]]]:
        return [
            (f"{lane}|{event.tenant}", (lane == 0, event)) for decoded in batch for event in decoded.switches for lane in range(STATE_LANES)
        ]

    return op.stateful_batch(step_id, op.flat_map_batch(f"{step_id}_lanes", up, route), switch_logic(switches, timers))
