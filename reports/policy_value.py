"""What another policy would have earned: the estimators side by side, for ``onramp evaluate``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from rich.console import Console
from rich.text import Text

from evaluation.evidence import Evidence, ends
from evaluation.off_policy import Refused, evaluate_named, valued_on, without_weight
from evaluation.policies import parse
from reports.render import heading, hours, lines, number, percent, table
from state.duration import DAY, HOUR
from state.plain_text import plain
from state.quantity import count

if TYPE_CHECKING:
    from evaluation.off_policy import Method, Value

_METHODS: Final[dict[Method, str]] = {
    "dr": "doubly robust; the one to report",
    "snips": "self-normalised inverse propensity",
    "ips": "inverse propensity",
    "stabilised": "doubly robust, stabilised",
}


class UnknownTriggerError(Exception):
    """No decision was made upon the trigger asked for."""


def estimate(evidence: Evidence, policy: str, trigger: str | None) -> tuple[dict[Method, Value | Refused], float | None, list[str]]:
    """Return the result of every estimator, the mean reward of what was logged, and what to say of names without weight.

    The mean is over the decisions on which the policy is valued: ``greedy`` is not valued on those that it learns on.

    Raises ``UnknownTriggerError`` and ``PolicyError``.
    """
    everything = evidence
    if trigger is not None:
        known = sorted(evidence.decisions.filter(pl.col("outcome") == "decided")["trigger"].unique())
        if trigger not in known:
            raise UnknownTriggerError(f"no decision was made upon {trigger!r}; there are {', '.join(known) or 'none'}.")
        evidence = dataclasses.replace(evidence, decisions=evidence.decisions.filter(pl.col("trigger") == trigger))
    parse(policy)  # a policy that cannot be read is an error even where there is nothing to evaluate it on
    if not ends(evidence.outcomes).join(evidence.decisions, on="decision_id", how="semi").height:
        window = evidence.in_force().get("attribution_window_ms", DAY)
        followed = f"no recommendation was both shown and followed for its full attribution window ({hours(window / HOUR)})"
        return dict.fromkeys(_METHODS, Refused(f"{followed}; your app reports what it shows with recommendation_shown", 0, 0.0)), None, []
    rewards = valued_on(everything, policy, trigger=trigger).rewards
    found = {method: evaluate_named(everything, policy, trigger=trigger, method=method) for method in _METHODS}
    mean = float(rewards.mean()) if rewards.size else None
    return found, mean, without_weight(everything, policy, trigger=trigger)


def nobody(policy: str, tenant: str) -> tuple[dict[Method, Value | Refused], float | None, list[str]]:
    """Return the same for a tenant without users. Raises ``PolicyError``."""
    parse(policy)
    return dict.fromkeys(_METHODS, Refused(f"no user is known in tenant {plain(tenant)}", 0, 0.0)), None, []


def head(found: Value | Refused) -> dict[str, Any]:
    """The result of one estimator as JSON."""
    if isinstance(found, Refused):
        return {"value": None, "interval": None, "alwaysInterval": None, **_weight(found), "refused": found.reason}
    return {
        "value": found.estimate,
        "interval": [found.lower, found.upper],
        "alwaysInterval": [found.always_lower, found.always_upper],
        **_weight(found),
        "refused": None,
    }


def method_json(found: Value | Refused) -> dict[str, Any]:
    """The same without the counts that all estimators share."""
    return {name: value for name, value in head(found).items() if name not in {"decisions", "effective"}}


def _weight(found: Value | Refused) -> dict[str, Any]:
    return {"decisions": found.decisions, "effective": round(found.effective, 1)}


def show(
    console: Console,
    policy: str,
    trigger: str | None,
    found: dict[Method, Value | Refused],
    logged_reward: float | None,
    notes: Sequence[str],
    tenant: str,
) -> None:
    """Print a line for each estimator, and the ``notes``. ``tenant`` is named in the heading; empty: there is only one."""
    where = (f" upon {trigger}" if trigger is not None else "") + (f", tenant {tenant}" if tenant else "")
    heading(console, f"What {plain(policy)} would have earned{plain(where)}", "successes per shown recommendation")
    rows = []
    for name, each in found.items():
        if isinstance(each, Refused):
            rows.append((name, "–", "", "", each.reason))
            continue
        rows.append(
            (name, percent(each.estimate), _range(each.lower, each.upper), _range(each.always_lower, each.always_upper), _METHODS[name])
        )
    console.print(table(["estimator", ">value", ">95 %, one look", ">at every look", "~what it is"], rows))
    best = found["dr"]
    console.print()
    decisions = count(best.decisions, "decision that was", "decisions that were")
    lines(
        console,
        Text(f"From {decisions} shown, worth {number(best.effective)} of the policy's own."),
        Text(f"On these {count(best.decisions, 'decision')} what was logged earned {percent(logged_reward)}.", style="dim"),
    )
    lines(console, *(Text(plain(f"{note[0].upper()}{note[1:]}.")) for note in notes))
    if policy.startswith("table:"):
        lines(console, Text("Segments that the table does not name get the uniform choice.", style="dim"))
    console.print()


def _range(low: float, high: float) -> str:
    return f"{100 * low:.1f}–{100 * high:.1f} %"
