"""counters: totals of what the job has done since its data directory was created. They are part of the snapshot, hence exact after a
resume.

Each step counts its own work in its outputs (``state/counters.py`` has the catalogue); this step adds the counts up. Readers: the end of a
run, ``onramp run --json`` and metrics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from operators.sink_batches import unkeyed
from state.counters import CounterTotals, add, add_to_totals


class HasCounts(Protocol):
    """The outputs of a step that counts its work."""

    @property
    def counts(self) -> CounterTotals:
        """What to add to the totals."""
        ...


class CounterView:
    """The totals of this process. ``resumed`` are the totals when this run began. Both dictionaries are replaced, never changed."""

    def __init__(self) -> None:
        """An empty view, for one run."""
        self.total: CounterTotals = {}
        self.resumed: CounterTotals = {}


class CounterLogic(StatefulBatchLogic[CounterTotals, Any, bytes]):
    """The one sum. It emits nothing and updates the view."""

    def __init__(self, view: CounterView, resume_state: bytes | None) -> None:
        """Called for the first count, or eagerly after a restart."""
        self._view = view
        self._total: CounterTotals = msgspec.msgpack.decode(resume_state, type=CounterTotals) if resume_state else {}
        view.resumed = view.total = dict(self._total)

    @override
    def on_batch(self, values: list[CounterTotals]) -> tuple[list[Any], bool]:
        for value in values:
            add_to_totals(self._total, value)
        self._view.total = dict(self._total)
        return [], False

    @override
    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self._total)


def counter_logic(view: CounterView) -> Callable[[bytes | None], CounterLogic]:
    """Builder for ``stateful_batch``."""
    return lambda resume_state: CounterLogic(view, resume_state)


def sum_of(batch: list[HasCounts | tuple[str, HasCounts]]) -> CounterTotals:
    """The sum of the counts of a batch of outputs."""
    totals: CounterTotals = {}
    for outputs in unkeyed(batch):
        add(totals, outputs.counts)
    return totals


def counters_step(step_id: str, up: Stream[HasCounts | tuple[str, HasCounts]], view: CounterView) -> KeyedStream[Any]:
    """Keep the totals of ``up`` in ``view``, which must live in the process of the one worker that owns the sum."""

    def gather(batch: list[HasCounts | tuple[str, HasCounts]]) -> list[tuple[str, CounterTotals]]:
        totals = sum_of(batch)
        return [("counters", totals)] if totals else []

    return op.stateful_batch(step_id, op.flat_map_batch(f"{step_id}_sum", up, gather), counter_logic(view))
