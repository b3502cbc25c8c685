"""Deduplication: the event ids that a person has sent, and the event time before which events are late."""

from __future__ import annotations

from typing import Final

from state.person.person import Person

MOST_SEEN: Final = 131_072
"""Event ids kept for one person at most. Beyond it the older half is dropped and ``floor`` rises, so that older events are late."""


def forget_old_events(person: Person) -> None:
    """Drop event ids that are older than ``floor``, because such events are late anyway. Raise ``floor`` where too many remain."""
    person.seen = recent_events(person)
    if len(person.seen) >= MOST_SEEN:
        person.floor = sorted(person.seen.values())[MOST_SEEN // 2] + 1
        person.seen = recent_events(person)


def recent_events(person: Person) -> dict[int, int]:
    """Hashes of the event ids from ``floor`` on, with their event times. Changes nothing."""
    return {event: at for event, at in person.seen.items() if at >= person.floor}
