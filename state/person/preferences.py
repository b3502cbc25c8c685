"""Preferences: whether, where and when a person wants guidance, and whether a model may word it. The newest value of each counts."""

from __future__ import annotations

from state import counters
from state.event import Event
from state.event_fields import read_preferences
from state.person.collector import Collector
from state.person.person import Person


def update_preferences(person: Person, event: Event, out: Collector) -> bool:
    """Apply the preferences of ``event``, each by its own time; return whether one changed.

    At equal times a refusal wins over a consent, quiet hours win over none, and those that begin later over others, whatever the order.
    """
    at, told, changed = event.timestamp, read_preferences(event.payload), False
    for name in told.unread if not event.from_visitor else ():
        out.count(counters.VALUES_UNREAD, name)
    if told.quiet is not None and (at, told.quiet) > (person.preferences_at, (person.quiet_from, person.quiet_to)):
        person.preferences_at, (person.quiet_from, person.quiet_to), changed = at, told.quiet, True
    if told.model_text is not None and (at, not told.model_text) > (person.model_text_at, not person.model_text):
        person.model_text_at, person.model_text, changed = at, told.model_text, True
    if told.guidance is not None and (at, not told.guidance) > (person.guidance_at, not person.guidance):
        person.guidance_at, person.guidance, changed = at, told.guidance, True
    for surface, wanted in (told.channels or {}).items():
        if (at, not wanted) > (person.channels_at.get(surface, 0), surface in person.refused):
            person.channels_at[surface], changed = at, True
            person.refused = sorted({*person.refused} - {surface} | ({surface} if not wanted else set()))
    return changed
