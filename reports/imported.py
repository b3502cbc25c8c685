"""What became of the rows of an import: a preview on the screen, sentences, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.text import Text

from reports.render import heading, lines, out, table
from reports.safe_text import shortened
from sources.tables.importing import IDS_COMPARED, Example, Outcome
from state.plain_text import plain
from state.quantity import count
from state.times import rfc3339
from state.vocabulary import IDENTITY_MERGED

_MOST_KINDS: Final = 20
_WIDEST: Final = 400


def show_preview(name: str, outcome: Outcome, events: Sequence[bytes]) -> None:
    """Print the first events, the kinds of events, the reasons of rejections, and what looks like a mistake in the mapping."""
    console = out()
    some = "" if outcome.complete else "the first "
    heading(console, f"{some}{count(outcome.rows, 'row')} of {plain(name)}", _figures(outcome))
    if events:
        heading(console, "the first events by time")
        for event in events:
            console.print(Text(f"  {shortened(plain(event.decode()), _WIDEST)}"), soft_wrap=True)
        heading(console, "events by kind")
        console.print(table((">rows", "event"), [(f"{number:,}", kind) for kind, number in outcome.kinds.most_common(_MOST_KINDS)]))
    if outcome.rejected:
        heading(console, "rejected rows by reason, with the first of each")
        for (reason, _), first in sorted(outcome.examples.items(), key=lambda each: -each[1].rows):
            lines(console, Text(f"{first.rows:,} {reason}: {plain(_where(first))}: {plain(first.detail)}"))
    for note in notes(outcome):
        console.print()
        lines(console, Text(f"Note: {plain(note)}"))
    console.print()
    lines(console, Text("Nothing was written. Correct the mapping, or write the events with --out FILE.", style="dim"))


def imported_sentences(name: str, outcome: Outcome, *, out: str, rejected_to: str) -> Iterator[str]:
    """Yield the sentences about an import that was written."""
    where = "" if out == "-" else f" {plain(out)} has them, sorted by time."
    yield f"{count(outcome.rows, 'row')} of {plain(name)}: {_figures(outcome)}.{where}"
    if outcome.rejected:
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in outcome.rejected.most_common())
        yield f"{plain(rejected_to)} has the rejected rows, each with its line and reason: {reasons}."
    for note in notes(outcome):
        yield plain(note)


def imported_json(
    outcome: Outcome, *, events: Sequence[bytes] | None = None, out: str | None = None, rejected_to: str | None = None
) -> dict[str, Any]:
    """Return the same for a machine: with ``events`` for a preview, with the files for an import that was written."""
    return {
        "rows": outcome.rows,
        "events": outcome.events,
        "signUpsAdded": outcome.sign_ups,
        "leftOut": outcome.left_out,
        "rejected": dict(outcome.rejected.most_common()),
        "rejectedExamples": [
            {"reason": reason, "rows": each.rows, **({"file": each.file} if each.file else {}), "line": each.line, "detail": each.detail}
            for (reason, _), each in outcome.examples.items()
        ],
        "repeatedIds": outcome.repeated,
        "timesShownTwice": outcome.shown_twice,
        "kinds": dict(outcome.kinds.most_common()),
        "first": None if outcome.first is None else rfc3339(outcome.first),
        "last": None if outcome.last is None else rfc3339(outcome.last),
        "allRows": outcome.complete,
        "notes": list(notes(outcome)),
        **({} if events is None else {"preview": [json.loads(event) for event in events]}),
        **({} if out is None else {"out": out, "rejectedTo": rejected_to if outcome.rejected else None}),
    }


def notes(outcome: Outcome) -> Iterator[str]:
    """Yield what is no error of a row, and yet looks like a mistake in the mapping."""
    if outcome.unseen:
        yield f"No row has the {'column' if len(outcome.unseen) == 1 else 'columns'} {', '.join(outcome.unseen)}; check the mapping."
    if outcome.repeated:
        among = f" among the first {IDS_COMPARED:,}" if outcome.events > IDS_COMPARED else ""
        verb = "repeats" if outcome.repeated == 1 else "repeat"
        yield (
            f"{count(outcome.repeated, 'event')}{among} {verb} the eventId of an earlier event of the same user. An id counts once. That "
            "is right for what stands in every row, like the date of the sign-up (docs/integrations.md#the-mapping has the recipe); if "
            "they are events of their own, choose the columns of eventId so that they differ."
        )
    if outcome.both_ids and outcome.visitors and IDENTITY_MERGED not in outcome.kinds:
        both, alone = count(outcome.both_ids, "event has", "events have"), count(outcome.visitors, "event has", "events have")
        yield (
            f"{both} userId and anonymousId, and {alone} anonymousId only. A visitor counts as a user of their own until an "
            f"{IDENTITY_MERGED} event joins the two; make such events too (docs/integrations.md#visitors-who-became-users)."
        )
    if outcome.shown_twice:
        yield (
            f"{count(outcome.shown_twice, 'row has', 'rows have')} a local time of the hour that clocks show twice when they are put back; "
            "the first of the two is taken. Export times with their offset from UTC to tell them apart."
        )
    if outcome.rows and not outcome.events:
        yield "No row became an event."


def _where(example: Example) -> str:
    return f"{example.file}, line {example.line:,}" if example.file else f"line {example.line:,}"


def _figures(outcome: Outcome) -> str:
    parts = [count(outcome.events, "event")]
    if outcome.sign_ups:
        parts.append(f"{count(outcome.sign_ups, 'sign-up')} added")
    if outcome.left_out:
        parts.append(f"{outcome.left_out:,} left out by the mapping")
    if outcome.rejected:
        parts.append(f"{outcome.rejected.total():,} rejected")
    span = f", {rfc3339(outcome.first)} to {rfc3339(outcome.last)}" if outcome.first is not None and outcome.last is not None else ""
    return ", ".join(parts) + span
