"""Which running calls of a model an effect on a person's record cancels.

An effect can overtake the request that it cancels, so a cancel also applies to older requests that arrive later; never to newer ones.
"""

from __future__ import annotations

from operators.async_map import Cancel
from state.decision.wording_request import WordingRequest, WordingSkipped
from state.records.recommendation import Erase, MarkShown, Publish

CancellingEffect = Publish | Erase | MarkShown


def cancel_for(effect: CancellingEffect | WordingSkipped) -> Cancel:
    """The cancel that follows from ``effect``: the text was shown, the person was deleted, or a newer record replaces the older one."""
    if isinstance(effect, MarkShown):
        shown, person = effect.decision_id, person_key(effect.tenant_id, effect.user_id)
        return Cancel(person, "shown_first", lambda request: request.record.decision_id == shown, lasting=True)
    if isinstance(effect, Erase):
        person, version, reason = person_key(effect.tenant_id, effect.user_id), effect.version, "forgotten"
    else:
        record = effect.record if isinstance(effect, WordingSkipped) else effect.recommendation
        person, version, reason = person_key(record.tenant_id, record.user_id), record.version, "superseded"
    return Cancel(person, reason, lambda request: request.record.version < version, lasting=True)


def name(request: WordingRequest) -> tuple[str, str]:
    """Person and decision of a request: of one person only the newest request runs."""
    return person_key(request.record.tenant_id, request.record.user_id), request.record.decision_id


def person_key(tenant: str, user: str) -> str:
    """One text for tenant and user."""
    return f"{tenant}\x1f{user}"
