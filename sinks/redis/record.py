"""The record under a user's Redis key: a recommendation, or the tombstone of a deleted user."""

from __future__ import annotations

from typing import Final

import msgspec

from state.records.recommendation import Effect, Erase, MarkShown, Recommendation, decode, encode, redis_key, shown_key


class Deleted(msgspec.Struct, frozen=True, gc=False):
    """A tombstone, in JSON ``{"deleted":true,"version":N}``, without the user's id. Only a newer sign-up replaces it."""

    deleted: bool
    version: int


TOMBSTONE: Final = b'{"deleted"'
"""The first bytes of a tombstone. A recommendation does not begin with them."""


class CorruptRecordError(ValueError):
    """The value is neither a recommendation nor a tombstone. The job replaces it with its next write to that key."""


def key_of(effect: Effect) -> str:
    """Return the Redis key that ``effect`` changes."""
    return redis_key(*_person_of(effect))


def shown_key_of(effect: Effect) -> str:
    """Return the key of the last decision that was shown to the user."""
    return shown_key(*_person_of(effect))


def _person_of(effect: Effect) -> tuple[str, str]:
    if isinstance(effect, Erase | MarkShown):
        return effect.tenant_id, effect.user_id
    return effect.recommendation.tenant_id, effect.recommendation.user_id


def version_of(effect: Effect) -> int:
    """Return the version that decides which of two effects on one key is newer."""
    return effect.version if isinstance(effect, Erase | MarkShown) else effect.recommendation.version


def id_of(effect: Effect) -> str:
    """Return the id that is equal for two effects on the same thing: the recommendation's id, or the decision's for ``MarkShown``."""
    if isinstance(effect, Erase):
        return ""
    return effect.decision_id if isinstance(effect, MarkShown) else effect.recommendation.recommendation_id


def encode_record(effect: Effect) -> bytes:
    """Return the JSON that ``effect`` writes under its key; empty for ``MarkShown``."""
    if isinstance(effect, Erase):
        return msgspec.json.encode(Deleted(deleted=True, version=effect.version))
    if isinstance(effect, MarkShown):
        return b""
    return encode(effect.recommendation)


def decode_record(data: bytes) -> Recommendation | Deleted:
    """Decode a value. Raises ``CorruptRecordError``."""
    try:
        return decode(data)
    except msgspec.DecodeError as not_a_recommendation:
        try:
            tombstone = msgspec.json.decode(data, type=Deleted)
        except msgspec.DecodeError:
            raise CorruptRecordError(f"the stored recommendation cannot be read: {not_a_recommendation}") from not_a_recommendation
    if not tombstone.deleted:
        raise CorruptRecordError("the stored recommendation cannot be read: a tombstone with deleted = false")
    return tombstone
