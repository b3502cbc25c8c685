"""Step metrics: what happened at each step in each minute, counted batch by batch.

The counts are additive partials of tumbling one-minute windows. The sink identifies them when they are durable, so no step keeps an open
window, and a resume neither doubles nor loses a count (docs/adr/0006).
"""

from __future__ import annotations

from state.duration import MINUTE
from state.person.collector import Row
from state.records.facts import DecisionFact, EventFact, OutcomeFact, SignalFact, StepMetricFact


def with_metrics(rows: list[Row]) -> list[Row]:
    """The rows of a batch, followed by its partials of the step metrics, in which those of the fold are contained."""
    return [*(row for row in rows if type(row) is not StepMetricFact), *step_metrics(rows)]


def step_metrics(rows: list[Row]) -> list[StepMetricFact]:
    """Partials of one batch: counts by minute, step, metric and label."""
    events: dict[tuple[str, int, str], int] = {}
    counts: dict[tuple[str, int, str, str, str, str], int] = {}
    for row in rows:
        if isinstance(row, EventFact):  # most rows; they have no step
            if row.status == "applied":
                event = row.tenant_id, row.timestamp // MINUTE, row.event_type
                events[event] = events.get(event, 0) + 1
            continue
        if isinstance(row, DecisionFact):
            metric, label = ("decision", row.trigger) if row.outcome == "decided" else ("non_decision", row.reason)
            key = row.tenant_id, row.decided_at // MINUTE, row.path_id, row.step_id, metric, label
        elif isinstance(row, SignalFact):
            key = row.tenant_id, row.detected_at // MINUTE, row.path_id, row.step_id, "signal", row.trigger
        elif isinstance(row, OutcomeFact):
            key = row.tenant_id, row.occurred_at // MINUTE, row.path_id, row.step_id, row.kind, row.trigger
        elif isinstance(row, StepMetricFact):  # of the fold, which knows what is newly completed
            key = row.tenant_id, row.minute // MINUTE, row.path_id, row.step_id, row.metric, row.label
            counts[key] = counts.get(key, 0) + row.count
            continue
        else:
            continue
        counts[key] = counts.get(key, 0) + 1
    partials = [((tenant, minute, "", "", "event", name), count) for (tenant, minute, name), count in events.items()]
    return [
        StepMetricFact(tenant_id=tenant, minute=minute * MINUTE, path_id=path, step_id=step, metric=metric, label=label, count=count)
        for (tenant, minute, path, step, metric, label), count in (*partials, *counts.items())
    ]
