"""Traits: properties of a person that the app sends. The newest value of each trait counts."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from state import counters
from state.catalog.model import LONGEST_TRAIT_NAME
from state.catalog.wording_schema import identifies
from state.event import Event
from state.event_fields import Scalar, UnreadableError, read_trait
from state.person.collector import Collector
from state.person.person import Person

_PLAIN: Final = re.compile(r"[^\W\d][\w $.:/\-]*")


def update_traits(person: Person, event: Event, wanted: frozenset[str], out: Collector) -> bool:
    """Keep the newest value of each wanted trait; return whether one changed. At equal times the greater text wins, whatever the order.

    Values that cannot be read are counted, once for the visitor or user who sent them, and so are those of traits that are not wanted.
    """
    given = event.payload.get("traits")
    if not isinstance(given, dict):
        return False
    changed, at = False, event.timestamp
    for name, sent in given.items():
        if name not in wanted:
            if not event.from_visitor and isinstance(sent, str | int | float) and (label := _label(name)):
                out.count(counters.TRAITS_NOT_KEPT, label)
            continue
        try:
            value = read_trait(name, sent)
        except UnreadableError:
            if not event.from_visitor:
                out.count(counters.VALUES_UNREAD, name)
            continue
        if value is None:
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


@lru_cache(maxsize=1_024)
def _label(name: str) -> str:
    """How a trait that is not kept is counted; empty for one that no catalog could name. A name that is no plain word may be a value."""
    if identifies(name):
        return ""
    return name if len(name) <= LONGEST_TRAIT_NAME and _PLAIN.fullmatch(name) else counters.OTHERS


def _rank(value: Scalar) -> tuple[str, str]:
    """Sort key of a value. It separates ``1`` from ``True``, which are equal in Python."""
    return str(value), type(value).__name__
