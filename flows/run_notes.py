"""Notes at the end of a run: signs of wrong input or wrong integration, and what to check."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sources.files.kinds import advice
from state.duration import DAY, HOUR
from state.quantity import count
from state.records.dead_letter import decode_line

if TYPE_CHECKING:
    from sources.files.progress import Progress

UNSORTED: Final = 0.02
"""A file counts as unsorted if more than this share of its lines goes back in time by more than an hour."""
MOST: Final = 0.5
"""A file also counts as unsorted if more than this share of its lines goes back, or is so far ahead that it does not move time."""
ENOUGH: Final = 100
"""From this many events on, it is a fault if no event completed a step."""

TOO_MANY_IGNORED: Final = 0.05
"""A larger share of ignored exposures means a fault in the app. A few are normal: a user may act after the attribution window closed."""

_EXPOSURES: Final = {
    "unknown_recommendation": "a recommendationId that was not issued to that user, or whose attribution window had closed. Check that "
    "the app sends back the recommendationId it read, unchanged and for the same userId.",
    "no_current_recommendation": "no recommendationId, and the user had no current recommendation. Let the app send back the "
    "recommendationId of what it showed.",
}


def notes_on(summary: dict[str, Any], progress: Progress | None, dead_letters: Path, input_name: str = "-") -> list[str]:
    """Return one note for each sign of a fault in a run. ``progress`` is that of the file ``input_name``, None for another input."""
    run, notes = summary["thisRun"], []
    rejected = sum(run["deadLetters"].values())
    if progress is not None and progress.done:
        if nothing_accepted(summary, progress) and progress.head is not None and (hint := advice(input_name, progress.head)):
            notes.append(f"No event was accepted. {hint}")
        elif not run["eventsRead"] and not rejected:
            notes.append("The input was already read to its end. To read it again, use another --data-dir.")
    if progress is not None:
        notes += _notes_on_time(progress, max(run["eventsRead"], 1), input_name)
    if run["eventsRead"] and rejected == run["eventsRead"]:
        notes.append(f"Every message was rejected. {_first_letter(dead_letters, is_line=progress is not None)}".rstrip())
    if summary["eventsAccepted"] >= ENOUGH and not summary["stepsCompleted"]:
        check = "Check that it is the right catalog and that its matchers match."
        notes.append(f"No event completed any step of the catalog {summary['catalog']}. {check}")
    ignored = run["exposuresIgnored"]
    if sum(ignored.values()) > TOO_MANY_IGNORED * (sum(ignored.values()) + run["outcomes"].get("shown", 0)):
        notes += [exposures_note(reason, number) for reason, number in ignored.items()]
    if unread := run["valuesUnread"]:
        fields = ", ".join(f"{name} {number:,}" for name, number in unread.items())
        notes.append(f"Values that cannot be read were ignored: {fields}. docs/events.md says what each field may hold.")
    if unkept := run["traitsNotKept"]:
        notes.append(not_kept_note(unkept))
    return notes


def sorting(input_name: str) -> str:
    """One sentence on how to sort the file ``input_name`` of events by time, ``-`` for standard input."""
    file = "FILE..." if input_name == "-" else shlex.quote(input_name)
    return f"Sort the events by time, also those of several files: onramp import {file} --out sorted.jsonl."


def not_kept_note(unkept: Mapping[str, int]) -> str:
    """One sentence on traits of events that the catalog does not keep, with the number of their values, and what to do."""
    named = ", ".join(f"{name} {number:,}" for name, number in unkept.items())
    return (
        f"Traits that the catalog does not keep were left out: {named}. Those with few values may say who gets stuck: name them in "
        "`traits` of the catalog (docs/catalog.md)."
    )


def _notes_on_time(progress: Progress, read: int, input_name: str) -> list[str]:
    """A note on a file that is not sorted, or else on clocks that are fast. Few lines are a device's; most of a file is its order."""
    ahead = count(progress.ahead, "line is", "lines are")
    first_ahead = f"by up to {_long(progress.furthest_ahead)} (first in line {progress.first_ahead:,})"
    judged = progress.ahead - progress.not_judged
    if progress.backward > UNSORTED * read or progress.backward + judged > MOST * read:
        behind = f", behind line {progress.backward_from:,}" if progress.backward_from else ""
        found = []
        if progress.backward:
            found.append(
                f"Time goes back by more than an hour in {count(progress.backward, 'line')}, by up to {_long(progress.furthest_back)} "
                f"(first in line {progress.first_backward:,}{behind})"
            )
        if progress.ahead:
            found.append(f"{ahead} more than a day ahead of the lines around, {first_ahead}")
        return [f"{', and '.join(found)}, so pauses and timers are wrong. {sorting(input_name)} Read that into another --data-dir."]
    if not progress.ahead:
        return []
    if judged:
        others = ", or there are none" if progress.not_judged else ""
        why = f"the lines after do not agree{others}. The clock of a device is wrong; it did not move time for others."
    else:
        which = "it says whether its clock is" if progress.ahead == 1 else "them says whether their clocks are"
        why = f"no line after {which} right. {'It' if progress.ahead == 1 else 'They'} did not move time for others."
    return [f"{ahead} more than a day ahead of all lines before, {first_ahead}, and {why}"]


def nothing_accepted(summary: dict[str, Any], progress: Progress | None) -> bool:
    """Return whether an input was read to its end and held no event: the run has failed although nothing else went wrong.

    An input that grew by bad lines only, or that was read before, has not failed, unless the data directory holds no event at all.
    """
    if progress is None or not progress.done:
        return False
    figures = summary["thisRun"] if progress.from_start and summary["thisRun"]["eventsRead"] else summary
    return bool(figures["eventsRead"] == sum(figures["deadLetters"].values()))


def exposures_note(reason: str, number: int) -> str:
    """One sentence on exposures (shown, clicked, dismissed) that the engine ignored for ``reason``, and what to check in the app."""
    subject = "1 exposure event was ignored: it carries" if number == 1 else f"{number:,} exposure events were ignored: they carry"
    return f"{subject} {_EXPOSURES[reason]}"


def _first_letter(path: Path, *, is_line: bool) -> str:
    try:
        with path.open("rb") as lines:
            letter = decode_line(next(lines))
    except (OSError, StopIteration, ValueError):
        return ""
    where = f"line {letter.offset} of {letter.topic}" if is_line else f"offset {letter.offset} of {letter.topic}"
    return f"The first, {where}: {letter.detail}; all are in {path}."


def _long(milliseconds: int) -> str:
    return count(round(milliseconds / DAY), "day") if milliseconds >= 2 * DAY else count(round(milliseconds / HOUR), "hour")
