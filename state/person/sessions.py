"""Sessions, and the active time on the current step."""

from __future__ import annotations

import zlib

from state.event import Event
from state.person.person import Person


def follow_session(person: Person, event: Event, gap: int) -> bool:
    """Update sessions and active time with an event. Return whether a session began: after ``gap`` milliseconds, or with a new id."""
    at = event.timestamp
    if at < person.newest:
        return False
    session = zlib.crc32(event.session.encode()) if event.session else 0
    began = not person.sessions or at - person.session_to > gap or bool(session and person.session and session != person.session)
    if began:
        person.session_total += person.session_to - person.session_from
        person.session_from = at
        person.sessions += 1
    else:
        person.active += at - person.session_to
    if session:
        person.session = session
    person.session_to = at
    return began
