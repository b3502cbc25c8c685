"""The counts of a run, as ``onramp run --json`` prints them."""

from __future__ import annotations

from typing import Any

from operators.counters import Counts


def summarize(total: Counts, resumed: Counts) -> dict[str, Any]:
    """Cumulative figures since the data directory began, and those of this run under ``thisRun``.

    ``rewards.open`` is a level, not a sum: how many windows are open now, in both.
    """
    figures = _figures(total)
    this_run = _figures({name: count - resumed.get(name, 0) for name, count in total.items()})
    this_run["rewards"]["open"] = figures["rewards"]["open"]
    return {**figures, "thisRun": this_run}


def _figures(tally: Counts) -> dict[str, Any]:
    def by(prefix: str) -> dict[str, int]:
        return {name.partition("|")[2]: count for name, count in sorted(tally.items()) if name.startswith(f"{prefix}|") and count}

    outcomes = by("outcomes")
    success, failure, shown = (outcomes.get(kind, 0) for kind in ("success", "failure", "shown"))
    return {
        "eventsRead": tally.get("read", 0),
        "eventsAccepted": tally.get("accepted", 0),
        "duplicates": tally.get("duplicates", 0),
        "ignored": by("ignored"),
        "deadLetters": by("dead_letters"),
        "users": tally.get("users", 0),
        "stepsCompleted": tally.get("steps_completed", 0),
        "activatedUsers": tally.get("activated", 0),
        "decisions": tally.get("decisions", 0),
        "nonDecisions": by("non_decisions"),
        "recommendationsWritten": tally.get("recommendations", 0),
        "withdrawals": tally.get("withdrawals", 0),
        "rewards": {"success": success, "failure": failure, "open": shown - success - failure - tally.get("windows_voided", 0)},
        "outcomes": outcomes,
        "stuckSignals": by("signals"),
        "exposuresIgnored": by("exposures_ignored"),
    }
