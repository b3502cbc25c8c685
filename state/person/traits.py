"""Traits: properties of a person that the app sends. The newest value of each trait counts."""

from __future__ import annotations

from typing import Final

from state.catalog.model import Scalar
from state.events import Event
from state.person.person import Person

LONGEST: Final = 128
"""Characters of a trait's text. A longer value is ignored."""


def update_traits(person: Person, event: Event, wanted: frozenset[str]) -> bool:
    """Keep the newest value of each wanted trait; return whether one changed. At equal times the greater text wins, whatever the order."""
    given = event.payload.get("traits")
    if not isinstance(given, dict):
        return False
    changed, at = False, event.timestamp
    for name, value in given.items():
        if name not in wanted or not _is_kept(value):
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
    """Sort key of a value. It separates ``1`` from ``True``, which are equal in Python."""
    return str(value), type(value).__name__


def _is_kept(value: object) -> bool:
    return isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= LONGEST)
