"""Rebuilds the wording request of a person's newest decision: the real fold over the person's events, as the tables hold them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from state.catalog.plan import Plan
from state.decision.guidance import wording_context
from state.decision.wording_request import WordingRequest, consider
from state.event import Event
from state.ids import Keys
from state.person.arrivals import merge_by
from state.person.chains import MOST
from state.person.collector import Collector
from state.person.fold import Fold
from state.person.person import Person
from state.person.progress import completed
from state.person.visitor import Stitcher, Visitor
from state.records.recommendation import Recommendation
from state.times import rfc3339
from state.vocabulary import IDENTITY_MERGED, WORDING_REASONS

if TYPE_CHECKING:
    from reports.facts import Facts

Row = dict[str, Any]

_DECIDED = """
SELECT d.decision_id AS decision_id, d.version AS version, toString(d.experiment_group) AS group,
    r.recommendation_id AS recommendation_id, toString(r.trigger) AS trigger, toString(r.path_id) AS path_id,
    toString(r.step_id) AS step_id, toString(r.arm) AS arm, r.propensity AS propensity, r.message AS message,
    toString(r.ui_component) AS ui_component, r.deep_link AS deep_link, r.confidence AS confidence, r.validation_hash AS validation_hash,
    toUnixTimestamp64Milli(r.created_at) AS created, toUnixTimestamp64Milli(r.expires_at) AS expires
FROM decisions_final AS d
INNER JOIN recommendations_final AS r ON r.tenant_id = d.tenant_id AND r.user_id = d.user_id AND r.decision_id = d.decision_id
WHERE d.tenant_id = {tenant:String} AND d.user_id = {user:String} AND d.outcome = 'decided' AND r.source = 'template'
    AND r.ui_component != 'none'
ORDER BY d.decided_at DESC, d.version DESC LIMIT 1
"""
_EVENTS = """
SELECT event_id, session_id, toString(event_type) AS type, toString(name) AS name, payload, source_partition, source_offset, traceparent,
    toUnixTimestamp64Milli(timestamp) AS at, toUnixTimestamp64Milli(log_time) AS log_time
FROM events_final
WHERE tenant_id = {tenant:String} AND user_id = {user:String} AND status = 'applied' AND version <= {version:UInt64}
ORDER BY version, source_partition, source_offset
"""
_ALL_VERSIONS = 2**64 - 1


class NoWordingRequestError(Exception):
    """There is no decision to ask a model about. The text is one sentence for the user."""


class UnknownUserError(NoWordingRequestError):
    """The data does not have the user."""


def find_request(facts: Facts, plan: Plan, tenant: str, user: str) -> WordingRequest:
    """Return the wording request of the newest decision about ``user``. Raises ``NoWordingRequestError``.

    ``plan`` says which decisions may be worded. Events that arrived with the decision or before it count, as in the job.
    """
    known = facts.rows("SELECT 1 FROM people_final WHERE tenant_id = {tenant:String} AND user_id = {user:String}", tenant=tenant, user=user)
    if not known:
        raise UnknownUserError(f"no user {user} in tenant {tenant}.")
    decided = facts.rows(_DECIDED, tenant=tenant, user=user)
    if not decided:
        raise NoWordingRequestError(f"no guidance was ever decided for {user}; `onramp explain {user}` says why.")
    row = decided[0]
    if (row["path_id"], row["step_id"]) not in plan.places or row["arm"] not in plan.component:
        raise NoWordingRequestError(
            f"the catalog {plan.catalog.id} does not know {row['arm']} at {row['step_id']}, where {user}'s newest decision was made; "
            "name the right one with --catalog."
        )
    person = _person_at(facts, plan, tenant, user, row["version"])
    found = consider(
        plan,
        _record(row, tenant, user),
        context=wording_context(person, completed(plan, person.path, person.steps)),
        traits=dict(person.traits),
        group=row["group"],
        at=row["created"],
    )
    if not isinstance(found, WordingRequest):
        raise NoWordingRequestError(f"no model is asked about {user}: {WORDING_REASONS.get(found.reason, found.reason)}.")
    return found


def _person_at(facts: Facts, plan: Plan, tenant: str, user: str, version: int) -> Person:
    """The person's state at ``version``: their events, and those of the visitors that they were before they signed in."""
    fold = Fold(plan, Keys(b""))  # the ids that this fold derives are not used
    person = Person(tenant, user)
    for event in _events(facts, tenant, user, version):
        for each in (event, *(_stitched(facts, plan, event) if event.type == IDENTITY_MERGED else ())):
            person = fold.apply(person, each, Collector())
    return person


def _stitched(facts: Facts, plan: Plan, event: Event) -> list[Event]:
    """The events of the visitor that ``event`` names, and of those that it names in turn, as the job hands them on to the user."""
    stitcher, handed_on = Stitcher(plan), list[Event]()
    visitors = [str(event.payload.get("previousId"))]
    for previous in visitors:
        visitor = Visitor()
        for earlier in _events(facts, event.tenant, previous, _ALL_VERSIONS):
            if earlier.log_time <= event.log_time:
                stitcher.keep(visitor, earlier)
                named = str(earlier.payload.get("previousId")) if earlier.type == IDENTITY_MERGED else previous
                if named not in visitors and len(visitors) < MOST:
                    visitors.append(named)
        handed_on += stitcher.merge(visitor, merge_by(event, previous, key="", into_key=""))
    return sorted(handed_on, key=lambda each: each.offset)


def _events(facts: Facts, tenant: str, user: str, version: int) -> Iterator[Event]:
    for row in facts.rows(_EVENTS, tenant=tenant, user=user, version=version):
        payload = json.loads(row["payload"] or "{}")
        yield Event(
            tenant=tenant,
            user=user,
            anonymous=False,
            id=row["event_id"],
            session=row["session_id"],
            type=row["type"],
            name=row["name"],
            payload=payload if isinstance(payload, dict) else {},
            raw_payload=row["payload"].encode(),
            timestamp=row["at"],
            log_time=row["log_time"],
            partition=row["source_partition"],
            offset=row["source_offset"],
            seq=row["source_offset"],
            traceparent=row["traceparent"],
        )


def _record(row: Row, tenant: str, user: str) -> Recommendation:
    return Recommendation(
        decision_id=row["decision_id"],
        recommendation_id=row["recommendation_id"],
        tenant_id=tenant,
        user_id=user,
        version=row["version"],
        path_id=row["path_id"],
        step_id=row["step_id"],
        trigger=row["trigger"],
        arm=row["arm"],
        propensity=row["propensity"],
        message=row["message"],
        ui_component=row["ui_component"],
        deep_link=row["deep_link"],
        confidence=row["confidence"],
        source="template",
        validation_hash=row["validation_hash"],
        created_at=rfc3339(row["created"]),
        expires_at=rfc3339(row["expires"]),
    )
