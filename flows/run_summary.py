"""Turns the counters into the summary that ``onramp run --json`` prints."""

from __future__ import annotations

from typing import Any

from state import counters
from state.counters import CounterTotals


def summarize(total: CounterTotals, resumed: CounterTotals) -> dict[str, Any]:
    """Return the totals since the data directory was created, and those of this run under ``thisRun``.

    ``rewards.open`` is a level, not a sum: in both it is the number of attribution windows that are open now.
    """
    figures = _figures(total)
    this_run = _figures({name: count - resumed.get(name, 0) for name, count in total.items()})
    this_run["rewards"]["open"] = figures["rewards"]["open"]
    return {**figures, "thisRun": this_run}


def _figures(totals: CounterTotals) -> dict[str, Any]:
    outcomes = counters.OUTCOMES.by_label(totals)
    success, failure, shown = (outcomes.get(kind, 0) for kind in ("success", "failure", "shown"))
    return {
        "eventsRead": counters.MESSAGES_READ.total(totals),
        "eventsAccepted": counters.EVENTS_APPLIED.total(totals),
        "duplicates": counters.EVENTS_DUPLICATE.total(totals),
        "ignored": counters.EVENTS_IGNORED.by_label(totals),
        "deadLetters": counters.MESSAGES_REJECTED.by_label(totals),
        "users": counters.PEOPLE.total(totals),
        "stepsCompleted": counters.STEPS_COMPLETED.total(totals),
        "activatedUsers": counters.PEOPLE_ACTIVATED.total(totals),
        "decisions": counters.DECISIONS.total(totals),
        "nonDecisions": counters.NON_DECISIONS.by_label(totals),
        "recommendationsWritten": counters.RECOMMENDATIONS.total(totals),
        "withdrawals": counters.WITHDRAWALS.total(totals),
        "rewards": {"success": success, "failure": failure, "open": shown - success - failure - counters.WINDOWS_VOIDED.total(totals)},
        "outcomes": outcomes,
        "stuckSignals": counters.STUCK_SIGNALS.by_label(totals),
        "stuckSignalsLessSure": counters.STUCK_SIGNALS_LESS_SURE.total(totals),
        "exposuresIgnored": counters.EXPOSURES_IGNORED.by_label(totals),
        "valuesUnread": counters.VALUES_UNREAD.by_label(totals),
        "traitsNotKept": counters.TRAITS_NOT_KEPT.by_label(totals),
    }
