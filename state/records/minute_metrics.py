"""Step metrics: what happened at each step in each minute, counted batch by batch.

The counts are additive partials of tumbling one-minute windows. The sink identifies them when they are durable, so no step keeps an open
window, and a resume neither doubles nor loses a count (docs/adr/0006).
"""

from __future__ import annotations

from collections import Counter

from state.duration import MINUTE
from state.person.collector import Row
from state.records.facts import DecisionFact, EventFact, OutcomeFact, ProgressFact, SignalFact, StepMetricFact


def with_metrics(rows: list[Row]) -> list[Row]:
    """The rows of a batch, followed by its partials of the step metrics."""
    return [*rows, *step_metrics(rows)]


def step_metrics(rows: list[Row]) -> list[StepMetricFact]:
    """Partials of one batch: counts by minute, step, metric and label."""
    counts: Counter[tuple[str, int, str, str, str, str]] = Counter()
    for row in rows:
        if isinstance(row, EventFact):
            if row.status == "applied":
                counts[row.tenant_id, row.timestamp // MINUTE, "", "", "event", row.event_type] += 1
        elif isinstance(row, DecisionFact):
            metric, label = ("decision", row.trigger) if row.outcome == "decided" else ("non_decision", row.reason)
            counts[row.tenant_id, row.decided_at // MINUTE, row.path_id, row.step_id, metric, label] += 1
        elif isinstance(row, SignalFact):
            counts[row.tenant_id, row.detected_at // MINUTE, row.path_id, row.step_id, "signal", row.trigger] += 1
        elif isinstance(row, OutcomeFact):
            counts[row.tenant_id, row.occurred_at // MINUTE, row.path_id, row.step_id, row.kind, row.trigger] += 1
        elif isinstance(row, ProgressFact) and row.status == "completed":
            counts[row.tenant_id, row.completed_at // MINUTE, row.path_id, row.step_id, "completed", ""] += 1
    return [
        StepMetricFact(tenant_id=tenant, minute=minute * MINUTE, path_id=path, step_id=step, metric=metric, label=label, count=count)
        for (tenant, minute, path, step, metric, label), count in counts.items()
    ]
