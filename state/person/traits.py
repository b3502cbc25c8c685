"""Traits: what an app says about a person. The newest value of each trait counts."""

from __future__ import annotations

from typing import Final

from state.catalog.model import Scalar
from state.events import Event
from state.person.person import Person

LONGEST: Final = 128
"""Characters of a trait's text; a longer value is not kept."""


def update_traits(person: Person, event: Event, wanted: frozenset[str]) -> bool:
    """Keep the newest value of each wanted trait; return whether one changed. Ties go to the greater text, so order does not matter."""
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
    """Orders values; tells ``1`` from ``True``, which Python holds to be equal."""
    return str(value), type(value).__name__


def _is_kept(value: object) -> bool:
    return isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= LONGEST)
