"""The snapshots of one kind: a version byte, then the MessagePack array of a struct's fields in order.

Fields are only appended, and have defaults, so that a newer release can read an older snapshot.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

import msgspec

from state.other_version import other_version

T = TypeVar("T", bound=msgspec.Struct)

_encoder = msgspec.msgpack.Encoder()


class SnapshotError(Exception):
    """A snapshot cannot be read: a newer release wrote it, or it is damaged."""


def check_version(what: str, data: bytes | memoryview, reads: int) -> None:
    """Raise ``SnapshotError`` unless the first byte of ``data``, a snapshot of ``what``, is the version that this release ``reads``."""
    if not data:
        raise SnapshotError(f"{what} is damaged: it is empty")
    if data[0] != reads:
        raise SnapshotError(other_version(what, data[0], reads))


class SnapshotCodec(Generic[T]):
    """Encodes and decodes the snapshots of one struct, which is ``array_like``."""

    def __init__(self, kind: type[T], what: str, *, version: int) -> None:
        """``what`` names such a snapshot in errors; ``version`` is the one that is written, and the only one that is read."""
        self.version: Final = version
        self._what: Final = what
        self._decoder: Final = msgspec.msgpack.Decoder(kind)

    def encode(self, value: T) -> bytes:
        """Encode ``value``."""
        return bytes([self.version]) + _encoder.encode(value)

    def decode(self, data: bytes) -> T:
        """Decode a snapshot. Raises ``SnapshotError``."""
        check_version(self._what, data, self.version)
        try:
            return self._decoder.decode(memoryview(data)[1:])
        except ValueError as error:
            raise SnapshotError(f"{self._what} is damaged: {error}") from error
