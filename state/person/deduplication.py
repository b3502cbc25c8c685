"""Deduplication: which event ids a person has sent, and from when on an event is too old to be judged."""

from __future__ import annotations

from typing import Final

from state.person.person import Person

MOST_SEEN: Final = 131_072
"""Event ids remembered of one person at most. Beyond it the older half is dropped and ``floor`` rises: what is older is late."""


def forget_old_events(person: Person) -> None:
    """Drop event ids that are older than ``floor``, since such events are late anyway; raise ``floor`` where too many remain."""
    person.seen = recent_events(person)
    if len(person.seen) >= MOST_SEEN:
        person.floor = sorted(person.seen.values())[MOST_SEEN // 2] + 1
        person.seen = recent_events(person)


def recent_events(person: Person) -> dict[int, int]:
    """Hashes of the event ids that can still be duplicated, with their event times. Changes nothing."""
    return {event: at for event, at in person.seen.items() if at >= person.floor}
