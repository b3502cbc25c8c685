"""tally: what the job has done since its data directory began, exactly once: the counts are part of the snapshot.

Counted from the same stream of outputs that the sinks get; read by the run's report, by ``onramp run --json`` and by metrics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from state.records.dead_letter import DeadLetter
from state.records.facts import DecisionFact, OutcomeFact, RecommendationFact, SignalFact
from state.stream_items import Count
from state.vocabulary import NO_COMPONENT

Counts = dict[str, int]
"""``name`` or ``name|label`` → how often."""


def count(batch: list[Any]) -> list[tuple[str, Counts]]:
    """Count one batch of mixed outputs."""
    counts: Counter[str] = Counter()
    for item in batch:
        kind = type(item)
        if kind is Count:
            counts[f"{item.name}|{item.label}" if item.label else item.name] += item.by
        elif kind is DecisionFact:
            counts["decisions" if item.outcome == "decided" else f"non_decisions|{item.reason}"] += 1
        elif kind is RecommendationFact:
            counts["withdrawals" if item.ui_component == NO_COMPONENT else "recommendations"] += 1
        elif kind is OutcomeFact:
            counts[f"outcomes|{item.kind}"] += 1
        elif kind is SignalFact:
            counts[f"signals|{item.trigger}"] += 1
        elif kind is DeadLetter:
            counts[f"dead_letters|{item.reason}"] += 1
    return [("tally", dict(counts))] if counts else []


class CounterView:
    """Where a process reads its tally. ``resumed`` is what stood there when this run began; both are replaced, never changed."""

    def __init__(self) -> None:
        """An empty board, for one run."""
        self.total: Counts = {}
        self.resumed: Counts = {}


class CounterTotals(StatefulBatchLogic[Counts, Any, bytes]):
    """The one sum. Emits nothing; shows itself on the board."""

    def __init__(self, board: CounterView, resume_state: bytes | None) -> None:
        """Called for the first count ever, or eagerly after a restart."""
        self._board = board
        self._total: Counter[str] = Counter(msgspec.msgpack.decode(resume_state, type=Counts) if resume_state else {})
        board.resumed = board.total = dict(self._total)

    @override
    def on_batch(self, values: list[Counts]) -> tuple[list[Any], bool]:
        for value in values:
            self._total.update(value)
        self._board.total = dict(self._total)
        return [], False

    @override
    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(dict(self._total))


def counter_totals(board: CounterView) -> Callable[[bytes | None], CounterTotals]:
    """Builder for ``stateful_batch``."""
    return lambda resume_state: CounterTotals(board, resume_state)


def counters_step(step_id: str, up: Stream[Any], board: CounterView) -> KeyedStream[Any]:
    """Keep the tally of ``up`` on ``board``, which must live in the process of the one worker that owns the sum."""
    return op.stateful_batch(step_id, op.flat_map_batch(f"{step_id}_count", up, count), counter_totals(board))
