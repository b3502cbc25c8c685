"""Preferences: whether a person wants guidance, at which hours, and whether a model may word it. The newest value of each counts."""

from __future__ import annotations

from state.events import Event
from state.person.person import Person
from state.times import parse_minute_of_day


def update_preferences(person: Person, event: Event) -> None:
    """Apply the preferences of ``event``, each by its own time. At equal times a refusal wins over a consent."""
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
