"""The progress record that the app reads, one for each person in Redis as JSON: enough to draw a checklist."""

from __future__ import annotations

from typing import Literal

import msgspec


class StepProgress(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One step of the path. ``completed_at`` is RFC 3339, and null unless ``status`` is ``done``."""

    id: str
    title: str
    link: str
    status: Literal["done", "current", "open"]
    completed_at: str | None


class Progress(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The steps of a person's path in order. Times are RFC 3339; ``updated_at`` is log time.

    ``next_step`` is the id of the current step, null where there is none. Within one person a larger ``version`` is always newer.
    """

    tenant_id: str
    user_id: str
    version: int
    path_id: str
    path_title: str
    steps: tuple[StepProgress, ...]
    next_step: str | None
    activated_at: str | None
    updated_at: str


class PublishProgress(msgspec.Struct, frozen=True, gc=False):
    """Effect: write this record, unless a newer one is stored or the person was deleted. None removes the record."""

    tenant_id: str
    user_id: str
    version: int
    progress: Progress | None


_ENCODER = msgspec.json.Encoder()


def encode_progress(progress: Progress) -> bytes:
    """Encode a record as the JSON stored in Redis."""
    return _ENCODER.encode(progress)


def decode_progress(data: bytes) -> Progress:
    """Decode a record. Raises ``msgspec.DecodeError`` for other data."""
    return msgspec.json.decode(data, type=Progress)


def progress_key(tenant_id: str, user_id: str) -> str:
    """Key of a person's progress. The braces are a Redis Cluster hash tag: all keys of one person share a slot."""
    return f"onramp:{{{tenant_id}:{user_id}}}:progress"
