"""Ends all processes of a job in order when one of them is asked to stop.

A process alone cannot end in order: its last epoch is complete only when the sources of all others have ended too. So each worker watches
the request of its process and tells all lanes of it (``operators/lanes.py``), which pass it to the processes that own them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.operators import StatefulBatchLogic
from typing_extensions import override

from operators.lanes import Lanes

_LOOK: Final = timedelta(seconds=0.01)
"""Between two looks. An epoch ends in an input when that is awake, and the job reads nothing until all inputs have ended it: each epoch
may cost this much. ``python -m benchmarks.speed scale --inputs stores`` chose it."""
_LAST: Final = timedelta(seconds=0.2)
"""From the request to the end of this source."""


def _now() -> datetime:
    return datetime.now(UTC)


class Stop(Protocol):
    """A request to stop."""

    def __call__(self) -> bool:
        """Whether it was made."""
        ...

    def set(self) -> None:
        """Make it. From any thread."""
        ...


class _Watch(StatelessSourcePartition[tuple[str, None]]):
    """The source of one worker. It ends some time after the request, so that the others hear of it first."""

    def __init__(self, stop: Stop, lanes: list[str], now: Callable[[], datetime]) -> None:
        self._stop, self._lanes, self._now = stop, lanes, now
        self._end: datetime | None = None
        self._awake = now()

    @override
    def next_batch(self) -> list[tuple[str, None]]:
        now = self._now()
        self._awake = now + _LOOK
        if self._end is not None:
            if now >= self._end:
                raise StopIteration
            return []
        if not self._stop():
            return []
        self._end = now + _LAST
        return [(lane, None) for lane in self._lanes]

    @override
    def next_awake(self) -> datetime:
        return self._awake


class StopSource(DynamicSource[tuple[str, None]]):
    """Emits a request to stop this process as one item for each lane."""

    def __init__(self, stop: Stop, lanes: list[str], now: Callable[[], datetime] = _now) -> None:
        """Watch ``stop``."""
        self._stop, self._lanes, self._now = stop, lanes, now

    @override
    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Watch:
        return _Watch(self._stop, self._lanes, self._now)


class StopLogic(StatefulBatchLogic[None, None, None]):
    """One lane: passes the request on to the process that owns it."""

    def __init__(self, stop: Callable[[], None]) -> None:
        """Called once per lane, on the worker that owns it."""
        self._stop = stop

    @override
    def on_batch(self, values: list[None]) -> tuple[list[None], bool]:
        self._stop()
        return [], False

    @override
    def snapshot(self) -> None:
        return None


def stop_step(step_id: str, flow: Dataflow, stop: Stop, lanes: Lanes) -> None:
    """Let a request in one process reach the ``stop`` of each."""
    asked = op.input(f"{step_id}_asked", flow, StopSource(stop, lanes.every))
    op.stateful_batch(step_id, asked, lambda _nothing: StopLogic(stop.set))
