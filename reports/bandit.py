"""The bandit as tables: what its choices are worth, and every arm with its outcomes and its believed success rate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from evaluation.evidence import ADAPTIVE, RULES
from reports.render import bar, decimal, heading, lines, number, percent, table
from reports.run_report import newest_shares
from state.plain_text import plain
from state.quantity import count

if TYPE_CHECKING:
    from reports.facts import Facts
    from reports.run_report import RunReport

_SHORT: Final = {
    "step_completed": "done",
    "stuck:inactive": "idle",
    "stuck:errors": "errors",
    "stuck:rage_clicks": "rage",
    "stuck:looping": "loops",
    "stuck:slow_step": "slow",
}


def show_bandit(console: Console, report: RunReport) -> None:
    """Print what the choices were worth. Needs the truth: prints nothing without it, or where nothing was shown."""
    bandit = report.truth.bandit if report.truth is not None else None
    if bandit is None:
        return
    newest = bandit.newest
    heading(console, "What the bandit's choices are worth", f"success rate; newest fifth of {number(bandit.overall.decisions)} shown")
    values = [
        ("random choice", newest.uniform),
        ("best single arm *", newest.best_fixed),
        ("this engine", newest.policy),
        ("best policy *", newest.best_policy),
    ]
    if bandit.reference is not None:
        values.append(("knows the prior *", bandit.reference.value))
    way = newest.best_policy - newest.uniform
    rows = []
    for name, value in sorted(values, key=lambda pair: pair[1]):
        gained = (value - newest.uniform) / way if way > 1e-9 else None
        style = "bold" if name == "this engine" else ""
        rows.append((Text(name, style=style), Text(f"{value:.3f}", style=style), percent(gained), bar(gained or 0.0, 24)))
    console.print(table(["who chooses", ">value", ">from random to best", ""], rows))
    lines(console, Text("* Needs knowledge from the truth or from afterwards.", style="dim"))


def show_choices(console: Console, report: RunReport) -> None:
    """Print every arm at every trigger in one table: its share of the newest choices and its believed success rate."""
    shares = newest_shares(report.evidence)
    if not shares:
        return
    believed = {(row["trigger"], row["arm"]): row["mean"] for row in report.learned.posteriors.filter(pl.col("context") == "*").to_dicts()}
    stopped = {(row["trigger"], row["arm"]) for row in report.learned.stops.filter("in_force").to_dicts()}
    order = list(shares)
    arms = sorted({*(arm for row in shares.values() for arm in row), *(arm for _, arm in stopped)})
    heading(console, "Arms by trigger", "% of the newest choices, and the believed success rate")

    def cell(trigger: str, arm: str) -> str:
        if (trigger, arm) in stopped:
            return "stopped"
        part = f"{100 * shares[trigger].get(arm, 0.0):.0f}"
        return f"{part} {decimal(believed.get((trigger, arm))).removeprefix('0')}"

    columns = ["arm", *(f">{_SHORT.get(each, each)}" for each in order)]
    console.print(table(columns, ((arm, *(cell(each, arm) for each in order)) for arm in arms)))


def show_stopped_arms(console: Console, report: RunReport) -> None:
    """Print a sentence for each arm that was stopped because it does harm, also where it has another text now and runs again."""
    for row in report.learned.stops.to_dicts():
        arm, trigger, rate, others = row["arm"], row["trigger"], percent(row["rate"]), percent(row["others_rate"])
        sure = f"{percent(row['confidence'])} sure that it"
        if row["in_force"]:
            said = f"{arm} was stopped upon {trigger}: it succeeds {rate} of the time, the others {others}; {sure} does harm"
        else:
            earlier = f"{arm} has another text upon {trigger}; its earlier text was stopped"
            said = f"{earlier}: it succeeded {rate} of the time, the others {others}; {sure} did harm"
        lines(console, Text(plain(said), style="yellow" if row["in_force"] else "dim"))


def show_arms(console: Console, facts: Facts, tenant: str) -> None:
    """Print the arms that the bandit chose, over all triggers; each believed success rate is weighted by the evidence for it."""
    arms = facts.rows(
        """
        SELECT arm, sum(decided) AS decided, decided / sum(decided) OVER () AS share, sum(shown) AS shown, sum(clicked) AS clicked,
            sum(success) AS success, sum(failure) AS failure, if(success + failure = 0, NULL, success / (success + failure)) AS rate,
            any(believed) AS believed
        FROM guidance_performance AS g
        LEFT JOIN (
            SELECT arm, toNullable(sum(mean * weight) / sum(weight)) AS believed FROM arm_posteriors_latest
            WHERE tenant_id = {tenant:String} AND context = '*' GROUP BY arm
        ) AS p USING (arm)
        WHERE tenant_id = {tenant:String} AND experiment_group = {group:String} GROUP BY arm ORDER BY decided DESC
        """,
        tenant=tenant,
        group=ADAPTIVE,
    )
    if arms:
        heading(console, "Arms over all triggers", f"{_decisions(arms)} of the bandit; success: shown, and the step completed in time")
        console.print(_arm_table(arms))
        mixed = "Steps are not equally easy upon each trigger, and arms not equally frequent: compare arms within a trigger, below."
        closed = "A decision is a success or not once its attribution window has closed: failures are not known before."
        lines(console, Text(closed, style="dim"), Text(mixed, style="dim"))


def show_arms_by_trigger(console: Console, facts: Facts, tenant: str) -> None:
    """Print every arm that the bandit chose upon each trigger, then those of the rules."""
    rows = facts.rows(
        """
        SELECT g.trigger AS trigger, g.arm AS arm, g.decided AS decided, g.decided / sum(g.decided) OVER (PARTITION BY g.trigger) AS share,
            g.shown AS shown, g.clicked AS clicked, g.success AS success, g.failure AS failure, g.nudge_conversion_rate AS rate,
            p.mean AS believed
        FROM guidance_performance AS g
        LEFT JOIN (SELECT tenant_id, trigger, arm, toNullable(mean) AS mean FROM arm_posteriors_latest WHERE context = '*') AS p
            ON p.tenant_id = g.tenant_id AND p.trigger = g.trigger AND p.arm = g.arm
        WHERE g.tenant_id = {tenant:String} AND g.experiment_group = {group:String} ORDER BY trigger, decided DESC
        """,
        tenant=tenant,
        group=ADAPTIVE,
    )
    triggers: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        triggers[row["trigger"]].append(row)
    for trigger, arms in triggers.items():
        heading(console, f"Arms upon {plain(trigger)}", _decisions(arms))
        console.print(_arm_table(arms))
    by_rule = facts.rows(
        """
        SELECT trigger, arm, decided, shown, clicked, success, failure, nudge_conversion_rate AS rate FROM guidance_performance
        WHERE tenant_id = {tenant:String} AND experiment_group = {group:String} ORDER BY trigger, decided DESC
        """,
        tenant=tenant,
        group=RULES,
    )
    if by_rule:
        heading(console, "Arms of the group rules", f"{_decisions(by_rule)}: always the first eligible arm, without the bandit")
        cells = ((row["trigger"], row["arm"], *_outcomes(row)) for row in by_rule)
        console.print(table(["trigger", "arm", ">decided", ">shown", ">clicked", ">success", ">rate"], cells))


def _decisions(arms: Iterable[dict[str, Any]]) -> str:
    return count(sum(arm["decided"] for arm in arms), "decision")


def _outcomes(row: dict[str, Any]) -> tuple[str, ...]:
    success = f"{number(row['success'])}/{number(row['success'] + row['failure'])}"
    return number(row["decided"]), number(row["shown"]), number(row["clicked"]), success, percent(row["rate"])


def _arm_table(arms: Iterable[dict[str, Any]]) -> Padding:
    rows = []
    for row in arms:
        decided, *outcomes = _outcomes(row)
        rows.append((row["arm"], decided, percent(row["share"]), *outcomes, decimal(row["believed"])))
    return table(["arm", ">decided", ">share", ">shown", ">clicked", ">success", ">rate", ">belief"], rows)
