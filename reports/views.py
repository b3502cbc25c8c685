"""The usual questions as tables: what ``onramp report`` prints, and most of what ``onramp demo`` ends in.

Each function asks the views of one tenant and prints one section, or nothing where there is nothing to tell.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from cli.stores import Facts
from reports.plain import plain
from reports.screen import bar, decimal, heading, hours, lines, number, percent, table
from state.vocabulary import REASONS

_EDGES: Final = (0, 1, 4, 12, 24, 48, 96, 168, 336)
_NAMES: Final = ("under 1 h", "1–4 h", "4–12 h", "12–24 h", "1–2 d", "2–4 d", "4–7 d", "7–14 d", "over 14 d")


def show_activation(console: Console, facts: Facts, tenant: str) -> None:
    """How many, how fast, and whether guidance makes the difference."""
    people = facts.rows("SELECT * FROM activation WHERE tenant_id = {tenant:String}", tenant=tenant)
    if not people:
        return
    row = people[0]
    heading(console, "Activation", f"{number(row['activated'])} of {number(row['people'])} people, {percent(row['activation_rate'])}")
    groups = facts.rows("SELECT * FROM experiment_groups WHERE tenant_id = {tenant:String}", tenant=tenant)
    columns = ["group", ">people", ">activated", ">rate", ">95 % interval", ">p50"]
    console.print(
        table(
            columns,
            (
                (
                    group["experiment_group"],
                    number(group["people"]),
                    number(group["activated"]),
                    percent(group["activation_rate"]),
                    _interval(group["activated"], group["people"]),
                    hours(group["time_to_activation_p50_hours"]),
                )
                for group in groups
            ),
        )
    )


def _interval(successes: int, people: int) -> str:
    """95 % interval of a rate that was looked at once (Wilson 1927, J. Am. Stat. Assoc. 22:209)."""
    if not people:
        return "–"
    z, rate = 1.96, successes / people
    middle = (rate + z * z / (2 * people)) / (1 + z * z / people)
    reach = z * math.sqrt(rate * (1 - rate) / people + z * z / (4 * people * people)) / (1 + z * z / people)
    return f"{100 * max(middle - reach, 0):.1f}–{100 * min(middle + reach, 1):.1f} %"


def show_time_to_activation(console: Console, facts: Facts, tenant: str) -> None:
    """A small plot."""
    taken = (
        "dateDiff('millisecond', assumeNotNull(coalesce(signup_at, first_seen_at, activated_at)), assumeNotNull(activated_at)) / 3600000"
    )
    found = facts.rows(
        f"SELECT roundDown(hours, {list(_EDGES)}) AS bucket, count() AS people FROM (SELECT {taken} AS hours "  # noqa: S608 -- constants
        "FROM people_final WHERE tenant_id = {tenant:String} AND activated_at IS NOT NULL) GROUP BY bucket",
        tenant=tenant,
    )
    if not found:
        return
    spread = facts.rows(
        f"SELECT quantilesExactInclusive(0.25, 0.5, 0.75, 0.9)({taken}) AS at "  # noqa: S608 -- constants
        "FROM people_final WHERE tenant_id = {tenant:String} AND activated_at IS NOT NULL",
        tenant=tenant,
    )[0]["at"]
    note = ", ".join(f"{name} {hours(value)}" for name, value in zip(("p25", "p50", "p75", "p90"), spread, strict=True))
    heading(console, "Time from sign-up to activation", note)
    counts = {int(row["bucket"]): row["people"] for row in found}
    most = max(counts.values())
    rows = [(name, number(counts.get(edge, 0)), bar(counts.get(edge, 0) / most, 40)) for edge, name in zip(_EDGES, _NAMES, strict=True)]
    while not counts.get(_EDGES[len(rows) - 1]):
        rows.pop()
    console.print(table(["after", ">people", ""], rows))


def show_funnels(console: Console, facts: Facts, tenant: str, most: int | None = None) -> None:
    """Each path's steps, the path with most people first; ``most`` paths at most."""
    rows = facts.rows("SELECT * FROM funnel_by_step WHERE tenant_id = {tenant:String} ORDER BY path_id, position", tenant=tenant)
    paths: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        paths[row["path_id"]].append(row)
    ordered = sorted(paths.items(), key=lambda item: -max(step["reached"] for step in item[1]))
    for path, steps in ordered[:most]:
        entered = max(step["reached"] for step in steps)
        heading(console, f"Path {plain(path)}", f"{number(entered)} people; bars: who completed it")
        console.print(
            table(
                ["step", ">reached", ">completed", ">rate", ">median", ""],
                (
                    (
                        step["step_id"],
                        number(step["reached"]),
                        number(step["completed"]),
                        percent(step["step_completion_rate"]),
                        hours(step["median_hours"]),
                        bar(step["completed"] / entered if entered else 0, 16),
                    )
                    for step in steps
                ),
            )
        )
    if most is not None and len(ordered) > most:
        lines(console, Text(f"and {len(ordered) - most} smaller paths: see `onramp report`", style="dim"))


def show_arms(console: Console, facts: Facts, tenant: str) -> None:
    """The arms over all triggers, each believed success rate weighted by the evidence for it."""
    arms = facts.rows(
        """
        SELECT arm, sum(decided) AS decided, decided / sum(decided) OVER () AS share, sum(shown) AS shown, sum(clicked) AS clicked,
            sum(success) AS success, sum(failure) AS failure, if(success + failure = 0, NULL, success / (success + failure)) AS rate,
            any(believed) AS believed
        FROM guidance_performance AS g
        LEFT JOIN (
            SELECT arm, sum(mean * weight) / sum(weight) AS believed FROM arm_posteriors_latest
            WHERE tenant_id = {tenant:String} AND context = '*' GROUP BY arm
        ) AS p USING (arm)
        WHERE tenant_id = {tenant:String} GROUP BY arm ORDER BY decided DESC
        """,
        tenant=tenant,
    )
    if not arms:
        return
    heading(console, "Arms, over all triggers", "success: shown, and the step completed in time")
    _arm_table(console, "arm", [(row["arm"], row) for row in arms])


def show_arms_by_trigger(console: Console, facts: Facts, tenant: str) -> None:
    """Every arm of every trigger."""
    rows = facts.rows(
        """
        SELECT g.trigger AS trigger, g.arm AS arm, g.decided AS decided, s.share AS share, g.shown AS shown, g.clicked AS clicked,
            g.success AS success, g.failure AS failure, g.nudge_conversion_rate AS rate, p.mean AS believed
        FROM guidance_performance AS g
        INNER JOIN arm_share AS s ON s.tenant_id = g.tenant_id AND s.trigger = g.trigger AND s.arm = g.arm
        LEFT JOIN (SELECT tenant_id, trigger, arm, toNullable(mean) AS mean FROM arm_posteriors_latest WHERE context = '*') AS p
            ON p.tenant_id = g.tenant_id AND p.trigger = g.trigger AND p.arm = g.arm
        WHERE g.tenant_id = {tenant:String} ORDER BY trigger, decided DESC
        """,
        tenant=tenant,
    )
    triggers: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        triggers[row["trigger"]].append(row)
    for trigger, arms in triggers.items():
        heading(console, f"Arms upon {plain(trigger)}", f"{number(sum(arm['decided'] for arm in arms))} decisions")
        _arm_table(console, "arm", [(row["arm"], row) for row in arms])


def _arm_table(console: Console, name: str, arms: list[tuple[str, dict[str, Any]]]) -> None:
    console.print(
        table(
            [name, ">decided", ">share", ">shown", ">clicked", ">success", ">rate", ">belief"],
            (
                (
                    label,
                    number(row["decided"]),
                    percent(row["share"]),
                    number(row["shown"]),
                    number(row["clicked"]),
                    f"{number(row['success'])}/{number(row['success'] + row['failure'])}",
                    percent(row["rate"]),
                    decimal(row["believed"]),
                )
                for label, row in arms
            ),
        )
    )


def show_stuck_by_step(console: Console, facts: Facts, tenant: str, most: int = 12) -> None:
    """Where people get stuck most, over all paths."""
    rows = facts.rows(
        """
        SELECT step_id, trigger, sum(signals) AS signals, sum(people) AS people FROM stuck_signals_by_step
        WHERE tenant_id = {tenant:String} GROUP BY step_id, trigger ORDER BY signals DESC, step_id, trigger
        """,
        tenant=tenant,
    )
    if not rows:
        return
    heading(console, "Where people get stuck", f"{number(sum(row['signals'] for row in rows))} signals, most frequent first")
    shown = ((row["step_id"], row["trigger"], number(row["signals"]), number(row["people"])) for row in rows[:most])
    console.print(table(["step", "sign", ">signals", ">people"], shown))
    if len(rows) > most:
        told = "`onramp sql 'SELECT * FROM stuck_signals_by_step'` shows all"
        lines(console, Text(f"and {len(rows) - most:,} more; {told}", style="dim"))


def show_non_decisions(console: Console, facts: Facts, tenant: str) -> None:
    """Why nothing happened, in words."""
    rows = facts.rows(
        """
        SELECT reason, sum(non_decisions) AS times, max(people) AS people FROM non_decisions_by_reason
        WHERE tenant_id = {tenant:String} GROUP BY reason ORDER BY times DESC, reason
        """,
        tenant=tenant,
    )
    if not rows:
        return
    heading(console, "Considered, and nothing shown because", f"{number(sum(row['times'] for row in rows))} times")
    shown = ((row["reason"], number(row["times"]), REASONS.get(row["reason"], "")) for row in rows)
    console.print(table(["reason", ">times", "~in words"], shown))


def show_dead_letters(console: Console, facts: Facts) -> None:
    """What could not become an event. Belongs to no tenant."""
    rows = facts.rows("SELECT * FROM dead_letters_by_reason")
    if not rows:
        return
    heading(console, "Dead letters", f"{number(sum(row['messages'] for row in rows))} messages that could not become events")
    console.print(table(["reason", "input", ">messages"], ((row["reason"], row["topic"], number(row["messages"])) for row in rows)))
