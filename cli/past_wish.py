"""Rebuilds, from what analysts can read, what a model would be told of a person's newest decision."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from state.catalog.plan import Plan
from state.decision.wording_request import REASONS, Wish, consider
from state.events import Event
from state.person.person import Person
from state.person.profile import follow_session, learn_traits, listen, prefer, remember
from state.records.recommendation import Recommendation
from state.stream_items import Context, Decision, DecisionRequest
from state.times import rfc3339

if TYPE_CHECKING:
    from cli.stores import Facts

Row = dict[str, Any]

_DECIDED = """
SELECT d.decision_id AS decision_id, d.segment AS segment, d.version AS version, r.recommendation_id AS recommendation_id,
    toString(r.trigger) AS trigger, toString(r.path_id) AS path_id, toString(r.step_id) AS step_id, toString(r.arm) AS arm,
    r.propensity AS propensity, r.message AS message, toString(r.ui_component) AS ui_component, r.deep_link AS deep_link,
    r.validation_hash AS validation_hash, toUnixTimestamp64Milli(r.created_at) AS created, toUnixTimestamp64Milli(r.expires_at) AS expires
FROM decisions_final AS d
INNER JOIN recommendations_final AS r ON r.tenant_id = d.tenant_id AND r.user_id = d.user_id AND r.decision_id = d.decision_id
WHERE d.tenant_id = {tenant:String} AND d.user_id = {user:String} AND d.outcome = 'decided' AND r.source = 'template'
    AND r.ui_component != 'none'
ORDER BY d.decided_at DESC, d.version DESC LIMIT 1
"""
_EVENTS = """
SELECT event_id, session_id, toString(event_type) AS type, toString(name) AS name, payload,
    toUnixTimestamp64Milli(timestamp) AS at, toUnixTimestamp64Milli(log_time) AS log_time
FROM events_final
WHERE tenant_id = {tenant:String} AND user_id = {user:String} AND status = 'applied' AND version <= {version:UInt64}
ORDER BY version, source_partition, source_offset
"""
_DONE = """
SELECT toString(step_id) AS step FROM step_progress_final
WHERE tenant_id = {tenant:String} AND user_id = {user:String} AND path_id = {path:String} AND status = 'completed'
    AND completed_at <= fromUnixTimestamp64Milli({at:Int64}, 'UTC')
ORDER BY position
"""


class NoWishError(Exception):
    """There is nothing that a model could be asked about. The text is one sentence for the user."""


def find_wish(facts: Facts, plan: Plan, tenant: str, user: str) -> Wish:
    """Return what a model would be told of the newest decision on ``user``. Raises ``NoWishError``.

    ``plan`` says which decisions may be worded. Events that arrived with the decision or before it count, as for the job.
    """
    known = facts.rows("SELECT 1 FROM people_final WHERE tenant_id = {tenant:String} AND user_id = {user:String}", tenant=tenant, user=user)
    if not known:
        raise NoWishError(f"nobody named {user} is known in tenant {tenant}.")
    decided = facts.rows(_DECIDED, tenant=tenant, user=user)
    if not decided:
        raise NoWishError(f"no guidance was ever decided for {user}; `onramp explain {user}` says why.")
    row = decided[0]
    if (row["path_id"], row["step_id"]) not in plan.places or row["arm"] not in plan.component:
        raise NoWishError(
            f"the catalog {plan.catalog.id} does not know {row['arm']} at {row['step_id']}, where {user}'s newest decision was made; "
            "name the right one with --catalog."
        )
    person = _person_at(facts.rows(_EVENTS, tenant=tenant, user=user, version=row["version"]), plan, tenant, user)
    done = tuple(each["step"] for each in facts.rows(_DONE, tenant=tenant, user=user, path=row["path_id"], at=row["created"]))
    context = Context(len(person.recent), done, person.sessions > 1, person.model_text, tuple(person.said))
    wish = consider(plan, _choice(row, person, context), _record(row, tenant, user))
    if not isinstance(wish, Wish):
        raise NoWishError(f"no model is asked about {user}: {REASONS.get(wish.reason, wish.reason)}.")
    return wish


def _person_at(events: list[Row], plan: Plan, tenant: str, user: str) -> Person:
    """What the job knew of the person, as far as words depend on it."""
    person = Person(tenant, user)
    for row in events:
        payload = json.loads(row["payload"] or "{}")
        event = Event(
            tenant, user, False, row["event_id"], row["session_id"], row["type"], row["name"], payload if isinstance(payload, dict) else {},
            row["payload"].encode(), row["at"], row["log_time"], 0, 0, 0, "",
        )  # fmt: skip
        follow_session(person, event, plan.limits.session_gap)
        person.newest = max(person.newest, event.timestamp)
        if event.type in {"signup", "identify"}:
            learn_traits(person, event, plan.traits)
        elif event.type == "preferences_changed":
            prefer(person, event)
        remember(person, event)
        listen(person, event)
    return person


def _choice(row: Row, person: Person, context: Context) -> Decision:
    ask = DecisionRequest(
        0, row["created"], "", 0, person.tenant, person.user, row["decision_id"], row["trigger"], row["path_id"], row["step_id"],
        row["segment"], (row["arm"],), dict(person.traits), "", row["version"], context=context,
    )  # fmt: skip
    return Decision(ask, row["arm"], row["propensity"])


def _record(row: Row, tenant: str, user: str) -> Recommendation:
    return Recommendation(
        row["decision_id"], row["recommendation_id"], tenant, user, row["version"], row["path_id"], row["step_id"], row["trigger"],
        row["arm"], row["propensity"], row["message"], row["ui_component"], row["deep_link"], 1.0, "template", row["validation_hash"],
        rfc3339(row["created"]), rfc3339(row["expires"]),
    )  # fmt: skip
