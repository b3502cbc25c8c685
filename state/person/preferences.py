"""Preferences: whether, where and when a person wants guidance, and whether a model may word it. The newest value of each counts."""

from __future__ import annotations

from state import counters
from state.event_fields import read_preferences
from state.events import Event
from state.person.collector import Collector
from state.person.person import Person


def update_preferences(person: Person, event: Event, out: Collector) -> None:
    """Apply the preferences of ``event``, each by its own time.

    At equal times a refusal wins over a consent, quiet hours win over none, and those that begin later over others, whatever the order.
    """
    at, told = event.timestamp, read_preferences(event.payload)
    for name in told.unread if not event.from_visitor else ():
        out.count(counters.VALUES_UNREAD, name)
    if told.quiet is not None and (at, told.quiet) > (person.preferences_at, (person.quiet_from, person.quiet_to)):
        person.preferences_at, (person.quiet_from, person.quiet_to) = at, told.quiet
    if told.model_text is not None and (at > person.model_text_at or (at == person.model_text_at and not told.model_text)):
        person.model_text_at, person.model_text = at, told.model_text
    if told.guidance is not None and (at > person.guidance_at or (at == person.guidance_at and not told.guidance)):
        person.guidance_at, person.guidance = at, told.guidance
    for surface, wanted in (told.channels or {}).items():
        known = person.channels_at.get(surface, 0)
        if at > known or (at == known and not wanted):
            person.channels_at[surface] = at
            person.refused = sorted({*person.refused} - {surface} | ({surface} if not wanted else set()))
