"""The counts of a run as a short table, printed at the end of ``onramp run``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from reports.render import heading, lines, number, table
from state.plain_text import plain
from state.quantity import count
from state.vocabulary import REASONS

_ROWS = (
    ("eventsRead", "events read"),
    ("eventsAccepted", "accepted"),
    ("duplicates", "duplicates"),
    ("users", "users"),
    ("stepsCompleted", "steps completed"),
    ("activatedUsers", "activated"),
    ("decisions", "decisions"),
    ("recommendationsWritten", "recommendations written"),
    ("withdrawals", "withdrawals"),
)


def show_throughput(console: Console, summary: dict[str, Any]) -> None:
    """Print one line: how many events, how fast."""
    console.print()
    read, rate = count(summary["thisRun"]["eventsRead"], "event"), number(summary["eventsPerSecond"])
    rest = f" with the catalog {summary['catalog']} in {summary['wallSeconds']:.1f} s, start-up included; {rate} a second once running."
    console.print(Text.assemble((read, "bold"), plain(rest)))


def show_unused(console: Console, summary: dict[str, Any], dead_letters: Path) -> None:
    """Print a line for rejected messages and one for events without effect; nothing where there are none."""
    rejected, ignored = (summary["thisRun"][name] for name in ("deadLetters", "ignored"))
    if rejected:
        which = f"{count(sum(rejected.values()), 'was', 'were')} rejected ({_counts(rejected)}); see {dead_letters}."
        lines(console, Text(plain(which), style="yellow"))
    if ignored:
        lines(console, Text(plain(f"Without effect: {_counts(ignored)}."), style="dim"))


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{reason} {number(times)}" for reason, times in sorted(found.items(), key=lambda item: -item[1]))


def show_figures(console: Console, summary: dict[str, Any]) -> None:
    """Print all counts; those of this run beside those of the data directory where they differ."""
    this = summary["thisRun"]
    resumed = any(summary[key] != this[key] for key, _ in _ROWS)
    rows: list[tuple[str, int, int | None]] = [(label, summary[key], this[key]) for key, label in _ROWS]
    rows += [(f"rewards: {kind}", summary["rewards"][kind], this["rewards"][kind]) for kind in ("success", "failure")]
    rows.append(("rewards: open", summary["rewards"]["open"], None))  # how many there are, not how many there were
    rows += [(f"dead letters: {reason}", times, this["deadLetters"].get(reason, 0)) for reason, times in summary["deadLetters"].items()]
    rows += [(f"ignored: {reason}", times, this["ignored"].get(reason, 0)) for reason, times in summary["ignored"].items()]
    rows += [
        (f"exposures ignored: {reason}", times, this["exposuresIgnored"].get(reason, 0))
        for reason, times in summary["exposuresIgnored"].items()
    ]
    rows += [(f"values ignored: {field}", times, this["valuesUnread"].get(field, 0)) for field, times in summary["valuesUnread"].items()]
    rows += [(trigger, times, this["stuckSignals"].get(trigger, 0)) for trigger, times in summary["stuckSignals"].items()]
    columns = ["figure", ">total", ">this run"] if resumed else ["figure", ">count"]
    console.print()
    console.print(table(columns, ((label, number(total), number(now))[: len(columns)] for label, total, now in rows)))
    show_non_decisions(console, summary["nonDecisions"])


def show_non_decisions(console: Console, reasons: dict[str, int]) -> None:
    """Print why no recommendation was decided, with each reason in words."""
    if not reasons:
        return
    heading(console, "Considered, and nothing shown because", count(sum(reasons.values()), "time"))
    ordered = sorted(reasons.items(), key=lambda item: -item[1])
    console.print(table(["reason", ">times", "~meaning"], ((reason, number(times), REASONS.get(reason, "")) for reason, times in ordered)))
