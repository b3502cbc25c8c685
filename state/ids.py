"""Keyed digests: stream keys, decision ids and recommendation ids that only this system can issue."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

_SEPARATOR: Final = "\x1f"
"""No id contains it: ids with control characters are rejected."""

STREAM_KEYS_KEPT: Final = 32_768
"""People whose stream keys are remembered, about 10 MB: who has just sent an event is likely to send another."""


class Keys:
    """Computes the digests of one deployment. The same keys give the same ids on every worker and in every run.

    Two keys have two purposes. ``secret`` hashes the ids of people, events and decisions: all state is kept under these hashes, so it can
    never change. The signing keys only prove that a recommendation was issued here, so they can be rotated.
    """

    def __init__(self, secret: bytes, signing: Sequence[bytes] = ()) -> None:
        """Keys may have any length; each purpose uses its own derived key.

        The first of ``signing`` signs, and ids signed with any of them are accepted. Without one ``secret`` signs.
        """
        root = _root(secret)
        self._stream = hashlib.blake2b(digest_size=12, key=_derive(root, b"stream"))
        self._decision = hashlib.blake2b(digest_size=12, key=_derive(root, b"decision"))
        self._event = hashlib.blake2b(digest_size=8, key=_derive(root, b"event"))
        self._known_stream_key = lru_cache(maxsize=STREAM_KEYS_KEPT)(self._stream_key)
        self._macs = [_derive(_root(key), b"mac") for key in signing or (secret,)]

    def stream_key(self, tenant: str, user: str) -> str:
        """Key of a person in the dataflow and in recovery files: 24 hexadecimal digits that do not reveal the user id."""
        return self._known_stream_key(tenant, user)

    def _stream_key(self, tenant: str, user: str) -> str:
        digest = self._stream.copy()
        digest.update(f"{tenant}{_SEPARATOR}{user}".encode())
        return digest.hexdigest()

    def event_hash(self, event_id: str) -> bytes:
        """Eight bytes that stand for an event id, for deduplication within one person."""
        digest = self._event.copy()
        digest.update(event_id.encode())
        return digest.digest()

    def decision_id(self, tenant: str, user: str, trigger: str, step: str, version: int) -> str:
        """Id of one decision or non-decision, 24 hexadecimal digits."""
        digest = self._decision.copy()
        digest.update(_SEPARATOR.join((tenant, user, trigger, step, str(version))).encode())
        return digest.hexdigest()

    def recommendation_id(self, decision_id: str, arm: str) -> str:
        """``decision.arm.mac``. The app echoes it in exposure events; the MAC makes it unforgeable."""
        return f"{decision_id}.{arm}.{_sign(decision_id, arm, self._macs[0])}"

    def read_recommendation_id(self, text: str) -> tuple[str, str] | None:
        """Return ``(decision_id, arm)`` of an id that one of the signing keys signed, ``None`` for any other text."""
        parts = text.split(".")
        if len(parts) != 3 or not text.isascii():
            return None
        decision_id, arm, mac = parts
        known = any(hmac.compare_digest(mac, _sign(decision_id, arm, key)) for key in self._macs)
        return (decision_id, arm) if known else None


def uniform(purpose: bytes, *parts: str) -> float:
    """A number in [0, 1) that depends only on ``parts``: 53 bits of a digest. ``purpose`` (at most 16 bytes) separates uses."""
    digest = hashlib.blake2b(_SEPARATOR.join(parts).encode(), digest_size=8, person=purpose).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53


def _sign(decision_id: str, arm: str, key: bytes) -> str:
    return hashlib.blake2b(f"{decision_id}.{arm}".encode(), digest_size=8, key=key).hexdigest()


def _root(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=32, person=b"onramp").digest()


def _derive(root: bytes, purpose: bytes) -> bytes:
    return hashlib.blake2b(purpose, digest_size=32, key=root).digest()
