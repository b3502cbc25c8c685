"""Tells analysts of one person: the rows that follow from a person's state and from an event."""

from __future__ import annotations

from collections.abc import Mapping

from state.catalog.plan import Plan
from state.events import Event
from state.person.person import Person, StepState
from state.records.facts import EventFact, PersonFact, ProgressFact


def event_fact(event: Event, status: str, version: int) -> EventFact:
    """The event as it was taken. ``version`` is the person's, 0 where it was not applied: the row of an applied event wins over that of
    a late repetition, and a deletion removes the rows of the life before it and no others.
    """
    return EventFact(
        event.tenant, event.user, event.id, event.session, event.type, event.name, event.raw_payload.decode(), status, event.timestamp,
        event.log_time, event.partition, event.offset, event.traceparent, version,
    )  # fmt: skip


def progress_fact(plan: Plan, person: Person, step: str, done: Mapping[str, int]) -> ProgressFact:
    """Where ``person`` stands on ``step`` of their path, with what is completed in ``done``."""
    state = person.steps.get(step) or StepState()
    status = "completed" if step in done else "current" if step in person.since else "locked"
    return ProgressFact(
        person.tenant, person.user, person.path, step, plan.paths[person.path].steps.index(step) + 1, status, state.attempts, state.errors,
        state.first, state.last, person.since.get(step, 0), done.get(step, 0), person.now, person.version,
    )  # fmt: skip


def person_fact(plan: Plan, person: Person, group: str, done: Mapping[str, int]) -> PersonFact:
    """The person as analysts group them; ``group`` as in ``PersonFact.experiment_group``."""
    total = len(plan.paths[person.path].steps) if person.path in plan.paths else 0
    sessions_ms = person.session_total + person.session_to - person.session_from

    def trait(name: str) -> str:
        return str(person.traits.get(name, ""))

    return PersonFact(
        person.tenant, person.user, person.path, plan.segment(person.traits),
        group,
        trait("persona"), trait("useCase"), trait("companySize"), trait("signupSource"), trait("tier"), trait("locale"),
        person.guidance, len(done), total, person.sessions, sessions_ms / 1000 / max(person.sessions, 1),
        engagement(len(done), total, person.sessions), person.first_seen, person.signup_at, person.newest, person.activated_at,
        person.version,
    )  # fmt: skip


def engagement(steps_completed: int, steps_total: int, sessions: int) -> float:
    """A plain index from 0 to 100: 60 for the share of steps completed, 40 for sessions, which count up to ten."""
    share = steps_completed / steps_total if steps_total else 0.0
    return round(60 * share + 4 * min(sessions, 10), 1)
