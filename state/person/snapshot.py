"""The snapshot of a person: versioned, compact, plain bytes; never a pickled class.

Layout of version 3::

    byte 0      version, 3
    byte 1..4   n, the number of event ids remembered, little endian
    8 n bytes   hashes of the event ids
    4 n bytes   their event times, in milliseconds after ``floor``
    the rest    MessagePack array: the fields of ``Person`` in order, ``seen`` empty

Fields are only appended, with defaults. Another layout gets another version byte.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from state.other_version import other_version
from state.person.deduplication import recent_events
from state.person.person import Person

VERSION: Final = 3

_HEAD: Final = struct.Struct("<BI")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Person)


class SnapshotError(Exception):
    """A snapshot cannot be read: a newer release wrote it, or it is damaged."""


def check_version(what: str, data: bytes | memoryview, reads: int) -> None:
    """Raise ``SnapshotError`` unless the first byte of ``data``, a snapshot of ``what``, is the version that this release ``reads``."""
    if not data:
        raise SnapshotError(f"{what} is damaged: it is empty")
    if data[0] != reads:
        raise SnapshotError(other_version(what, data[0], reads))


def encode(person: Person) -> bytes:
    """Encode a person. Event ids older than ``floor`` are left out: such events are late before their ids are checked."""
    seen = recent_events(person)
    count = len(seen)
    marks = struct.pack(f"<{count}Q{count}I", *seen, *(at - person.floor for at in seen.values()))
    return _HEAD.pack(VERSION, count) + marks + _encoder.encode(msgspec.structs.replace(person, seen={}))


def decode(data: bytes) -> Person:
    """Decode a person. Raises ``SnapshotError``."""
    try:
        check_version("a user's snapshot", data, VERSION)
        _, count = _HEAD.unpack_from(data)
        numbers = struct.unpack_from(f"<{count}Q{count}I", data, _HEAD.size)
        person = _decoder.decode(memoryview(data)[_HEAD.size + 12 * count :])
    except (struct.error, msgspec.DecodeError) as error:
        raise SnapshotError(f"a user's snapshot is damaged: {error}") from error
    person.seen = {mark: person.floor + after for mark, after in zip(numbers[:count], numbers[count:], strict=True)}
    return person
