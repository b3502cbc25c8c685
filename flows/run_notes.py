"""What a person should know about a run that went well by all counts and may still not be what was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from sources.files.source import Progress
from state.duration import DAY, HOUR
from state.records.dead_letter import decode_line

UNSORTED: Final = 0.02
"""Share of lines that go back in time by more than an hour from which on a file was hardly sorted."""
ENOUGH: Final = 100
"""Events from which on it is strange that none completed a step."""


def notes_on(summary: dict[str, Any], progress: Progress | None, dead_letters: Path) -> list[str]:
    """Return one sentence for each thing that looks wrong about a run; ``progress`` is that of a file, if it was one."""
    run, notes = summary["thisRun"], []
    rejected = sum(run["deadLetters"].values())
    if progress is not None and progress.done and not run["eventsRead"] and not rejected:
        notes.append("The input was already read to its end; another try on it wants another --data-dir.")
    if progress is not None and progress.backward > UNSORTED * max(run["eventsRead"], 1):
        notes.append(
            f"Time goes back by more than an hour in {progress.backward:,} lines, by up to {_long(progress.furthest_back)} (first in line "
            f"{progress.first_backward:,}): sort the file by time and read it into another --data-dir, or pauses and timers are wrong."
        )
    if run["eventsRead"] and rejected == run["eventsRead"]:
        notes.append(f"Every message was rejected. {_first_letter(dead_letters)}".rstrip())
    if summary["eventsAccepted"] >= ENOUGH and not summary["stepsCompleted"]:
        notes.append(f"No event completed any step of the catalog {summary['catalog']}: is it the right one, and do its matchers match?")
    return notes


def _first_letter(path: Path) -> str:
    try:
        with path.open("rb") as lines:
            letter = decode_line(next(lines))
    except (OSError, StopIteration, ValueError):
        return ""
    return f"The first, {letter.topic} {letter.offset}: {letter.detail}; all are in {path}."


def _long(milliseconds: int) -> str:
    return f"{milliseconds / DAY:.0f} days" if milliseconds >= 2 * DAY else f"{milliseconds / HOUR:.0f} hours"
