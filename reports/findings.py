"""A verdict as tables: what ``onramp demo`` ends in, and half of ``onramp report``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from rich.console import Console
from rich.text import Text

from evaluation.evidence import ADAPTIVE, HOLDOUT
from reports.charts import Line, show_chart
from reports.plain import plain
from reports.run_report import newest_choices
from reports.run_report_json import by_trigger
from reports.screen import bar, decimal, heading, hours, lines, number, percent, table
from state.duration import HOUR

if TYPE_CHECKING:
    from evaluation.effect import Lift
    from evaluation.stuck_bounds import Rule
    from reports.run_report import RunReport

_SHORT: Final = {
    "step_completed": "done",
    "stuck:inactive": "idle",
    "stuck:errors": "errors",
    "stuck:rage_clicks": "rage",
    "stuck:looping": "loops",
    "stuck:slow_step": "slow",
}
_SHOWN_FROM: Final = 50  # people: an interval over fewer fills the whole chart


def points(value: float | None) -> str:
    """A difference of rates in percentage points, or a dash."""
    return "–" if value is None else f"{100 * value:+.1f}".replace("-", "−")


def show_effect(console: Console, verdict: RunReport, *, chart: bool = True) -> None:
    """Whether guidance makes the difference."""
    report = verdict.effect
    people = sum(group.people for group in report.groups)
    heading(console, "Activation within 7 days", f"{number(people)} people; {number(report.immature)} are too new to count")
    true = report.true_lift
    rows = [
        (
            group.group,
            number(group.people),
            number(group.activated),
            percent(group.rate),
            percent(true.untreated) if true is not None and group.group == ADAPTIVE else "",
        )
        for group in report.groups
        if group.people
    ]
    if not rows:
        lines(console, Text("Nobody signed up 7 days ago or longer, so there is nothing to compare yet.", style="dim"))
        return
    columns = ["group", ">people", ">activated", ">rate", ">their untreated twins"]
    width = len(columns) if true is not None else len(columns) - 1
    console.print(table(columns[:width], (row[:width] for row in rows)))
    if not report.lifts:
        lines(console, Text("No two groups can be compared yet: nobody of a group has had 7 days.", style="dim"))
        return
    console.print()
    head = ["lift in points", ">estimate", ">valid at every look", ">true", "verdict"]
    shown = (
        (
            f"{lift.treated} − {lift.control}",
            points(lift.lift),
            f"{points(lift.lower)} to {points(lift.upper)}",
            points(true.lift) if true is not None and (lift.treated, lift.control) == (ADAPTIVE, HOLDOUT) else "",
            _claim(lift),
        )
        for lift in report.lifts
    )
    console.print(table(head, shown) if true is not None else table([*head[:3], head[4]], ((*row[:3], row[4]) for row in shown)))
    lift = report.lift_of(ADAPTIVE, HOLDOUT)
    if chart and lift is not None:
        _lift_chart(console, lift)


def _claim(lift: Lift) -> str:
    if lift.claimed_after is not None:
        return f"proven after {number(lift.claimed_after)} people"
    return "harm is proven" if lift.upper < 0 else "not proven so far"


def _lift_chart(console: Console, lift: Lift) -> None:
    path = lift.path
    shown = path.seen >= _SHOWN_FROM
    if int(shown.sum()) < 2:
        return
    seen = path.seen[shown].tolist()
    reach = min(1.0, max(0.1, 2.0 * max(abs(lift.lower), abs(lift.upper))))
    drawn = [
        Line("at most", seen, np.clip(path.upper[shown], -1, 1).tolist()),
        Line("lift", seen, path.estimate[shown].tolist()),
        Line("at least", seen, np.clip(path.lower[shown], -1, 1).tolist()),
    ]
    show_chart(
        console, drawn, limits=(-reach, reach), ticks=[-reach / 2, 0, reach / 2], value=lambda y: f"{100 * y:+.0f}".replace("+0", "0"),
        x_name=f"people of {lift.treated} and {lift.control}",
    )  # fmt: skip


def show_stuck(console: Console, verdict: RunReport) -> None:
    """How good the alarms are: by the truth, or else by held-out people."""
    hidden = verdict.hidden
    card = verdict.stuck if hidden is None else hidden.stuck
    score = card.score
    judged = "by the truth" if hidden is not None else "by held-out people"
    note = f"{percent(score.prevalence)} of {number(score.episodes)} episodes are, {judged}" if score.episodes else ""
    heading(console, "Stuck, as noticed and in truth" if hidden is not None else "Stuck, as noticed", note)
    if not score.episodes:
        lines(console, Text(_why_no_episode(verdict), style="dim"))
        return
    rows: list[tuple[str, ...]] = []
    if hidden is not None:
        for name, row in by_trigger(card).items():
            rows.append((str(name), number(row["alarms"]), percent(row["precision"]), number(row["episodes"]), percent(row["recall"])))
    else:
        alarms = card.score.by_trigger.to_dicts()
        rows += [(row["trigger"], number(row["alarms"]), percent(row["precision"]), "", "") for row in alarms]
    rows.append(("all signs", number(score.alarms), percent(score.precision), number(score.positives), percent(score.recall)))
    for name, rule in (("best fixed timeout", card.bounds.best_timeout), ("knowing the cause", card.bounds.ceiling)):
        if name == "best fixed timeout" or hidden is not None:
            rows.append(_rule(name, rule))
    console.print(table(["sign", ">alarms", ">right", ">stuck so", ">found in time"], rows))
    told = []
    if score.lead is not None:
        told.append(f"alarms come {hours(score.lead / HOUR)} (median) before somebody counts as lost")
    if card.calibration is not None:
        told.append(f"scores are off by {100 * card.calibration.error:.1f} points")
    if card.alone is not None:
        told.append(f"{percent(card.alone)} of the alarmed would have recovered alone")
    if told:
        lines(console, Text("; ".join(told), style="dim"))


def _why_no_episode(verdict: RunReport) -> str:
    if verdict.hidden is None:
        return "Too few held-out people have completed a step to judge by."
    if not verdict.hidden.horizons:
        return "The truth has no horizons: after how long somebody counts as stuck at a step is not known."
    return "Nobody has been at a step for as long as its horizon, or was at one that has none."


def _rule(name: str, rule: Rule) -> tuple[str, ...]:
    return (name, number(rule.alarms), percent(rule.precision), "", percent(rule.recall))


def show_bandit(console: Console, verdict: RunReport, *, chart: bool = True) -> None:
    """What the choices were worth; only a truth can tell."""
    card = verdict.hidden.bandit if verdict.hidden is not None else None
    if card is None:
        return
    newest = card.newest
    heading(console, "What the bandit's choices are worth", f"success, newest fifth of {number(card.overall.decisions)}")
    values = [
        ("random choice", newest.uniform),
        ("best single arm", newest.best_fixed),
        ("this engine", newest.policy),
        ("best policy", newest.best_policy),
    ]
    if card.reference is not None:
        values.append(("knows the prior", card.reference.value))
    way = newest.best_policy - newest.uniform
    rows = []
    for name, value in sorted(values, key=lambda pair: pair[1]):
        gone = (value - newest.uniform) / way if way > 1e-9 else None
        style = "bold" if name == "this engine" else ""
        rows.append((Text(name, style=style), Text(f"{value:.3f}", style=style), percent(gone), bar(gone or 0.0, 24)))
    console.print(table(["who chooses", ">value", ">of the way", ""], rows))
    if chart:
        _regret_chart(console, verdict)


def _regret_chart(console: Console, verdict: RunReport) -> None:
    from reports.regrets import regrets

    assert verdict.hidden is not None
    assert verdict.hidden.bandit is not None
    found = regrets(verdict.hidden.bandit)
    size = len(verdict.hidden.bandit.shown.log)
    if size < 20:
        return
    places = np.unique(np.linspace(0, size - 1, 200).round().astype(int))
    drawn = [Line(name, (places + 1).tolist(), line[places].tolist()) for name, line in found.items()]
    top = max(1.0, *(max(line.ys) for line in drawn))
    low = min(0.0, *(min(line.ys) for line in drawn))
    show_chart(
        console, drawn, limits=(low, top), ticks=[0, top / 2, top], value=lambda y: f"{y:,.0f}", x_name="successes given away",
    )  # fmt: skip


def show_arms(console: Console, verdict: RunReport) -> None:
    """Every arm at every trigger in one table: its share of the newest choices and what is believed of it."""
    shares = newest_choices(verdict.evidence)
    if not shares:
        return
    believed = {(row["trigger"], row["arm"]): row["mean"] for row in verdict.learned.posteriors.filter(pl.col("context") == "*").to_dicts()}
    stopped = {(row["trigger"], row["arm"]) for row in verdict.learned.stops.to_dicts()}
    order = list(shares)
    arms = sorted({*(arm for row in shares.values() for arm in row), *(arm for _, arm in stopped)})
    heading(console, "Arms by trigger", "% of the newest choices, and success believed")

    def cell(trigger: str, arm: str) -> str:
        if (trigger, arm) in stopped:
            return "stopped"
        part = f"{100 * shares[trigger].get(arm, 0.0):.0f}"
        return f"{part} {decimal(believed.get((trigger, arm))).removeprefix('0')}"

    console.print(
        table(["arm", *(f">{_SHORT.get(each, each)}" for each in order)], ((arm, *(cell(each, arm) for each in order)) for arm in arms))
    )
    show_stops(console, verdict)


def show_stops(console: Console, verdict: RunReport) -> None:
    """Arms that were stopped because they do harm, a sentence each."""
    for row in verdict.learned.stops.to_dicts():
        rates = f"it succeeds {percent(row['rate'])} of the time, the others {percent(row['others_rate'])}"
        why = f"{rates}; {percent(row['confidence'])} sure that it does harm"
        lines(console, Text(plain(f"{row['arm']} was stopped upon {row['trigger']}: {why}"), style="yellow"))


def show_trust(console: Console, verdict: RunReport) -> None:
    """Whether the figures are to be believed."""
    heading(console, "Can this be believed?")
    groups, shown = verdict.groups, verdict.shown
    told: list[tuple[bool, str]] = []
    if groups is not None:
        counts = ", ".join(f"{name} {number(count)}" for name, count in groups.counts.items())
        have = "group sizes are as promised" if groups.ok else "group sizes are not as promised"
        told.append((groups.ok, f"{have} ({counts}; p = {groups.p_value:.2g})"))
    if shown.rates.height:
        told.append((shown.ok, f"being shown {'does not depend' if shown.ok else 'depends'} on the arm (p = {shown.p_value:.2g})"))
    good = [finding for finding in verdict.findings if finding.ok]
    if good:
        told.append((True, f"{len(good)} of {len(verdict.findings)} checks of the records found nothing wrong"))
    told += [(False, f"{finding.name}: {finding.detail}") for finding in verdict.faults]
    for ok, sentence in told:
        lines(console, Text.assemble(("yes  ", "green") if ok else ("NO   ", "bold red"), plain(sentence)))


def show_steps(console: Console, verdict: RunReport, most: int = 12) -> None:
    """How long each step takes people alone: observed among those held out, and as the engine has learned it."""
    learned = {row["step_id"]: row for row in verdict.learned.steps.to_dicts()}
    if not verdict.steps:
        return
    heading(console, "How long steps take alone", "held-out people, then what was learned; H: nine in ten")

    def after(value: float | None) -> str:
        return hours(None if value is None else value / HOUR)

    rows = []
    for curve in verdict.steps[:most]:
        known = learned.get(curve.step, {})
        rows.append(
            (
                curve.step,
                number(curve.people),
                _whole(1.0 - float(curve.observed.surviving[-1]) if curve.observed.times.size else None),
                after(curve.observed.quantile_among_completers(0.5)),
                after(curve.observed.quantile_among_completers(0.9)),
                _whole(known.get("completion_share")),
                after(known.get("median_ms")),
                after(known.get("horizon_ms")),
            )
        )
    console.print(table(["step", ">people", ">done", ">median", ">H", ">learned", ">median", ">H"], rows))
    if len(verdict.steps) > most:
        lines(console, Text(f"and {len(verdict.steps) - most} steps that fewer came to", style="dim"))


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
