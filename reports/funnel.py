"""Activation, time to activation, and the funnel of each path, from the views in ClickHouse."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from evaluation.sequences import wilson
from reports.render import bar, heading, hours, lines, number, percent, table
from state.plain_text import plain
from state.quantity import count

if TYPE_CHECKING:
    from reports.facts import Facts

_EDGES: Final = (0, 1, 4, 12, 24, 48, 96, 168, 336)
_NAMES: Final = ("under 1 h", "1–4 h", "4–12 h", "12–24 h", "1–2 d", "2–4 d", "4–7 d", "7–14 d", "over 14 d")


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
    taken = f"dateDiff('millisecond', assumeNotNull({began}), assumeNotNull(activated_at)) / 3600000"
    found = facts.rows(
        f"SELECT roundDown(hours, {list(_EDGES)}) AS bucket, count() AS people FROM (SELECT {taken} AS hours "  # noqa: S608 -- constants
        "FROM counted_people WHERE tenant_id = {tenant:String} AND activated_at IS NOT NULL) GROUP BY bucket",
        tenant=tenant,
    )
    if not found:
        return
    spread = facts.rows(
        f"SELECT quantilesExactInclusive(0.25, 0.5, 0.75, 0.9)({taken}) AS at "  # noqa: S608 -- constants
        "FROM counted_people WHERE tenant_id = {tenant:String} AND activated_at IS NOT NULL",
        tenant=tenant,
    )[0]["at"]
    note = ", ".join(f"{name} {hours(value)}" for name, value in zip(("p25", "p50", "p75", "p90"), spread, strict=True))
    heading(console, "Time from sign-up to activation", note)
    counts = {int(row["bucket"]): row["people"] for row in found}
    most = max(counts.values())
    rows = [(name, number(counts.get(edge, 0)), bar(counts.get(edge, 0) / most, 40)) for edge, name in zip(_EDGES, _NAMES, strict=True)]
    while not counts.get(_EDGES[len(rows) - 1]):
        rows.pop()
    console.print(table(["after", ">users", ""], rows))


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
