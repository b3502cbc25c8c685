"""Activation, time to activation, and the funnel of each path, from the views in ClickHouse."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from evaluation.sequences import wilson
from reports.render import bar, heading, hours, lines, number, percent, table
from state.duration import DAY, HOUR, MINUTE, SECOND
from state.plain_text import plain
from state.quantity import count

if TYPE_CHECKING:
    from reports.facts import Facts

_UNITS: Final = {"s": SECOND, "min": MINUTE, "h": HOUR, "d": DAY, "y": 365 * DAY}
_BOUNDS: Final = tuple(
    (number * _UNITS[unit], number, unit)
    for unit, numbers in {
        "s": (1, 10, 30),
        "min": (1, 2, 5, 15, 30),
        "h": (1, 2, 4, 8, 12),
        "d": (1, 2, 4, 7, 14, 30, 60, 90, 120, 180, 270),
        "y": (1, 2, 5),
    }.items()
    for number in numbers
)
"""Bounds of the times to activation: in ms, and as they are named."""
_MOST_BOUNDS: Final = 9


def show_activation(console: Console, facts: Facts, tenant: str) -> None:
    """Print how many of the users who begin the onboarding activated and how fast, by group."""
    people = facts.rows("SELECT * FROM activation WHERE tenant_id = {tenant:String}", tenant=tenant)
    if not people:
        return
    row = people[0]
    heading(
        console, "Activation so far", f"{number(row['activated'])} of {count(row['people'], 'user')}, {percent(row['activation_rate'])}"
    )
    known = facts.rows("SELECT * FROM experiment_groups WHERE tenant_id = {tenant:String}", tenant=tenant)
    groups = [group for group in known if group["experiment_group"] != "existing"]
    columns = ["group", ">users", ">activated", ">rate", ">95 % interval", ">p50"]
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
    if len(groups) > 1 and any(group["experiment_group"] == "observing" for group in groups):
        said = "observing: came while the catalog only observed, so their group was not drawn at the start."
        lines(console, Text(f"{said} Do not compare them with the others.", style="dim"))
    outside = "SELECT count() AS n FROM people_final WHERE tenant_id = {tenant:String} AND experiment_group = 'existing'"
    if others := facts.rows(outside, tenant=tenant)[0]["n"]:
        who = count(others, "other user is", "other users are")
        lines(console, Text(f"{who} not counted: by `starts` of the catalog they do not begin the onboarding."))


def _interval(successes: int, people: int) -> str:
    if not people:
        return "–"
    low, high = wilson(successes / people, people)
    return f"{100 * low:.1f}–{100 * high:.1f} %"


def show_time_to_activation(console: Console, facts: Facts, tenant: str) -> None:
    """Print how long activation took, as a bar chart."""
    began = "coalesce(if(signup_at <= activated_at, signup_at, NULL), first_seen_at, activated_at)"  # as the view `activation` has it
    taken = f"dateDiff('millisecond', assumeNotNull({began}), assumeNotNull(activated_at))"
    activated = "FROM counted_people WHERE tenant_id = {tenant:String} AND activated_at IS NOT NULL"
    spread = facts.rows(
        f"SELECT count() AS people, quantilesExactInclusive(0.05, 0.25, 0.5, 0.75, 0.9, 0.95)({taken}) AS at {activated}",
        tenant=tenant,
    )[0]
    if not spread["people"]:
        return
    first, *named, last = spread["at"]
    note = ", ".join(f"{name} {hours(value / HOUR)}" for name, value in zip(("p25", "p50", "p75", "p90"), named, strict=True))
    heading(console, "Time from sign-up to activation", note)
    edges, names = _scale(first, last)
    found = facts.rows(
        f"SELECT roundDown(toFloat64({taken}), {[float(edge) for edge in edges]}) AS bucket, count() AS people {activated} GROUP BY bucket",
        tenant=tenant,
    )
    counts = {int(row["bucket"]): row["people"] for row in found}
    most = max(counts.values())
    rows = [(name, number(counts.get(edge, 0)), bar(counts.get(edge, 0) / most, 40)) for edge, name in zip(edges, names, strict=True)]
    filled = [place for place, edge in enumerate(edges) if counts.get(edge)]
    console.print(table(["after", ">users", ""], rows[filled[0] : filled[-1] + 1]))


def _scale(first: float, last: float) -> tuple[list[int], list[str]]:
    """Buckets for times of which few are below ``first`` and few above ``last`` (ms): where each begins, and its name."""
    below = sum(bound <= first for bound, _, _ in _BOUNDS)
    above = sum(bound <= last for bound, _, _ in _BOUNDS)
    bounds = _BOUNDS[max(0, below - 1) : above + 1]
    bounds = bounds[:: -(-len(bounds) // _MOST_BOUNDS)]
    between = [
        f"{low}–{high} {unit}" if unit == upper else f"{low} {unit}–{high} {upper}" for (_, low, unit), (_, high, upper) in pairwise(bounds)
    ]
    (_, low, unit), (_, high, upper) = bounds[0], bounds[-1]
    return [0, *(bound for bound, _, _ in bounds)], [f"under {low} {unit}", *between, f"over {high} {upper}"]


def show_funnels(console: Console, facts: Facts, tenant: str) -> None:
    """Print each path's steps up to activation, and who went on after it; the path with most users first."""
    rows = facts.rows("SELECT * FROM funnel_by_step WHERE tenant_id = {tenant:String} ORDER BY path_id, position", tenant=tenant)
    paths: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        paths[row["path_id"]].append(row)
    for path, steps in sorted(paths.items(), key=lambda item: -max(step["reached"] for step in item[1])):
        entered = max(step["reached"] for step in steps)
        heading(console, f"Path {plain(path)}", f"{count(entered, 'user')}; past: went on without it; bars: completed, of all")
        way = [step for step in steps if step["reached"] or not step["activated_before"]]
        cells = (
            (
                step["step_id"],
                number(step["reached"]),
                number(step["completed"]),
                number(step["passed"]),
                percent(step["step_completion_rate"]),
                hours(step["median_hours"]),
                bar(step["completed"] / entered if entered else 0, 16),
            )
            for step in way
        )
        console.print(table(["step", ">reached", ">completed", ">past", ">rate", ">median", ""], cells))
        _show_after_activation(console, steps)


def _show_after_activation(console: Console, steps: list[dict[str, Any]]) -> None:
    activated = max(step["activated_before"] for step in steps)
    went_on = [step for step in steps if step["completed_after_activation"]]
    if not activated and not went_on:
        return
    done = ", ".join(f"{plain(step['step_id'])} {number(step['completed_after_activation'])}" for step in went_on)
    names = ", ".join(plain(step["step_id"]) for step in steps if step["activated_before"])
    said = f"completed after activation: {done}" if went_on else f"none went on to {names}"
    before = f"{number(activated)} activated before the rest of the path; " if activated else ""
    lines(console, Text(f"{before}{said}", style="dim"))
