"""A person's latest events: how many there were, and the person's own texts for a model."""

from __future__ import annotations

import re
from typing import Final

from state.event import Event
from state.event_fields import read_text
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

_TYPED: Final = frozenset({"form_submit", "track"})
"""Types of events with such fields. In other ones a client fills fields of these names by itself: the query of a page, a button's label."""

_FIELD: Final = r"[\w.%\[\]\-]{1,50}"
_ADDRESS: Final = re.compile(
    r"\s*(?:[a-z][a-z0-9+.\-]{0,20}(?::/|%3a)|www\.|[/#]\S*\s*\Z|[^\s=]{1,100}=\S*\s*\Z"
    rf"|[?&]\s*{_FIELD}\s*=|\S*?[?&#]{_FIELD}=|{_FIELD}=\S*?&{_FIELD}=)",
    re.IGNORECASE,
)
"""An address or the query of one, which anybody can put into a link that the person follows. A ``?`` alone begins many a question."""


def _is_typed(value: str) -> bool:
    return bool(value) and _ADDRESS.match(value) is None


def keep_notes(person: Person, event: Event) -> None:
    """Keep the person's own texts: the message of an error, and what they typed into a text field."""
    if event.type == "error":
        words = " ".join(read_text(event.payload.get(field)) for field in ("code", "message")).strip()
    elif event.type in _TYPED:
        words = next((value for field in _NOTE_FIELDS if isinstance(value := event.payload.get(field), str) and _is_typed(value)), "")
    else:
        return
    if words:
        person.notes = [*person.notes[1 - NOTES_KEPT :], words[: MAX_NOTE + NOTE_MARGIN]]
