"""Keyed digests: stream keys, decision ids and recommendation ids that only this system can issue."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

_SEPARATOR: Final = "\x1f"
"""No id contains it: ids with control characters are rejected."""


class Keys:
    """Computes the digests of one deployment. The same secret gives the same ids on every worker and in every run."""

    def __init__(self, secret: bytes) -> None:
        """``secret`` may have any length. Each purpose uses its own derived key."""
        root = hashlib.blake2b(secret, digest_size=32, person=b"onramp").digest()
        self._stream = _derive(root, b"stream")
        self._decision = _derive(root, b"decision")
        self._mac = _derive(root, b"mac")
        self._event = _derive(root, b"event")

    def stream_key(self, tenant: str, user: str) -> str:
        """Key of a person in the dataflow and in recovery files: 24 hexadecimal digits that do not reveal the user id."""
        text = f"{tenant}{_SEPARATOR}{user}".encode()
        return hashlib.blake2b(text, digest_size=12, key=self._stream).hexdigest()

    def event_hash(self, event_id: str) -> int:
        """64 bits of an event id, for deduplication within one person."""
        return int.from_bytes(hashlib.blake2b(event_id.encode(), digest_size=8, key=self._event).digest(), "big")

    def decision_id(self, tenant: str, user: str, trigger: str, step: str, version: int) -> str:
        """Id of one decision or non-decision, 24 hexadecimal digits."""
        text = _SEPARATOR.join((tenant, user, trigger, step, str(version))).encode()
        return hashlib.blake2b(text, digest_size=12, key=self._decision).hexdigest()

    def recommendation_id(self, decision_id: str, arm: str) -> str:
        """``decision.arm.mac``. The app echoes it in exposure events; the MAC makes it unforgeable."""
        return f"{decision_id}.{arm}.{self._sign(decision_id, arm)}"

    def read_recommendation_id(self, text: str) -> tuple[str, str] | None:
        """Return ``(decision_id, arm)`` of an id that this system issued, ``None`` for any other text."""
        parts = text.split(".")
        if len(parts) != 3 or not text.isascii():
            return None
        decision_id, arm, mac = parts
        return (decision_id, arm) if hmac.compare_digest(mac, self._sign(decision_id, arm)) else None

    def _sign(self, decision_id: str, arm: str) -> str:
        return hashlib.blake2b(f"{decision_id}.{arm}".encode(), digest_size=8, key=self._mac).hexdigest()


def uniform(purpose: bytes, *parts: str) -> float:
    """A number in [0, 1) that depends only on ``parts``: 53 bits of a digest. ``purpose`` (at most 16 bytes) separates uses."""
    digest = hashlib.blake2b(_SEPARATOR.join(parts).encode(), digest_size=8, person=purpose).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53


def _derive(root: bytes, purpose: bytes) -> bytes:
    return hashlib.blake2b(purpose, digest_size=32, key=root).digest()
