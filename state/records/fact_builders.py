"""Builds rows from events, a person's state, recommendations and dead letters, and the progress record that the app reads."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import msgspec

from state.catalog.plan import Plan
from state.decision.experiment_groups import experiment_group
from state.decision.switches import AT_SIGNUP, Switch
from state.duration import MINUTE
from state.event import Event
from state.event_contract import DEFAULT_TENANT, is_tenant_id
from state.ids import Keys
from state.mend_message import mend_text
from state.person.person import Person, StepState
from state.records.dead_letter import DeadLetter
from state.records.facts import (
    CatalogFact,
    DeadLetterFact,
    EventFact,
    PersonFact,
    ProgressFact,
    RecommendationFact,
    StepMetricFact,
    SwitchFact,
)
from state.records.progress import Progress, PublishProgress, StepProgress
from state.records.recommendation import Recommendation
from state.times import rfc3339

RAW_SHOWN: Final = 4_096
"""Bytes of a rejected message that its row contains. The dead-letter topic or file has all of them."""
_USER_ID: Final = re.compile(rb'"(?:userId|user_id|anonymousId|anonymous_id|previousId)"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+)')
_LONGEST_ID: Final = 256  # as in event_schema.py
_TENANT: Final = re.compile(rb'"(?:tenantId|tenant_id)"\s*:\s*("(?:[^"\\]|\\.)*")')
_raw_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text: Final = msgspec.json.Decoder(str)


def event_fact(event: Event, status: str, version: int) -> EventFact:
    """The row of an accepted event.

    ``version`` is the person's, 0 where the event was not applied: so the row of an applied event wins over that of a late repetition, and
    a deletion removes the rows from before it and no others. It is 0 as well for ``Event.recorded_as``, who has versions of their own.
    """
    return EventFact(
        tenant_id=event.tenant,
        user_id=event.recorded_as or event.user,
        event_id=event.id,
        session_id=event.session,
        event_type=event.type,
        name=event.name,
        payload=event.raw_payload.decode(),
        status=status,
        timestamp=event.timestamp,
        log_time=event.log_time,
        source_partition=event.partition,
        source_offset=event.offset,
        traceparent=event.traceparent,
        version=0 if event.recorded_as else version,
    )


def catalog_fact(plan: Plan, tenant: str) -> CatalogFact:
    """The row of the catalog in force. One that only observes holds everybody out."""
    catalog = plan.catalog
    return CatalogFact(
        tenant_id=tenant,
        catalog_version=plan.version,
        holdout=1.0 if catalog.observing else catalog.holdout,
        rules=0.0 if catalog.observing else catalog.rules,
        exploration_floor=catalog.learning.exploration_floor,
        attribution_window_ms=catalog.limits.attribution_window,
        template_share=-1.0 if catalog.wording is None else catalog.wording.template_share,
        strict_paths=tuple(path.id for path in catalog.paths if path.order == "strict"),
        steps_without_alarms=tuple(step.id for step in catalog.steps if not step.alarms),
    )


def progress_fact(plan: Plan, person: Person, step: str, done: Mapping[str, int]) -> ProgressFact:
    """The row of ``step`` for ``person``. ``done`` are the completed steps."""
    state, path = person.steps.get(step) or StepState(), plan.paths[person.path]
    return ProgressFact(
        tenant_id=person.tenant,
        user_id=person.user,
        path_id=person.path,
        step_id=step,
        position=path.steps.index(step) + 1,
        status="completed" if step in done else "current" if step in person.since else "locked",
        attempts=state.attempts,
        errors=state.errors,
        first_seen_at=state.first,
        last_seen_at=state.last,
        current_since_at=person.since.get(step, 0),
        completed_at=done.get(step, 0),
        updated_at=person.now,
        version=person.version,
        path_order=path.order,
    )


def completion_metric(person: Person, path: str, step: str, at: int, *, by: int = 1) -> StepMetricFact:
    """Add ``by`` to the completions of ``step`` on ``path`` in the minute of ``at``. The step facts adds up those of a batch."""
    return StepMetricFact(
        tenant_id=person.tenant,
        minute=at // MINUTE * MINUTE,
        path_id=path,
        step_id=step,
        metric="completed",
        label="",
        count=by,
    )


def catalog_met_fact(person: Person) -> ProgressFact:
    """The row that a person has met another catalog: rows of steps from before it, of whatever path, do not count any more."""
    return ProgressFact(
        tenant_id=person.tenant,
        user_id=person.user,
        path_id="",
        step_id="",
        position=0,
        status="catalog_changed",
        attempts=0,
        errors=0,
        first_seen_at=0,
        last_seen_at=0,
        current_since_at=0,
        completed_at=0,
        updated_at=person.now,
        version=person.version,
    )


def person_fact(plan: Plan, keys: Keys, person: Person, done: Mapping[str, int]) -> PersonFact:
    """The row of a person, and as whom they count. ``done`` maps the completed steps to times."""
    total = len(plan.paths[person.path].steps) if person.path in plan.paths else 0
    trait = person.traits.get
    return PersonFact(
        tenant_id=person.tenant,
        user_id=person.user,
        path_id=person.path,
        segment=plan.segment(person.traits),
        experiment_group="merged" if person.merged_into else experiment_group(plan, person),
        user_persona=str(trait("persona", "")),
        use_case=str(trait("useCase", "")),
        company_size=str(trait("companySize", "")),
        signup_source=str(trait("signupSource", "")),
        tier=str(trait("tier", "")),
        locale=str(trait("locale", "")),
        guidance=person.guidance,
        steps_completed=len(done),
        steps_total=total,
        session_count=person.sessions,
        avg_session_duration=person.session_total / 1000 / max(person.sessions - 1, 1),
        engagement_score=engagement(len(done), total, person.sessions),
        first_seen_at=person.first_seen,
        signup_at=person.signup_at,
        last_active_at=person.newest,
        activated_at=person.activated_at,
        version=person.version,
        guidance_at_signup=AT_SIGNUP[person.at_signup],
        entered_under=person.entered_under,
        visitor_draw=-1.0 if person.draw is None else person.draw,
        person_key=person.merged_into or keys.stream_key(person.tenant, person.user),
    )


def switch_fact(event: Event, switch: Switch) -> SwitchFact:
    """The row of a switch, after ``event``, a copy of it, was taken."""
    return SwitchFact(
        tenant_id=event.tenant,
        switch_id=event.id,
        action=switch.action,
        share=switch.share,
        switched_by=event.user,
        because=str(event.payload.get("because", "")),
        switched_at=event.timestamp,
        in_force_at=switch.earliest,
        version=len(switch.places),
    )


def engagement(steps_completed: int, steps_total: int, sessions: int) -> float:
    """An index from 0 to 100: 60 for the share of steps completed, 4 for each session up to ten."""
    share = steps_completed / steps_total if steps_total else 0.0
    return round(60 * share + 4 * min(sessions, 10), 1)


def recommendation_fact(record: Recommendation, *, created_at: int, expires_at: int) -> RecommendationFact:
    """The row of a record that the app could read. Times in milliseconds."""
    return RecommendationFact(
        tenant_id=record.tenant_id,
        user_id=record.user_id,
        decision_id=record.decision_id,
        recommendation_id=record.recommendation_id,
        trigger=record.trigger,
        path_id=record.path_id,
        step_id=record.step_id,
        arm=record.arm,
        propensity=record.propensity,
        message=record.message,
        ui_component=record.ui_component,
        deep_link=record.deep_link,
        confidence=record.confidence,
        source=record.source,
        prompt_version=record.prompt_version or "",
        validation_hash=record.validation_hash,
        trace_id=record.trace_id or "",
        reason=record.reason or "",
        created_at=created_at,
        expires_at=expires_at,
        version=record.version,
    )


def progress_effect(plan: Plan, person: Person, done: Mapping[str, int], step: str) -> PublishProgress:
    """The effect that publishes the progress of ``person``. ``done`` are the completed steps, ``step`` is the current one or empty."""
    path = plan.paths.get(person.path)
    progress = None
    if path is not None and not person.merged_into:
        steps = tuple(
            StepProgress(
                each,
                plan.steps[each].title,
                plan.steps[each].link,
                "done" if each in done else "current" if each == step else "open",
                rfc3339(done[each]) if each in done else None,
            )
            for each in path.steps
        )
        progress = Progress(
            tenant_id=person.tenant,
            user_id=person.user,
            version=person.version,
            path_id=path.id,
            path_title=path.title,
            steps=steps,
            next_step=step or None,
            activated_at=rfc3339(person.activated_at) if person.activated_at else None,
            updated_at=rfc3339(person.now),
        )
    return PublishProgress(person.tenant, person.user, person.version, progress)


def dead_letter_fact(letter: DeadLetter) -> DeadLetterFact:
    """The row of a dead letter, identified by its place in the input."""
    text = _text_of(letter)
    return DeadLetterFact(
        dead_letter_id=f"{letter.topic}:{letter.partition}:{letter.offset}",
        reason=letter.reason,
        detail=letter.detail,
        topic=letter.topic,
        source_partition=letter.partition,
        source_offset=letter.offset,
        raw=text[:RAW_SHOWN].decode("utf-8", "replace"),
        log_time=max(letter.log_time, 0),
        version=1,
        user_ids=tuple(dict.fromkeys((*_named(_USER_ID, text), *_in_key(letter.key)))),
        tenant_ids=_tenants(text),
    )


def tenants_of(letter: DeadLetter) -> tuple[str, ...]:
    """The tenant of a rejected message, as its row has it; empty where nobody can tell."""
    return _tenants(_text_of(letter))


def _text_of(letter: DeadLetter) -> bytes:
    """What a rejected message says; empty where it has the framing of a schema registry and was not decoded."""
    if letter.text is not None:
        return letter.text
    return b"" if letter.raw[:1] == b"\x00" and letter.raw.strip(b"\x00") else letter.raw


def _tenants(text: bytes) -> tuple[str, ...]:
    """The tenant of a rejected message, as that of an event: beside its sender. Where no sender can be read, all tenants that it names.

    Empty where nobody can tell: it names none then, or one that no event can have.
    """
    fields = dict[str, msgspec.Raw]()
    with suppress(ValueError, RecursionError):  # a DecodeError is a ValueError, and so is a text that is not UTF-8
        fields = _raw_fields.decode(mend_text(text))
    if "tenantId" in fields:
        found: tuple[str, ...] = ()
        with suppress(ValueError):
            found = (_text.decode(fields["tenantId"]),)
    elif "userId" in fields or "anonymousId" in fields:
        found = (DEFAULT_TENANT,)
    else:
        found = _named(_TENANT, text)
    return tuple(each for each in found if is_tenant_id(each))


def _in_key(key: bytes | None) -> tuple[str, ...]:
    """Whom the key of a message names: apps send the user's id as the key. One that no id can be names nobody."""
    text = (key or b"").decode("utf-8", "replace")
    return (text,) if 0 < len(text) <= _LONGEST_ID else ()


def _named(field: re.Pattern[bytes], text: bytes) -> tuple[str, ...]:
    """The values of ``field`` in a rejected message, in order. It may be cut off between two fields, or be no JSON for another reason."""
    found = dict[str, None]()
    for match in field.finditer(text):
        with suppress(ValueError):
            value = str(json.loads(match[1].decode("utf-8", "replace"), strict=False))
            found[value.encode("utf-8", "replace").decode()] = None
    return tuple(found)
