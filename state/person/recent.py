"""A person's latest events: how many there were, and the person's own texts for a model."""

from __future__ import annotations

from typing import Final

from state.event_fields import read_text
from state.events import Event
from state.person.person import Person

EVENTS_COUNTED: Final = 255
"""Events are counted up to here: a catalog's ``cold_events`` is at most 5, and the score knows powers of two."""

NOTES_KEPT: Final = 2
MAX_NOTE: Final = 160
"""Characters of a note that a prompt may hold."""

NOTE_MARGIN: Final = 200
"""Characters kept beyond that: an address or a number that the cut goes through is recognised only as a whole."""

_NOTE_FIELDS: Final = ("text", "comment", "feedback", "question", "query", "search")
"""Payload fields that hold what a person typed."""


def keep_notes(person: Person, event: Event) -> None:
    """Keep the person's own texts: the message of an error, and what they typed into a text field."""
    if event.type == "error":
        words = " ".join(read_text(event.payload.get(field)) for field in ("code", "message")).strip()
    else:
        words = next((value for field in _NOTE_FIELDS if isinstance(value := event.payload.get(field), str) and value), "")
    if words:
        person.notes = [*person.notes[1 - NOTES_KEPT :], words[: MAX_NOTE + NOTE_MARGIN]]
