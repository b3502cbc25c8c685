"""What is known of a person beside progress: traits, preferences, sessions, and the last few events in brief."""

from __future__ import annotations

import zlib

from state.catalog.model import Scalar
from state.events import Event
from state.person.person import RECENT, SAID, SAID_LONGEST, Person
from state.times import parse_minute_of_day


def learn_traits(person: Person, event: Event, wanted: frozenset[str]) -> bool:
    """Keep the newest value of each wanted trait; ties go to the greater text, so that order does not matter."""
    given = event.payload.get("traits")
    if not isinstance(given, dict):
        return False
    changed, at = False, event.timestamp
    for name, value in given.items():
        if name not in wanted or not _fit(value):
            continue
        old_at = person.trait_times.get(name, person.traits_at) if name in person.traits else 0
        if at > old_at or (at == old_at and _rank(value) > _rank(person.traits[name])):
            changed |= name not in person.traits or _rank(person.traits[name]) != _rank(value)
            person.traits[name] = value
            person.traits_at = person.traits_at or at
            person.trait_times.pop(name, None)
            if at != person.traits_at:
                person.trait_times[name] = at
    return changed


def _rank(value: Scalar) -> tuple[str, str]:
    """Orders values; tells ``1`` from ``True``, which Python holds to be equal."""
    return str(value), type(value).__name__


def _fit(value: object) -> bool:
    return isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= 128)


def prefer(person: Person, event: Event) -> None:
    """Take over preferences: the newest wins, each by itself."""
    at, guidance, quiet = event.timestamp, event.payload.get("guidance"), event.payload.get("quietHours")
    if "quietHours" in event.payload and at >= person.preferences_at:
        person.preferences_at, person.quiet_from, person.quiet_to = at, -1, -1
        if isinstance(quiet, dict):
            person.quiet_from, person.quiet_to = parse_minute_of_day(quiet.get("start")), parse_minute_of_day(quiet.get("end"))
            if person.quiet_to < 0:
                person.quiet_from = -1
    model = event.payload.get("modelText")
    if isinstance(model, bool) and (at > person.model_text_at or (at == person.model_text_at and not model)):
        person.model_text_at, person.model_text = at, model
    if isinstance(guidance, bool) and (at > person.guidance_at or (at == person.guidance_at and not guidance)):
        person.guidance_at, person.guidance = at, guidance


def follow_session(person: Person, event: Event, gap: int) -> bool:
    """Follow sessions, and the active time on the current step, by the newest events; return whether a session began."""
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


def remember(person: Person, event: Event) -> bool:
    """Keep the last few events in brief, by arrival: what a model may be told of what the person was doing.

    Return whether this is the same thing as the last one.
    """
    subject = event.name
    if not subject:
        for field in ("path", "target", "form", "code"):
            value = event.payload.get(field)
            if value and isinstance(value, str):
                subject = value
                break
    if len(person.recent) >= RECENT:
        del person.recent[0]
    brief = f"{event.type} {subject}"[:32].rstrip()
    again = bool(person.recent) and person.recent[-1] == brief
    person.recent.append(brief)
    return again


def listen(person: Person, event: Event) -> None:
    """Keep the person's own words: what an error said, what they typed into a field that is meant for words."""
    if event.type == "error":
        words = " ".join(str(event.payload.get(field) or "") for field in ("code", "message")).strip()
    else:
        words = next((value for field in _WORDS if isinstance(value := event.payload.get(field), str) and value), "")
    if words:
        person.said = [*person.said[1 - SAID :], words[:SAID_LONGEST]]


_WORDS = ("text", "comment", "feedback", "question", "query", "search")
