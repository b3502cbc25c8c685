"""The record under a user's Redis key: a recommendation, or the tombstone of a deleted user."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from state.records.progress import PublishProgress, encode_progress, progress_key
from state.records.recommendation import (
    Effect,
    Erase,
    MarkShown,
    Publish,
    Recommendation,
    ReplaceText,
    decode,
    encode,
    redis_key,
    shown_key,
    updates_channel,
)


class Deleted(msgspec.Struct, frozen=True, gc=False):
    """A tombstone, in JSON ``{"deleted":true,"version":N}``, without the user's id. Only a newer sign-up replaces it."""

    deleted: bool
    version: int


TOMBSTONE: Final = b'{"deleted"'
"""The first bytes of a tombstone. A recommendation does not begin with them."""


class CorruptRecordError(ValueError):
    """The value is neither a recommendation nor a tombstone. The job replaces it with its next write to that key."""


class UserKeys(NamedTuple):
    """All keys of one user: of the recommendation, of the decision shown last, and of the progress."""

    record: str
    shown: str
    progress: str


def keys_of(effect: Effect) -> UserKeys:
    """Return the keys of the user whom ``effect`` concerns."""
    user = effect.recommendation if isinstance(effect, Publish | ReplaceText) else effect
    return UserKeys(
        redis_key(user.tenant_id, user.user_id), shown_key(user.tenant_id, user.user_id), progress_key(user.tenant_id, user.user_id)
    )


def announcement_of(effect: Effect) -> tuple[str, str]:
    """Return the channel and the message that announce ``effect``."""
    user = effect.recommendation if isinstance(effect, Publish | ReplaceText) else effect
    return updates_channel(user.tenant_id), user.user_id


def version_of(effect: Effect) -> int:
    """Return the version that decides which of two effects on one key is newer."""
    return effect.recommendation.version if isinstance(effect, Publish | ReplaceText) else effect.version


def id_of(effect: Effect) -> str:
    """Return the id that is equal for two effects on the same thing: the recommendation's id, or the decision's for ``MarkShown``."""
    if isinstance(effect, Erase | PublishProgress):
        return ""
    return effect.decision_id if isinstance(effect, MarkShown) else effect.recommendation.recommendation_id


def encode_record(effect: Effect) -> bytes:
    """Return the JSON that ``effect`` writes under its key; empty for ``MarkShown``, and for progress that is removed."""
    if isinstance(effect, Erase):
        return msgspec.json.encode(Deleted(deleted=True, version=effect.version))
    if isinstance(effect, PublishProgress):
        return b"" if effect.progress is None else encode_progress(effect.progress)
    return b"" if isinstance(effect, MarkShown) else encode(effect.recommendation)


def decode_record(data: bytes) -> Recommendation | Deleted:
    """Decode a value. Raises ``CorruptRecordError``."""
    try:
        return decode(data)
    except ValueError as not_a_recommendation:
        try:
            tombstone = msgspec.json.decode(data, type=Deleted)
        except ValueError:
            raise CorruptRecordError(f"the stored recommendation cannot be read: {not_a_recommendation}") from not_a_recommendation
    if not tombstone.deleted:
        raise CorruptRecordError("the stored recommendation cannot be read: a tombstone with deleted = false")
    return tombstone
