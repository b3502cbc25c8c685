"""facts: everything worth telling analysts, a batch at a time, with the per-minute step metrics that follow from it.

A batch travels as one item, so that the engine's cost per item is paid once. The metrics are additive partials of tumbling one-minute
windows: counted per batch here, and identified by the sink when they are durable, so that no operator keeps an open window and a resume
neither doubles nor swallows anything (docs/adr/0006).
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream

from state.dead_letter import DeadLetter
from state.facts import DeadLetterFact, DecisionFact, EventFact, Fact, OutcomeFact, ProgressFact, SignalFact, StepMetricFact
from state.recommendation import Erase

Row = Fact | Erase
MINUTE: Final = 60_000
RAW_SHOWN: Final = 4_096


class Telling:
    """Gathers a batch of mixed outputs into one item of rows for the sink. A tick gives an empty batch: a sign of life, which it needs."""

    def __call__(self, batch: list[Any]) -> list[tuple[str, list[Row]]]:
        """Return at most one item, under a key that spreads batches over the sink's partitions."""
        rows: list[Row] = []
        for item in batch:
            if isinstance(item, Fact | Erase):
                rows.append(item)
            elif isinstance(item, DeadLetter):
                rows.append(dead_letter_fact(item))
        rows += step_metrics(rows)
        return [(_spread(rows), rows)]


def step_metrics(rows: list[Row]) -> list[StepMetricFact]:
    """Partials of one batch: how often each thing happened in each minute of each step."""
    counts: Counter[tuple[str, int, str, str, str, str]] = Counter()
    for row in rows:
        kind = type(row)
        if kind is EventFact:
            if row.status == "applied":  # type: ignore[union-attr]
                counts[row.tenant_id, row.timestamp // MINUTE, "", "", "event", row.event_type] += 1  # type: ignore[union-attr]
        elif kind is DecisionFact:
            metric, label = ("decision", row.trigger) if row.outcome == "decided" else ("non_decision", row.reason)  # type: ignore[union-attr]
            counts[row.tenant_id, row.decided_at // MINUTE, row.path_id, row.step_id, metric, label] += 1  # type: ignore[union-attr]
        elif kind is SignalFact:
            counts[row.tenant_id, row.detected_at // MINUTE, row.path_id, row.step_id, "signal", row.trigger] += 1  # type: ignore[union-attr]
        elif kind is OutcomeFact:
            counts[row.tenant_id, row.occurred_at // MINUTE, row.path_id, row.step_id, row.kind, row.trigger] += 1  # type: ignore[union-attr]
        elif kind is ProgressFact and row.status == "completed":  # type: ignore[union-attr]
            counts[row.tenant_id, row.completed_at // MINUTE, row.path_id, row.step_id, "completed", ""] += 1  # type: ignore[union-attr]
    return [
        StepMetricFact(tenant, minute * MINUTE, path, step, metric, label, count)
        for (tenant, minute, path, step, metric, label), count in counts.items()
    ]


def dead_letter_fact(letter: DeadLetter) -> DeadLetterFact:
    """The row of a dead letter, found again by where the message stood."""
    return DeadLetterFact(
        f"{letter.topic}:{letter.partition}:{letter.offset}", letter.reason, letter.detail, letter.topic, letter.partition,
        letter.offset, letter.raw[:RAW_SHOWN].decode("utf-8", "replace"), max(letter.log_time, 0), 1,
    )  # fmt: skip


def _spread(rows: list[Row]) -> str:
    first = rows[0] if rows else None
    return str(getattr(first, "user_id", ""))


def facts_step(step_id: str, up: Stream[Any]) -> KeyedStream[list[Row]]:
    """Gather ``up`` for the sink."""
    return op.flat_map_batch(step_id, up, Telling())
