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

from operators.sink_batches import by_person
from state.messages import Tick
from state.records.dead_letter import DeadLetter
from state.records.facts import DeadLetterFact, DecisionFact, EventFact, Fact, OutcomeFact, ProgressFact, SignalFact, StepMetricFact
from state.records.recommendation import Erase

Row = Fact | Erase
MINUTE: Final = 60_000
RAW_SHOWN: Final = 4_096


def tell(batch: list[Any], partitions: int) -> list[tuple[str, list[Row]]]:
    """Turn a batch of mixed outputs into rows for the sink, one item for each partition that gets some.

    A tick comes straight from the source and gives every partition an empty item: a heartbeat, by which the sink knows that the source
    goes on and the epoch before is durable.
    """
    rows: list[Row] = [dead_letter_fact(item) if type(item) is DeadLetter else item for item in batch if type(item) is not Tick]
    told = by_person([*rows, *step_metrics(rows)], _whom, partitions) if rows else []
    if len(rows) < len(batch):
        told += [(str(partition), []) for partition in range(partitions)]
    return told


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


def _whom(row: Row) -> str:
    user: str = getattr(row, "user_id", "")
    return user


def facts_step(step_id: str, up: Stream[Any], partitions: int) -> KeyedStream[list[Row]]:
    """Gather ``up`` for the sink."""
    return op.flat_map_batch(step_id, up, lambda batch: tell(batch, partitions))
