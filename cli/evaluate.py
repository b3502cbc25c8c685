"""``onramp evaluate``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.failures import say
from cli.options import DataDirOption, JsonOption

if TYPE_CHECKING:
    from cli.stores import Facts
    from evaluation.off_policy import Method, Refused, Value
    from flows.settings import Settings

_METHODS: Final[dict[Method, str]] = {
    "dr": "doubly robust; the one to report",
    "snips": "self-normalised inverse propensity",
    "ips": "inverse propensity",
    "stabilised": "doubly robust, stabilised",
}
_BIGGEST: Final = "SELECT tenant_id FROM activation ORDER BY people DESC, tenant_id LIMIT 1"


def evaluate(
    policy: Annotated[
        str,
        typer.Option("--policy", metavar="POLICY", help="uniform, greedy, arm:ID or table:SEGMENT=ARM,SEGMENT=ARM.", show_default=False),
    ],
    trigger: Annotated[str | None, typer.Option("--trigger", help="Only the decisions upon this trigger, like signup.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="One tenant; without it the biggest.")] = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Estimate what another policy would have earned, from the decisions that were logged with their probabilities.

    The value is the share of recommendations shown after which the step is completed in time. Where the log says too little about the
    policy, there is a sentence instead of a number, and the exit code is 1.

    \b
    Example:  onramp evaluate --policy uniform
              onramp evaluate --policy greedy --trigger signup
              onramp evaluate --policy arm:moderate_tooltip --json
              onramp evaluate --policy table:engineer=passive_tooltip,admin=moderate_tooltip
    """
    from cli.demo_dir import for_reading
    from cli.options import load
    from cli.stores import open_facts
    from evaluation.off_policy import Refused
    from reports.screen import print_json

    settings = for_reading(load(data_dir=data_dir))
    with open_facts(settings, "onramp evaluate") as facts:
        found, logged = _evaluate(facts, settings, policy, trigger, tenant)
    best = found["dr"]
    if as_json:
        print_json(
            {
                "policy": policy,
                "trigger": trigger,
                **_head(best),
                "logged": logged,
                "estimators": {name: _json(each) for name, each in found.items()},
            }
        )
    elif not isinstance(best, Refused):
        _show(policy, trigger, found, logged)
    if isinstance(best, Refused):
        if not as_json:
            say(f"this cannot be said from the log: {best.reason}.")
        raise typer.Exit(1)


def _evaluate(
    facts: Facts, settings: Settings, policy: str, trigger: str | None, tenant: str | None
) -> tuple[dict[Method, Value | Refused], float | None]:
    """All estimators, and the mean reward of what was logged."""
    import dataclasses

    import polars as pl

    from cli.report import design
    from evaluation.evidence import ends
    from evaluation.logged import logged
    from evaluation.off_policy import Refused, evaluate_named
    from evaluation.policies import parse
    from reports.evidence_reader import load

    if tenant is None:
        tenant = next((row["tenant_id"] for row in facts.rows(_BIGGEST)), "default")
    evidence = load(facts.frame, tenant)
    if trigger is not None:
        known = sorted(evidence.decisions.filter(pl.col("outcome") == "decided")["trigger"].unique())
        if trigger not in known:
            raise typer.BadParameter(
                f"no decision was made upon {trigger!r}; there are {', '.join(known) or 'none'}.", param_hint="'--trigger'"
            )
        evidence = dataclasses.replace(evidence, decisions=evidence.decisions.filter(pl.col("trigger") == trigger))
    parse(policy)  # what cannot be read is said even where there is nothing to judge it by
    if not ends(evidence.outcomes).join(evidence.decisions, on="decision_id", how="semi").height:
        return dict.fromkeys(_METHODS, Refused("no decision was shown and has its attribution window closed", 0, 0.0)), None
    window = design(facts, settings, tenant).window
    rewards = logged(evidence, window).rewards
    found = {method: evaluate_named(evidence, policy, method=method, window=window) for method in _METHODS}
    return found, float(rewards.mean()) if rewards.size else None


def _head(found: Value | Refused) -> dict[str, Any]:
    from evaluation.off_policy import Refused

    if isinstance(found, Refused):
        return {"value": None, "interval": None, "alwaysInterval": None, **_weight(found), "refused": found.reason}
    return {
        "value": found.estimate,
        "interval": [found.lower, found.upper],
        "alwaysInterval": [found.always_lower, found.always_upper],
        **_weight(found),
        "refused": None,
    }


def _json(found: Value | Refused) -> dict[str, Any]:
    return {name: value for name, value in _head(found).items() if name not in {"decisions", "effective"}}


def _weight(found: Value | Refused) -> dict[str, Any]:
    return {"decisions": found.decisions, "effective": round(found.effective, 1)}


def _show(policy: str, trigger: str | None, found: dict[Method, Value | Refused], logged: float | None) -> None:
    from rich.text import Text

    from evaluation.off_policy import Refused
    from reports.plain import plain
    from reports.screen import heading, lines, number, out, percent, table

    console = out()
    where = f" upon {trigger}" if trigger is not None else ""
    heading(console, f"What {plain(policy)} would have earned{plain(where)}", "share of recommendations shown that end in success")
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
    lines(
        console,
        Text(f"From {number(best.decisions)} decisions that were shown, worth {number(best.effective)} of the policy's own."),
        Text(f"What was logged earned {percent(logged)}.", style="dim"),
    )
    console.print()


def _range(low: float, high: float) -> str:
    return f"{100 * low:.1f}–{100 * high:.1f} %"
