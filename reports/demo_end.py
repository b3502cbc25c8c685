"""What a demo ends in: tables, a few recommendations as the app reads them, and what to type next."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from cli.demo_dir import option_to_read
from cli.prog_name import prog_name
from cli.stores import Facts
from evaluation.scenarios import SCENARIOS
from evaluation.truth import TruthError, read_truth
from reports import findings, model_texts, views
from reports.evidence_reader import load
from reports.figures import show_throughput, show_unused
from reports.plain import plain
from reports.plots import draw_all
from reports.run_report import Design, judge, read_learned
from reports.run_report_json import truth_json
from reports.screen import heading, lines, out
from reports.wordings import several
from sinks.redis.reader import RecommendationReader
from state.records.recommendation import Recommendation

if TYPE_CHECKING:
    from evaluation.truth import SealedTruth
    from flows.engines import Engines
    from flows.job import ClosedLoop, RunResult
    from flows.settings import Settings
    from reports.model_texts import Texts
    from reports.run_report import RunReport

_TENANT = "default"


def conclude(engines: Engines, outcome: RunResult, loop: ClosedLoop, asked: Settings, demo: Settings, *, silent: bool) -> dict[str, Any]:
    """Judge the run, draw the plots and, unless ``silent``, print it all on standard output. Returns what JSON has under ``truth``
    and, where a model was asked, under ``llm``.

    Raises ``TruthError`` for a truth that cannot be read.
    """
    facts = Facts(engines.store)
    options = option_to_read(asked, demo)
    truth = _read(loop.truth, options)
    evidence = load(facts.frame, _TENANT)
    verdict = judge(evidence, read_learned(facts.frame, _TENANT), Design.of(loop.catalog), truth)
    plots = draw_all(verdict, demo.data_dir / "plots")
    texts = model_texts.read(facts, _TENANT)
    if not silent:
        _show_scenario(out(), loop.begin.scenario)
        _show(engines, facts, outcome, verdict, texts, plots, options)
    told: dict[str, Any] = {"truth": {**truth_json(verdict, loop.begin.scenario), "plots": [str(path) for path in plots]}}
    if (record := model_texts.as_record(texts, verdict.model)) is not None:
        told["llm"] = record
    return told


def _read(path: Path, options: list[str]) -> SealedTruth:
    with path.open("rb") as told:
        try:
            return read_truth(told)
        except TruthError as error:
            report = shlex.join([prog_name(), "report", *options])
            raise TruthError(
                f"{error} (kept in {path}). docs/population.md has its form; what was recorded without it is there: {report}"
            ) from error


def _show_scenario(console: Console, name: str) -> None:
    if name != "baseline":
        console.print()
        lines(console, Text(f"Scenario {name}: {SCENARIOS[name][0]}.", style="dim"))


def _show(
    engines: Engines, facts: Facts, outcome: RunResult, verdict: RunReport, texts: Texts | None, plots: list[Path], options: list[str]
) -> None:
    console = out()
    findings.show_effect(console, verdict)
    findings.show_stuck(console, verdict)
    findings.show_bandit(console, verdict)
    findings.show_arms(console, verdict)
    model_texts.show(console, texts, verdict.model)
    views.show_non_decisions(console, facts, _TENANT)
    sampled = _show_samples(console, engines, facts)
    findings.show_trust(console, verdict)
    show_throughput(console, outcome.summary)
    show_unused(console, outcome.summary, engines.data_dir.dead_letters)
    waiting = _waiting(engines) if texts is not None else 0
    _show_next(console, facts, sampled, options, plots, worded=texts is not None, waiting=waiting)


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


def _waiting(engines: Engines) -> int:
    """Texts that wait for a person; 0 where Redis does not say."""
    from llm.cache.answer_cache import connect
    from llm.review_queue import ReviewQueue, ReviewUnavailableError
    from operators.async_map import run_in_background

    async def look() -> int:
        client = connect(engines.redis_url, 2.0)
        try:
            return (await ReviewQueue(client).waiting(_TENANT, 1)).total
        except ReviewUnavailableError:
            return 0
        finally:
            await client.aclose()

    return int(run_in_background(look()))


def _show_next(
    console: Console, facts: Facts, sampled: list[str], options: list[str], plots: list[Path], *, worded: bool, waiting: int
) -> None:
    reader = _worded_person(facts) if worded else None
    user = reader or _interesting_person(facts)
    heading(console, "What to type next")
    commands: list[tuple[list[str], str]] = []
    if user is not None:
        commands += [(["explain", user], "one person's story" if reader is None else "the story of one who got a model's text")]
    if sampled:
        commands += [(["recommend", sampled[0]], "what the app shows somebody now")]
    if worded and user is not None:
        commands += [(["llm", "try", "--llm", "URL", "--user", user], "what a model is told of them, and answers")]
    if waiting:
        commands += [(["review", "list"], f"{waiting:,} {'text waits' if waiting == 1 else 'texts wait'} for a person")]
    commands += [
        (["report"], "all paths, arms and triggers"),
        (["evaluate", "--policy", "uniform"], "what another policy would have earned"),
        (["sql", "SHOW TABLES"], "ask anything, read-only"),
    ]
    typed = [(plain(shlex.join([prog_name(), *arguments, *options])), purpose) for arguments, purpose in commands]
    width = max(len(command) for command, _ in typed)
    for command, purpose in typed:
        lines(console, Text.assemble((f"{command:{width}}", "cyan"), (f"  {purpose}", "dim")))
    if plots:
        lines(
            console,
            Text.assemble("Plots: ", (plain(plots[0].parent / "index.html"), "cyan"), (f"  {several(len(plots), 'picture')}", "dim")),
        )
    console.print()


def _worded_person(facts: Facts) -> str | None:
    """Somebody who was shown a text by a model, if possible one that worked."""
    rows: list[dict[str, Any]] = facts.rows(
        """
        SELECT c.user_id AS user_id FROM llm_calls_final AS c
        LEFT JOIN outcomes_final AS o ON o.tenant_id = c.tenant_id AND o.decision_id = c.decision_id
        WHERE c.tenant_id = {tenant:String} AND c.status = 'improved' GROUP BY user_id
        ORDER BY countIf(o.kind = 'shown') > 0 DESC, countIf(o.kind = 'success') > 0 DESC, user_id LIMIT 1
        """,
        tenant=_TENANT,
    )
    return str(rows[0]["user_id"]) if rows else None


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
