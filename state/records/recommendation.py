"""What the app reads: one JSON record per person in Redis, and the effects that change it."""

from __future__ import annotations

import hashlib

import msgspec


class Recommendation(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=False):
    """The guidance one person should see now, in the words and order of the JSON record (camelCase).

    ``ui_component`` = ``none`` means: show nothing (the earlier guidance became stale). ``created_at`` and ``expires_at`` are log time,
    RFC 3339. Within one person a larger ``version`` is always newer.
    """

    decision_id: str
    recommendation_id: str
    tenant_id: str
    user_id: str
    version: int
    path_id: str
    step_id: str
    trigger: str
    arm: str
    propensity: float
    message: str
    ui_component: str
    deep_link: str
    confidence: float
    source: str
    validation_hash: str
    created_at: str
    expires_at: str
    prompt_version: str | None = None
    trace_id: str | None = None
    reason: str | None = None


class Publish(msgspec.Struct, frozen=True, gc=False):
    """Effect: let the app read this record, unless it already has a newer one."""

    recommendation: Recommendation


class Erase(msgspec.Struct, frozen=True, gc=False):
    """Effect: the person was deleted. A tombstone of ``version``, without personal data, keeps late writes from resurrecting a record."""

    tenant_id: str
    user_id: str
    version: int


class ReplaceText(msgspec.Struct, frozen=True, gc=False):
    """Effect: replace the template's text in the record of the same decision, if that record still stands there and was not shown."""

    recommendation: Recommendation


class MarkShown(msgspec.Struct, frozen=True, gc=False):
    """Effect: the person has seen the guidance of this decision; its text must not change any more."""

    tenant_id: str
    user_id: str
    decision_id: str
    version: int


Effect = Publish | Erase | ReplaceText | MarkShown

_ENCODER = msgspec.json.Encoder()


def encode(recommendation: Recommendation) -> bytes:
    """Return the JSON record as it stands in Redis."""
    return _ENCODER.encode(recommendation)


def decode(data: bytes) -> Recommendation:
    """Read a record back. Raises ``msgspec.DecodeError`` on anything that is not one."""
    return msgspec.json.decode(data, type=Recommendation)


def validation_hash(message: str, ui_component: str, deep_link: str) -> str:
    """Digest of what the person will see, so that a reader can tell whether it was changed on the way."""
    canonical = msgspec.json.encode([message, ui_component, deep_link])
    return hashlib.blake2b(canonical, digest_size=16).hexdigest()


def redis_key(tenant_id: str, user_id: str) -> str:
    """Key of a person's record. The braces are a Redis Cluster hash tag: all keys of one person share a slot."""
    return f"onramp:{{{tenant_id}:{user_id}}}:rec"


def shown_key(tenant_id: str, user_id: str) -> str:
    """Key that holds the id of the decision that the person saw last. An app may set it when it reads, to be surer than events make it."""
    return f"onramp:{{{tenant_id}:{user_id}}}:shown"
