"""What stands under a person's Redis key: a recommendation, or the tombstone of a deleted person."""

from __future__ import annotations

from typing import Final

import msgspec

from state.records.recommendation import Effect, Erase, MarkShown, Recommendation, decode, encode, redis_key, shown_key


class Deleted(msgspec.Struct, frozen=True, gc=False):
    """The person was deleted; in JSON ``{"deleted":true,"version":N}`` and nothing that says who. Only a newer sign-up replaces it."""

    deleted: bool
    version: int


TOMBSTONE: Final = b'{"deleted"'
"""What a tombstone begins with, and a recommendation never does."""


class CorruptRecordError(ValueError):
    """The value is neither of the two. The job replaces it with its next write to that key."""


def key_of(effect: Effect) -> str:
    """Return the Redis key that ``effect`` changes."""
    return redis_key(*_person_of(effect))


def shown_key_of(effect: Effect) -> str:
    """Return the key that says which decision the person has seen."""
    return shown_key(*_person_of(effect))


def _person_of(effect: Effect) -> tuple[str, str]:
    if isinstance(effect, Erase | MarkShown):
        return effect.tenant_id, effect.user_id
    return effect.recommendation.tenant_id, effect.recommendation.user_id


def version_of(effect: Effect) -> int:
    """Return the version that decides which of two effects on one key is newer."""
    return effect.version if isinstance(effect, Erase | MarkShown) else effect.recommendation.version


def id_of(effect: Effect) -> str:
    """Return the id that two effects on the same thing share: the recommendation's, of ``MarkShown`` the decision's."""
    if isinstance(effect, Erase):
        return ""
    return effect.decision_id if isinstance(effect, MarkShown) else effect.recommendation.recommendation_id


def encode_record(effect: Effect) -> bytes:
    """Return the JSON that ``effect`` puts under its key; ``MarkShown`` puts none."""
    if isinstance(effect, Erase):
        return msgspec.json.encode(Deleted(deleted=True, version=effect.version))
    if isinstance(effect, MarkShown):
        return b""
    return encode(effect.recommendation)


def decode_record(data: bytes) -> Recommendation | Deleted:
    """Read a value back. Raises ``CorruptRecordError``."""
    try:
        return decode(data)
    except msgspec.DecodeError as not_a_recommendation:
        try:
            tombstone = msgspec.json.decode(data, type=Deleted)
        except msgspec.DecodeError:
            raise CorruptRecordError(f"the stored recommendation cannot be read: {not_a_recommendation}") from not_a_recommendation
    if not tombstone.deleted:
        raise CorruptRecordError("the stored recommendation cannot be read: a tombstone that says it is not deleted")
    return tombstone
