"""What a demo ends in: tables, a few recommendations as the app reads them, and what to type next."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from flows.cli import views
from flows.cli.demo_dir import option_to_read
from flows.cli.figures import show_throughput
from flows.cli.own_name import own_name
from flows.cli.plain import plain
from flows.cli.screen import heading, lines, number, out, percent, table
from flows.cli.stores import Facts
from sinks.recommendation_reader import RecommendationReader
from sources.simulator import Score, Signal, read_truth, score
from state.recommendation import Recommendation

if TYPE_CHECKING:
    from flows.engines import Engines
    from flows.job import Outcome
    from flows.settings import Settings

_TENANT = "default"


def score_of(engines: Engines, truth: Path) -> Score:
    """Compare the stuck signals with what the simulator knows."""
    facts = Facts(engines.store)
    found = facts.frame(
        "SELECT user_id, step_id, toString(trigger) AS trigger, toUnixTimestamp64Milli(detected_at) AS at FROM stuck_signals_final"
    )
    end = facts.rows("SELECT toUnixTimestamp64Milli(max(timestamp)) AS at FROM events")[0]["at"]
    return score(read_truth(truth), (Signal(*row) for row in found.iter_rows()), int(end))


def show_end(engines: Engines, outcome: Outcome, found: Score, asked: Settings, demo: Settings) -> None:
    """Print it all on standard output."""
    console, facts = out(), Facts(engines.store)
    views.show_activation(console, facts, _TENANT)
    views.show_time_to_activation(console, facts, _TENANT)
    views.show_funnels(console, facts, _TENANT, most=3)
    _show_stuck(console, found)
    views.show_arms(console, facts, _TENANT)
    views.show_non_decisions(console, facts, _TENANT)
    sampled = _show_samples(console, engines, facts)
    show_throughput(console, outcome.summary)
    _show_next(console, facts, sampled, option_to_read(asked, demo))


def _show_stuck(console: Console, found: Score) -> None:
    heading(console, "Stuck, as noticed and in truth", "the simulator knows who was stuck, when and why")
    rows = [*found.by_trigger.items(), ("all", found.overall)]
    console.print(
        table(
            ["sign", ">signals", ">true", ">precision", ">episodes", ">found", ">recall"],
            (
                (
                    name,
                    number(row.signals),
                    number(row.true_signals),
                    percent(row.precision),
                    number(row.episodes - row.censored),
                    number(row.found),
                    percent(row.recall),
                )
                for name, row in rows
            ),
        )
    )


def _show_samples(console: Console, engines: Engines, facts: Facts) -> list[str]:
    """A few of the newest recommendations, of different triggers, read from Redis as an app would. Returns whose they are."""
    rows = facts.rows(
        """
        SELECT user_id FROM (
            SELECT user_id, trigger, ui_component, created_at, expires_at FROM recommendations_final
            WHERE tenant_id = {tenant:String} ORDER BY version DESC LIMIT 1 BY user_id
        ) WHERE ui_component != 'none' AND expires_at > (SELECT max(log_time) FROM events)
        ORDER BY created_at DESC LIMIT 1 BY trigger LIMIT 3
        """,
        tenant=_TENANT,
    )
    reader = RecommendationReader(engines.redis_url)
    try:
        records = [reader.read(_TENANT, row["user_id"]) for row in rows]
    finally:
        reader.close()
    shown = [record for record in records if isinstance(record, Recommendation)]
    if not shown:
        return []
    heading(console, "Recommendations as the app reads them from Redis")
    for index, record in enumerate(shown):
        if index:
            console.print()
        lines(
            console,
            Text(f"{plain(record.user_id)}  {record.ui_component} upon {record.trigger} at {plain(record.step_id)}", style="dim"),
            Text(plain(record.message)),
        )
    return [record.user_id for record in shown]


def _show_next(console: Console, facts: Facts, sampled: list[str], options: list[str]) -> None:
    user = _interesting_person(facts)
    heading(console, "What to type next")
    commands: list[tuple[list[str], str]] = []
    if user is not None:
        commands += [(["explain", user], "one person's story")]
    if sampled:
        commands += [(["recommend", sampled[0]], "what the app shows somebody now")]
    commands += [(["report"], "all paths, arms and triggers"), (["sql", "SHOW TABLES"], "ask anything, read-only")]
    typed = [(plain(shlex.join([own_name(), *arguments, *options])), purpose) for arguments, purpose in commands]
    width = max(len(command) for command, _ in typed)
    for command, purpose in typed:
        lines(console, Text.assemble((f"{command:{width}}", "cyan"), (f"  {purpose}", "dim")))
    console.print()


def _interesting_person(facts: Facts) -> str | None:
    """Somebody who was stuck, was shown something, acted on it and activated, and was left alone at another time; in few lines."""
    rows: list[dict[str, Any]] = facts.rows(
        """
        SELECT user_id FROM person_timeline WHERE tenant_id = {tenant:String} GROUP BY user_id
        ORDER BY
            uniqIf(what, kind = 'outcome') + 2 * uniqIf(what, kind = 'signal') + uniqIf(what, kind = 'non_decision')
                + 2 * (countIf(kind = 'outcome' AND what = 'success') > 0) - abs(toInt64(count()) - 45) / 10 DESC,
            user_id
        LIMIT 1
        """,
        tenant=_TENANT,
    )
    return str(rows[0]["user_id"]) if rows else None
