"""The record that the app reads, one for each person in Redis as JSON, and the effects that change it."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from state.records.progress import PublishProgress


class Recommendation(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=False):
    """The current guidance of one person, in the names and order of the JSON record (camelCase).

    ``ui_component`` = ``none`` means: show nothing (the earlier guidance became stale). ``created_at`` and ``expires_at`` are log time, RFC
    3339. Within one person a larger ``version`` is always newer.
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
    """Effect: write this record, unless a newer one is stored. ``traceparent`` is that of the message, empty without one."""

    recommendation: Recommendation
    traceparent: str = ""


class Erase(msgspec.Struct, frozen=True, gc=False):
    """Effect: the person was deleted. A tombstone with ``version``, without personal data, prevents late writes from restoring a record."""

    tenant_id: str
    user_id: str
    version: int


class ReplaceText(msgspec.Struct, frozen=True, gc=False):
    """Effect: a new text for the stored record, if that has the same decision, is a template, and was not shown."""

    recommendation: Recommendation


class MarkShown(msgspec.Struct, frozen=True, gc=False):
    """Effect: the guidance of this decision was shown; its text must not change any more."""

    tenant_id: str
    user_id: str
    decision_id: str
    version: int


Effect = Publish | Erase | ReplaceText | MarkShown | PublishProgress

UPDATES: Final = "onramp:updates:"
"""How the channels of all tenants begin."""

_ENCODER = msgspec.json.Encoder()


def encode(recommendation: Recommendation) -> bytes:
    """Encode a record as the JSON stored in Redis."""
    return _ENCODER.encode(recommendation)


def decode(data: bytes) -> Recommendation:
    """Decode a record. Raises ``msgspec.DecodeError`` for other data."""
    return msgspec.json.decode(data, type=Recommendation)


def validation_hash(message: str, ui_component: str, deep_link: str) -> str:
    """Digest of the shown content, with which a reader can verify that it was not changed."""
    canonical = msgspec.json.encode([message, ui_component, deep_link])
    return hashlib.blake2b(canonical, digest_size=16).hexdigest()


def redis_key(tenant_id: str, user_id: str) -> str:
    """Key of a person's record. The braces are a Redis Cluster hash tag: all keys of one person share a slot."""
    return f"onramp:{{{tenant_id}:{user_id}}}:rec"


def updates_channel(tenant_id: str) -> str:
    """Channel on which every change of a record of the tenant is announced. The message is the person's id."""
    return f"{UPDATES}{tenant_id}"


def shown_key(tenant_id: str, user_id: str) -> str:
    """Key of the id of the decision shown last. An app may set it when it reads the record, which is faster than an exposure event."""
    return f"onramp:{{{tenant_id}:{user_id}}}:shown"
