"""Stuck detection as tables: how good the alarms are, where users get stuck, and how long steps take without help."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from evaluation.frontier import LEAST_STUCK
from reports.render import heading, hours, lines, number, percent, table
from reports.report_json import by_trigger
from state.duration import HOUR
from state.plain_text import plain
from state.quantity import count
from state.stuck.operating_point import ENOUGH

if TYPE_CHECKING:
    from evaluation.frontier import Frontier
    from evaluation.stuck import StuckScore
    from evaluation.stuck_bounds import Rule
    from reports.facts import Facts
    from reports.run_report import Learned, RunReport, StuckReport


_MOST_ROWS: Final = 12
WHAT_H_IS: Final = "H: nine in ten who complete the step without help take no longer."


def show_stuck(console: Console, report: RunReport) -> None:
    """Print how good the alarms are: judged by the truth where there is one, else by held-out users."""
    truth = report.truth
    stuck = report.stuck if truth is None else truth.stuck
    score = stuck.score
    judge = "the truth" if truth is not None else "held-out users"
    note = f"{count(score.episodes, 'time')} a user was at a step, {percent(score.prevalence)} stuck, by {judge}" if score.episodes else ""
    heading(console, "Stuck users", note)
    if not score.episodes:
        lines(console, Text(_why_no_episode(report), style="dim"))
        return
    if score.precision is not None and score.recall is not None:
        right, found = f"{100 * score.precision:.0f} % of the alarms are right", f"{100 * score.recall:.0f} %"
        lines(console, Text(f"{right}; {found} of the times a user was stuck are found in time."), Text(in_session(score)))
    lines(console, *(Text(sentence) for sentence in [against_time_alone(report.frontier), *out_of_reach(report.learned)]))
    rows: list[tuple[str, ...]] = []
    if truth is not None:
        for name, row in by_trigger(stuck).items():
            rows.append((str(name), number(row["alarms"]), percent(row["precision"]), number(row["episodes"]), percent(row["recall"])))
    else:
        rows += [(row["trigger"], number(row["alarms"]), percent(row["precision"]), "", "") for row in score.by_trigger.to_dicts()]
    rows.append(("all signals", number(score.alarms), percent(score.precision), number(score.positives), percent(score.recall)))
    rows.append(_rule("best fixed timeout *", stuck.bounds.best_timeout))
    if truth is not None:
        rows.append(_rule("knows the cause *", stuck.bounds.ceiling))
    console.print(table(["signal", ">alarms", ">right", ">stuck", ">found in time"], rows))
    lines(
        console,
        *(Text(sentence, style="dim") for sentence in _footnotes(stuck, truth=truth is not None, tells_of_h=report.frontier.comparable)),
    )


def against_time_alone(found: Frontier) -> str:
    """Say whether the scores rank the stuck worse than time alone anywhere, and where; or that too few were stuck to say."""
    if not found.comparable:
        few = min((min(look.stuck, look.people - look.stuck) for look in found.looks), default=0)
        said = "Too few users without guidance to compare scores with time alone"
        return f"{said}: they were stuck, or were not, {count(few, 'time')} at one look; it takes {LEAST_STUCK}."
    first = found.looks[0]
    waited = f"the {count(first.people, 'time')} that a user without guidance still waited at a step at {first.share:g} H"
    judges = f"{waited}; {count(first.stuck, 'time')} the user was stuck"
    pairs = [(look, look.engine.average, look.time_alone.average) for look in found.looks if look.engine and look.time_alone]
    if not found.below:
        least, most = (f"{extreme(mine - plain for _, mine, plain in pairs):+.3f}" for extreme in (min, max))
        return f"Scores are nowhere below time alone: average precision {least} to {most}, by {judges}."
    below = {look.share for look in found.below}
    where = ", ".join(f"{look.share:g} H ({mine:.3f}, time {plain:.3f})" for look, mine, plain in pairs if look.share in below)
    return f"Scores are below time alone at {where} in average precision, by {judges}."


def in_session(score: StuckScore) -> str:
    """Say how often a stuck user was noticed while they were still there, and how many of these alarms were right."""
    there = score.in_session
    stuck = f"the {count(score.positives, 'time')} that a user was stuck"
    seen = "noticed while they were still there, in the session"
    if not there.alarms:
        return f"None of {stuck} was {seen}."
    right = f"{percent(there.precision)} of these {count(there.alarms, 'alarm')} are right"
    return f"Of {stuck}, {count(there.matched, 'was', 'were')} {seen}; {right}."


def who_went_on(found: Frontier) -> list[str]:
    """Say of how many right alarms the user was not lost, among users without guidance; nothing without a right alarm."""
    if not found.right:
        return []
    right = f"After {found.went_on:,} of the {count(found.right, 'right alarm')} of users without guidance"
    return [f"{right} the user completed a later step, without help."]


def show_alarms_by_step(console: Console, report: RunReport, most: int = 5) -> None:
    """Print the alarms of users without guidance by step, and what to do where most users of right ones went on."""
    found, without = report.frontier, report.evidence.in_force().get("steps_without_alarms") or ()
    advice = [Text(plain(sentence)) for sentence in _advice(found, without)]
    if not found.alarms:
        lines(console, *advice)
        return
    heading(console, "Alarms by step", "of users without guidance; went on: of the right, who completed a later step without help")
    lines(console, *map(Text, who_went_on(found)))
    rows = ((each.step, *map(number, (each.stuck, each.alarms, each.right, each.went_on))) for each in found.by_step[:most])
    console.print(table(["~step", ">stuck", ">alarms", ">right", ">went on"], rows))
    if len(found.by_step) > most:
        lines(console, Text(f"and {count(len(found.by_step) - most, 'step')} with fewer alarms; --json has all", style="dim"))
    lines(console, *advice)


def _advice(found: Frontier, without_alarms: Collection[str]) -> Iterator[str]:
    for each in found.by_step:
        if each.mostly_went_on and each.step not in without_alarms:
            yield (
                f"Most users of right alarms at {each.step} were not lost ({each.went_on:,} of {each.right:,}): they took longer than is "
                "usual there (H), and went on without help. If users may leave the step out, `alarms: false` in the catalog raises none "
                "there; if not, help there makes most of them faster, and wins few."
            )
    quiet = [each for each in found.by_step if each.step in without_alarms]
    if quiet:
        times, where = f"{sum(each.stuck for each in quiet):,} of the {count(found.stuck, 'time')}", ", ".join(each.step for each in quiet)
        yield f"{times} that a user was stuck were at steps where the catalog raises no alarm ({where}), and count as not found."


def out_of_reach(learned: Learned) -> list[str]:
    """A sentence where the precision that the catalog asks for is out of reach, once enough episodes have ended to say so."""
    for row in learned.alarms.iter_rows(named=True):
        if row["episodes"] < ENOUGH or row["reachable"]:
            continue
        asked, best = f"The asked precision of {percent(row['asked_precision'])} is out of reach", percent(row["precision"])
        seen = f"by the {count(row['episodes'], 'time')} that a past user was at a step"
        if row["threshold"] is None:
            return [f"{asked}, {seen}: {best} is, below the catalog's floor, so no alarm is raised."]
        found = f"{percent(row['recall'])} of the times a user was stuck"
        now = f"at the scores in force now {best} of alarms would have been right, the best in reach, and {found} found"
        return [f"{asked}, {seen}: {now}. The share above is of all alarms so far."]
    return []


def _footnotes(stuck: StuckReport, *, truth: bool, tells_of_h: bool) -> list[str]:
    timeout = "* Chosen afterwards: the one timeout that fits these users best"
    causes = "; and alarms that know the hidden cause" if truth else ""
    notes = [f"{timeout}{causes}. A user counts once for each step."]
    if tells_of_h:
        notes.append(WHAT_H_IS)
    if stuck.score.lead is not None:
        notes.append(f"Half of the right alarms come {hours(stuck.score.lead / HOUR)} or more before the user counts as lost.")
    if stuck.calibration is not None:
        off = f"off by {100 * stuck.calibration.error:.1f} points"
        notes.append(f"The scores of the {count(stuck.calibration.alarms, 'alarm')} are {off}.")
    if stuck.recovered_alone is not None:
        notes.append(f"After {percent(stuck.recovered_alone)} of the alarms the user recovered without help.")
    return notes


def _why_no_episode(report: RunReport) -> str:
    if report.truth is None:
        return "No held-out user has been at a step for as long as its horizon yet."
    if not report.truth.horizons:
        return "The truth has no horizons: after how long a user counts as stuck at a step is not known."
    return "No user has been at a step for as long as its horizon, or the steps have none."


def _rule(name: str, rule: Rule) -> tuple[str, ...]:
    return (name, number(rule.alarms), percent(rule.precision), "", percent(rule.recall))


def show_stuck_by_step(console: Console, facts: Facts, tenant: str) -> None:
    """Print at which steps users get stuck most, over all paths."""
    rows = facts.rows(
        """
        SELECT step_id, trigger, count() AS signals, uniqExact(if(v.user_id = '', s.user_id, v.user_id)) AS people
        FROM stuck_signals_final AS s LEFT JOIN users_of_visitors AS v ON v.tenant_id = s.tenant_id AND v.visitor_id = s.user_id
        WHERE s.tenant_id = {tenant:String} GROUP BY step_id, trigger ORDER BY signals DESC, step_id, trigger
        """,
        tenant=tenant,
    )
    if not rows:
        return
    heading(console, "Where users get stuck", f"{count(sum(row['signals'] for row in rows), 'signal')}, most frequent first")
    shown = ((row["step_id"], row["trigger"], number(row["signals"]), number(row["people"])) for row in rows[:_MOST_ROWS])
    console.print(table(["step", "signal", ">signals", ">users"], shown))
    if len(rows) > _MOST_ROWS:
        hint = "`onramp sql 'SELECT * FROM stuck_signals_by_step'` shows all"
        lines(console, Text(f"and {len(rows) - _MOST_ROWS:,} more; {hint}", style="dim"))


def show_step_durations(console: Console, report: RunReport) -> None:
    """Print how long each step takes without help: observed among users without guidance, and as the engine has learned it."""
    learned = {row["step_id"]: row for row in report.learned.steps.to_dicts()}
    if not report.steps:
        return
    heading(console, "How long steps take without help", "users without guidance over all time, then the newest that was learned, with H")

    def after(value: float | None) -> str:
        return hours(None if value is None else value / HOUR)

    rows = []
    for curve in report.steps[:_MOST_ROWS]:
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
    console.print(table(["step", ">users", ">done", ">median", ">9 in 10", ">learned", ">median", ">H"], rows))
    if len(report.steps) > _MOST_ROWS:
        lines(console, Text(f"and {count(len(report.steps) - _MOST_ROWS, 'step')} that fewer users reached", style="dim"))


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
