"""Appends to the event log, from several threads and processes at once."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

import msgspec

from sources.local_log.retention import DEFAULT_RETENTION, Retention, RetentionThread
from sources.local_log.store import WAIT_S, Record, Store
from system.wall_clock import wall_clock

__all__ = ["EventLog", "Place", "Record"]

_ENCODER: Final = msgspec.msgpack.Encoder()
_ROW_MESSAGES: Final = 1_000
_ROW_BYTES: Final = 1024 * 1024
"""A row ends behind as many messages or bytes, so that a reader never has to hold many more than it asked for."""


class Place(NamedTuple):
    """Where a record is stored."""

    partition: int
    offset: int


class EventLog:
    """The log in the directory ``path``, which is created if there is none. Several threads and processes may append at once.

    The number of ``partitions`` is fixed when the log is created; None takes the one that is there, and ``PARTITIONS`` for a new log.
    ``retention`` bounds size and age; a thread deletes what is beyond, None keeps all. ``now`` returns wall-clock milliseconds, for the
    append times. ``wait_s`` is the longest wait for other writers. Raises ``LogError``.
    """

    def __init__(
        self,
        path: Path,
        *,
        partitions: int | None = None,
        retention: Retention | None = DEFAULT_RETENTION,
        now: Callable[[], int] = wall_clock,
        wait_s: float = WAIT_S,
    ) -> None:
        self._store = Store(path, partitions=partitions, writes=True, wait_s=wait_s)
        self._lock = threading.Lock()
        self._partitions = self._store.identity.partitions
        self._now = now
        self._insert = [f"INSERT INTO p{number:d} VALUES (?, ?, ?, ?, ?)" for number in range(self._partitions)]  # noqa: S608 - a number
        self.retention = retention
        self._thread = None if retention is None else RetentionThread(self._store, self._lock, retention, now)
        if self._thread is not None:
            self._thread.start()

    def __enter__(self) -> EventLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def partition_of(self, key: bytes) -> int:
        """Return the partition of a key: its CRC-32, as librdkafka's partitioner ``consistent`` has it."""
        return zlib.crc32(key) % self._partitions

    def append(self, records: Sequence[Record]) -> list[Place]:
        """Append ``records`` in one transaction, and return where each is stored. Blocks until all are flushed to disk.

        Raises ``LogError``: none of them is stored then. ``LogFullError`` means that a later try succeeds once there is space. If the
        process ends before the return, all or none of them are stored.
        """
        return self._append(records, [self.partition_of(record.key) for record in records])

    def append_everywhere(self, value: bytes) -> list[Place]:
        """Append a message without a key to every partition, in one transaction: all copies have one time. Otherwise like ``append``."""
        return self._append([Record(b"", value)] * self._partitions, range(self._partitions))

    def _append(self, records: Sequence[Record], partitions: Sequence[int]) -> list[Place]:
        shares: dict[int, list[Record]] = {}
        for partition, record in zip(partitions, records, strict=True):
            shares.setdefault(partition, []).append(record)
        ends: dict[int, int] = {}
        if shares:
            with self._lock, self._store.transaction() as database:
                now = self._now()
                for partition, share in shares.items():
                    ends[partition] = self._store.bounds(partition).end
                    rows, first = [], ends[partition]
                    for part in _rows_of(share):
                        messages = _ENCODER.encode(part)
                        rows.append((first, len(part), now, zlib.crc32(messages), messages))
                        first += len(part)
                    database.executemany(self._insert[partition], rows)
        places: list[Place] = []
        for partition in partitions:
            places.append(Place(partition, ends[partition]))
            ends[partition] += 1
        return places

    def close(self) -> None:
        """Close the log, after the append that runs now; harmless when it is closed. Appending afterwards raises."""
        if self._thread is not None:
            self._thread.stop()
        with self._lock:
            self._store.close()


def _rows_of(share: list[Record]) -> list[list[Record]]:
    """Divide the records of one partition into those of each row."""
    if len(share) <= _ROW_MESSAGES and sum(len(record.value) for record in share) <= _ROW_BYTES:
        return [share]
    rows: list[list[Record]] = [[]]
    size = 0
    for record in share:
        if rows[-1] and (len(rows[-1]) == _ROW_MESSAGES or size + len(record.value) > _ROW_BYTES):
            rows.append([])
            size = 0
        rows[-1].append(record)
        size += len(record.value)
    return rows
