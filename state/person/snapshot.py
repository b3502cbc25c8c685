"""The snapshot of a person: versioned, compact, plain bytes; never a pickled class.

Layout of version 4::

    byte 0      version, 4
    byte 1..8   log time at which the next timer is due, 0 for none, little endian
    the rest    MessagePack array: the fields of ``Person`` in order

Fields are only appended, with defaults. Another layout gets another version byte. Version 3 is read too (``_from_3``). Version 5 is of
somebody for whom events wait: the byte 5, the length of the events in four bytes, little endian, the events as MessagePack, then a snapshot
of version 4.
"""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple

import msgspec

from state.event import Event
from state.person.deduplication import recent_events
from state.person.person import Episode, Person
from state.snapshot_codec import SnapshotError, check_version
from state.stuck.row import with_packed_features

VERSION: Final = 4

_WAITING: Final = 5
_WAITING_HEAD: Final = struct.Struct("<BI")
_HEAD: Final = struct.Struct("<Bq")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Person)
_events_decoder = msgspec.msgpack.Decoder(list[Event])
_buffers: Final[list[bytearray]] = []
"""As many as threads have encoded at once. Otherwise an encoder allocates, enlarges and shortens a buffer for each snapshot, between the
snapshots of all people, and the allocator looks longer for room (``perf record`` on ``growth`` with 1,000,000 people)."""


class NextTimer(NamedTuple):
    """When the next timer of a person is due (log time, 0 for none), of whom it is, and by the time of which partition."""

    due: int
    tenant: str
    user: str
    partition: int


class _First(msgspec.Struct, gc=False, array_like=True):
    """The first fields of ``Person``, of which the rest is skipped."""

    tenant: str
    user: str
    partition: int


_first_decoder = msgspec.msgpack.Decoder(_First)


def encode(person: Person) -> bytes:
    """Encode a person. Event ids older than ``floor`` are left out: nobody asks for them (``is_known``)."""
    seen = recent_events(person)
    if seen is not person.seen:
        person = msgspec.structs.replace(person, seen=seen)
    try:
        buffer = _buffers.pop()
    except IndexError:
        buffer = bytearray(_HEAD.size)
    _encoder.encode_into(person, buffer, _HEAD.size)
    _HEAD.pack_into(buffer, 0, VERSION, person.next_due)
    encoded = bytes(buffer)
    _buffers.append(buffer)
    return encoded


def with_waiting(encoded: bytes, events: list[Event]) -> bytes:
    """Add the events that wait for the id of the person who is ``encoded``."""
    added = _encoder.encode(events)
    return _WAITING_HEAD.pack(_WAITING, len(added)) + added + encoded


def waiting(data: bytes) -> list[Event]:
    """Events that wait for the person's id, nearly always none. Raises ``SnapshotError``."""
    if data[:1] != b"\x05":
        return []
    try:
        return _events_decoder.decode(data[_WAITING_HEAD.size : _after_waiting(data)])
    except (struct.error, ValueError) as error:
        raise SnapshotError(f"a user's snapshot is damaged: {error}") from error


def _after_waiting(data: bytes) -> int:
    """Where the snapshot of the person begins in one of version 5. Raises ``ValueError`` or ``struct.error`` where none does."""
    length: int = _WAITING_HEAD.unpack_from(data)[1]
    start = _WAITING_HEAD.size + length
    if data[start : start + 1] != b"\x04":
        raise ValueError("the user is missing after the events")
    return start


def decode(data: bytes) -> Person:
    """Decode a person, without what ``waiting`` returns. Raises ``SnapshotError``."""
    try:
        if data[:1] == b"\x05":
            data = data[_after_waiting(data) :]
        if data[:1] == b"\x03":
            return _from_3(data)
        check_version("a user's snapshot", data, VERSION)
        return _decoder.decode(memoryview(data)[_HEAD.size :])
    except (struct.error, ValueError, IndexError, TypeError) as error:
        raise SnapshotError(f"a user's snapshot is damaged: {error}") from error


def next_timer(data: bytes) -> NextTimer:
    """What a restart needs of a snapshot, without decoding the rest. Raises ``SnapshotError``."""
    if data[:1] in (b"\x03", b"\x05"):
        person = decode(data)
        return NextTimer(person.next_due, person.tenant, person.user, person.partition)
    try:
        check_version("a user's snapshot", data, VERSION)
        (_, due), first = _HEAD.unpack_from(data), _first_decoder.decode(memoryview(data)[_HEAD.size :])
    except (struct.error, ValueError) as error:
        raise SnapshotError(f"a user's snapshot is damaged: {error}") from error
    return NextTimer(due, first.tenant, first.user, first.partition)


_HEAD_3: Final = struct.Struct("<BI")
_FLOOR, _SEEN, _EPISODE = (Person.__struct_fields__.index(name) for name in ("floor", "seen", "episode"))
_ROWS: Final = Episode.__struct_fields__.index("rows")


def _from_3(data: bytes) -> Person:
    """Read version 3: the number of event ids, their hashes, their times after ``floor``, then the fields with ``seen`` empty.

    Features were lists of numbers.
    """
    _, count = _HEAD_3.unpack_from(data)
    numbers = struct.unpack_from(f"<{count}Q{count}I", data, _HEAD_3.size)
    fields: list[Any] = msgspec.msgpack.decode(memoryview(data)[_HEAD_3.size + 12 * count :], type=list)
    floor, marks, times = fields[_FLOOR], numbers[:count], numbers[count:]
    fields[_SEEN] = b"".join(struct.pack(">Q", mark) + struct.pack("<Q", floor + after) for mark, after in zip(marks, times, strict=True))
    if len(fields) > _EPISODE and (episode := fields[_EPISODE]) and len(episode) > _ROWS:
        episode[_ROWS] = [with_packed_features(row) for row in episode[_ROWS]]
    person: Person = msgspec.convert(fields, Person)
    return person
