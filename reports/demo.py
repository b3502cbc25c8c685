"""The end of a demo: what it did, one user's story, the figures, and what to type next. Meant to be read in a minute."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from evaluation.scenarios import SCENARIOS
from evaluation.truth import TruthError, read_truth
from reports import bandit, demo_story, effect, llm_examples, stuck, trust
from reports.evidence import load
from reports.plots import draw_all
from reports.render import heading, lines, number, out
from reports.report_json import truth_json
from reports.run_report import build_report, read_learned
from reports.run_summary import show_unused
from state.duration import DAY
from state.plain_text import plain
from state.quantity import count

if TYPE_CHECKING:
    from evaluation.truth import SealedTruth
    from flows.inputs import ClosedLoop
    from flows.run import RunResult
    from reports.facts import Facts
    from reports.llm_examples import ModelTexts
    from reports.run_report import RunReport

    Command = Callable[..., str]
    """Arguments of ``onramp`` → the command as the user must type it to read this demo."""

TENANT = "default"
_REASONS = 3


def finish_demo(
    facts: Facts, outcome: RunResult, loop: ClosedLoop, data_dir: Path, command: Command, *, waiting: Callable[[], int], silent: bool
) -> dict[str, Any]:
    """Build the report, draw the plots and, unless ``silent``, print everything on standard output.

    ``waiting`` counts the texts that wait for a person; it is called only where a model was asked. Returns what JSON has under ``truth``
    and ``llm``. Raises ``TruthError`` for a truth that cannot be read.
    """
    truth = _read(loop.truth, command)
    report = build_report(load(facts.frame, TENANT), read_learned(facts.frame, TENANT), truth)
    plots = draw_all(report, data_dir / "plots")
    texts = llm_examples.read(facts, TENANT)
    if not silent:
        _show(out(), facts, outcome, loop, report, texts, data_dir)
        _show_next(out(), facts, command, plots, with_model=texts is not None, waiting=waiting() if texts is not None else 0)
    found: dict[str, Any] = {"truth": {**truth_json(report, loop.begin.scenario), "plots": [str(path) for path in plots]}}
    if (record := llm_examples.as_record(texts, report.model)) is not None:
        found["llm"] = record
    return found


def _read(path: Path, command: Command) -> SealedTruth:
    with path.open("rb") as truth:
        try:
            return read_truth(truth)
        except TruthError as error:
            raise TruthError(
                f"{error} (kept in {path}). docs/population.md describes its form. To see what was recorded without it: {command('report')}"
            ) from error


def _show(
    console: Console, facts: Facts, outcome: RunResult, loop: ClosedLoop, report: RunReport, texts: ModelTexts | None, data_dir: Path
) -> None:
    _show_run(console, outcome.summary, loop)
    show_unused(console, outcome.summary, data_dir / "dead_letters.jsonl")
    demo_story.show_story(console, facts, TENANT)
    effect.show_effect(console, report)
    stuck.show_stuck(console, report)
    bandit.show_bandit(console, report)
    bandit.show_stopped_arms(console, report)
    llm_examples.show(console, texts, report.model)
    trust.show_trust(console, report)
    trust.show_ignored_exposures(console, facts, TENANT)


def _show_run(console: Console, summary: dict[str, Any], loop: ClosedLoop) -> None:
    days = (loop.begin.end - loop.begin.start) // DAY
    heading(console, "What the demo did")
    reasons = sorted(summary["nonDecisions"].items(), key=lambda item: -item[1])
    because = ", ".join(f"{reason} {number(times)}" for reason, times in reasons[:_REASONS])
    users, length = count(loop.begin.users, "simulated user"), count(days, "day")
    events = f"{count(summary['eventsRead'], 'event')} in {summary['wallSeconds']:.0f} s"
    signals = count(sum(summary["stuckSignals"].values()), "stuck signal")
    sentences = [
        f"{users} lived with the engine for {length}: {events}, {number(summary['eventsPerSecond'])} a second.",
        f"The engine raised {signals} and decided {count(summary['decisions'], 'time')} what to show.",
    ]
    if reasons:
        silent = count(sum(summary["nonDecisions"].values()), "time")
        sentences.append(f"It considered and showed nothing {silent} ({because}{', …' if len(reasons) > _REASONS else ''}).")
    if loop.begin.scenario != "baseline":
        sentences.append(f"Scenario {loop.begin.scenario}: {SCENARIOS[loop.begin.scenario][0]}.")
    lines(console, *(Text(plain(sentence)) for sentence in sentences))


def _show_next(console: Console, facts: Facts, command: Command, plots: list[Path], *, with_model: bool, waiting: int) -> None:
    heading(console, "What to type next")
    user = (demo_story.user_with_model_text(facts, TENANT) if with_model else None) or demo_story.user_with_story(facts, TENANT)
    commands: list[tuple[str, str]] = []
    if user is not None:
        commands.append((command("explain", user), "one user's whole history"))
    if (current := demo_story.user_with_current(facts, TENANT)) is not None:
        commands.append((command("recommend", current), "what the app shows a user now"))
    if with_model and user is not None:
        commands.append((command("llm", "try", "--llm", "URL", "--user", user), "the prompt for a user, and an answer"))
    if waiting:
        commands.append((command("review", "list"), f"{count(waiting, 'text')} to approve or reject"))
    commands += [
        (command("report"), "funnels, arms, reasons: everything"),
        (command("evaluate", "--policy", "uniform"), "what another policy would have earned"),
        (command("sql", "SHOW TABLES"), "query ClickHouse, read-only"),
    ]
    width = max(len(plain(typed)) for typed, _ in commands)
    beside = width + max(len(purpose) for _, purpose in commands) + 4 <= console.width
    for typed, purpose in commands:
        if beside:
            lines(console, Text.assemble((f"{plain(typed):{width}}", "cyan"), (f"  {purpose}", "dim")))
        else:
            lines(console, Text(f"# {purpose}", style="dim"), Text(plain(typed), style="cyan"))
    if plots:
        page = plain(plots[0].parent / "index.html")
        lines(console, Text.assemble("Plots: ", (page, "cyan"), (f"  {count(len(plots), 'picture')}", "dim")))
    console.print()
