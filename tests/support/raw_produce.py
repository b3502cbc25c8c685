"""Produces what client libraries refuse to, over the wire: header names that are not UTF-8, odd timestamps, damaged batches."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from tests.support.waiting import wait_until

_PRODUCE, _VERSION = 0, 3
_TIMEOUT_MS = 10_000
_NO_LEADER_YET = (3, 5, 6)  # a topic that was just created


@dataclass(frozen=True)
class RawRecord:
    """One record, every part as bytes."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[bytes, bytes | None], ...] = ()
    timestamp: int = 1_700_000_000_000


def produce_raw(
    brokers: str, topic: str, records: list[RawRecord], *, partition: int = 0, codec: int = 0, body: bytes | None = None
) -> int:
    """Send ``records`` as one batch and return the offset of the first. Raises ``AssertionError`` with the broker's code if it refuses.

    ``codec`` is written into the attributes (2 is snappy) without compressing. ``body`` replaces the encoded records.
    """
    batch = _batch(records, codec, body)
    name = topic.encode()
    request = b"".join(
        (
            struct.pack(">hhih", _PRODUCE, _VERSION, 1, -1),  # no client id
            struct.pack(">hhi", -1, -1, _TIMEOUT_MS),  # no transaction, all acknowledgements
            struct.pack(">ih", 1, len(name)),
            name,
            struct.pack(">iii", 1, partition, len(batch)),
            batch,
        )
    )
    place = 4 + 4 + 2 + len(name) + 4 + 4  # correlation id, topics, name, partitions, index
    answers: list[tuple[int, int]] = []

    def answered() -> bool:
        code, offset = struct.unpack_from(">hq", _exchange(brokers, request), place)
        answers.append((code, offset))
        return code not in _NO_LEADER_YET

    wait_until(answered, f"a leader of {topic}", every=0.1)
    code, offset = answers[-1]
    assert code == 0, f"the broker refused the batch with code {code}"
    return offset


def _exchange(brokers: str, request: bytes) -> bytes:
    host, _, port = brokers.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=_TIMEOUT_MS / 1_000) as wire:
        wire.sendall(struct.pack(">i", len(request)) + request)
        return _read(wire, struct.unpack(">i", _read(wire, 4))[0])


def _batch(records: list[RawRecord], codec: int, body: bytes | None) -> bytes:
    first = records[0].timestamp
    encoded = b"".join(_record(number, record, first) for number, record in enumerate(records)) if body is None else body
    last, latest = len(records) - 1, max(record.timestamp for record in records)
    rest = struct.pack(">hiqqqhii", codec, last, first, latest, -1, -1, -1, len(records)) + encoded
    head = struct.pack(">ibI", -1, 2, _crc32c(rest))
    return struct.pack(">qi", 0, len(head) + len(rest)) + head + rest


def _record(number: int, record: RawRecord, first: int) -> bytes:
    parts = [
        b"\0",
        _varint(record.timestamp - first),
        _varint(number),
        _sized(record.key),
        _sized(record.value),
        _varint(len(record.headers)),
    ]
    for name, value in record.headers:
        parts += [_sized(name), _sized(value)]
    content = b"".join(parts)
    return _varint(len(content)) + content


def _sized(data: bytes | None) -> bytes:
    return _varint(-1) if data is None else _varint(len(data)) + data


def _varint(number: int) -> bytes:
    zigzag = (number << 1) ^ (number >> 63)
    out = bytearray()
    while zigzag >= 0x80:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _entry(number: int) -> int:
    for _ in range(8):
        number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
    return number


_TABLE = [_entry(number) for number in range(256)]


def _read(wire: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        chunk = wire.recv(length - len(data))
        assert chunk, "the broker closed the connection"
        data += chunk
    return data
