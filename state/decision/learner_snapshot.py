"""The snapshot of a learner: one version byte, then the MessagePack array of ``Learner``'s fields in order.

Fields are only appended, and have defaults, so that a newer release can read an older snapshot.
"""

from __future__ import annotations

from typing import Final

import msgspec

from state.decision.bandit import Learner
from state.person.snapshot import SnapshotError, check_version

VERSION: Final = 1

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Learner)


def encode(learner: Learner) -> bytes:
    """Encode a learner."""
    return bytes([VERSION]) + _encoder.encode(learner)


def decode(data: bytes | None) -> Learner:
    """Decode a learner; a new one for ``None``. Raises ``SnapshotError``."""
    if data is None:
        return Learner()
    check_version("a learner's snapshot", data, VERSION)
    try:
        return _decoder.decode(memoryview(data)[1:])
    except ValueError as error:
        raise SnapshotError(f"a learner's snapshot is damaged: {error}") from error
