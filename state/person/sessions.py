"""Sessions, and the active time on the current step."""

from __future__ import annotations

import zlib

from state.events import Event
from state.person.person import Person


def follow_session(person: Person, event: Event, gap: int) -> bool:
    """Update sessions and active time with an event. Return whether a session began: after ``gap`` milliseconds, or with a new id."""
    if event.timestamp < person.newest:
        return False
    session = zlib.crc32(event.session.encode()) if event.session else 0
    began = (
        not person.sessions or event.timestamp - person.session_to > gap or bool(session and person.session and session != person.session)
    )
    if began:
        person.session_total += person.session_to - person.session_from
        person.session_from = event.timestamp
        person.sessions += 1
    else:
        person.active += event.timestamp - person.session_to
    person.session = session or person.session
    person.session_to = event.timestamp
    return began
