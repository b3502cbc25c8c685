"""Reads the event log while other processes append to it. A read sees what was committed before it began, and never waits for a writer."""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec

from sources.errors import LogError
from sources.local_log.store import WAIT_S, Bounds, Record, Store, damaged

T = TypeVar("T")

_DECODER: Final = msgspec.msgpack.Decoder(list[Record])
_BYTES: Final = 16 * 1024 * 1024
"""A read ends behind the row that reaches so many bytes: messages may have 1 MiB each."""
_PAUSE_S: Final = 0.005


class Stored(NamedTuple):
    """A record, its offset, and its append time (ms)."""

    offset: int
    time: int
    record: Record


class LogReader:
    """A connection of its own, for one thread at a time. ``directory`` and the log are created if there are none. Raises ``LogError``."""

    def __init__(self, directory: Path) -> None:
        self._store = Store(directory, writes=False)
        self.identity = self._store.identity
        self._partitions = range(self.identity.partitions)

    def close(self) -> None:
        """Close the connection; harmless when it is closed."""
        self._store.close()

    def bounds(self, partition: int) -> Bounds | None:
        """Return the offsets of a partition; None if they cannot be read just now. Raises ``LogError`` also for a log that was removed."""
        with self._store.errors_as_sentences():
            self._store.check_in_place()
            try:
                return self._store.bounds(partition)
            except sqlite3.OperationalError as error:
                if not _is_busy(error):
                    raise
                return None

    def first_bounds(self, partition: int) -> Bounds:
        """Return the offsets of a partition. Blocks for up to ``WAIT_S`` if they cannot be read just now. Raises ``LogError``."""
        return self._patiently(lambda: self.bounds(partition))

    def time_of(self, partition: int, offset: int) -> int:
        """Return the append time of the message at ``offset``; 0 if there is none. Blocks and raises as ``first_bounds``."""
        rows = self._patiently(lambda: self.read(partition, offset, 1))
        return rows[0].time if rows and rows[0].offset == offset else 0

    def used_bytes(self) -> int:
        """Return how much of the file is in use; the file itself never shrinks. Raises ``LogError``."""
        with self._store.errors_as_sentences():
            pages, free, size = (
                self._store.database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * size)

    def _patiently(self, ask: Callable[[], T | None]) -> T:
        deadline = time.monotonic() + WAIT_S
        while (found := ask()) is None:
            if time.monotonic() > deadline:
                raise LogError(f"The event log {self._store.directory} is locked by another program; end it, then try again.")
            time.sleep(_PAUSE_S)
        return found

    def committed_until(self, now: int) -> int | None:
        """Return the time up to which every append is committed, so that the next read sees it; None if that is not known.

        Appends get their times one after the other, each while it holds the lock of writers. ``now`` is a time before the call. So it is
        ``now`` if nobody writes, however long a disk takes for a commit, and else the time of the newest append that can be seen.
        Raises ``LogError``.
        """
        with self._store.errors_as_sentences():
            if self._store.nobody_writes():
                return now
            newest = (f"SELECT time FROM (SELECT time FROM p{partition:d} ORDER BY first DESC LIMIT 1)" for partition in self._partitions)  # noqa: S608 - a number
            try:
                (found,) = self._store.database.execute(f"SELECT max(time) FROM ({' UNION ALL '.join(newest)})").fetchone()  # noqa: S608 - the same
            except sqlite3.OperationalError as error:
                if not _is_busy(error):
                    raise
                return None
        return None if found is None else min(int(found), now)

    def read(self, partition: int, offset: int, limit: int) -> list[Stored] | None:
        """Return messages from ``offset`` on: about ``limit``, fewer if they are large, none at the end; None if it cannot read just now.

        The first message has a higher offset if the one at ``offset`` was deleted. Raises ``LogError`` for damaged contents.
        """
        found: list[Stored] = []
        size = 0
        query = (
            f"SELECT first, count, time, crc, messages FROM p{partition:d} WHERE first >= "  # noqa: S608 - a number
            f"coalesce((SELECT max(first) FROM p{partition:d} WHERE first <= ?1), ?1) AND first + count > ?1 ORDER BY first LIMIT ?2"
        )
        with self._store.errors_as_sentences():
            cursor = self._store.database.cursor()
            try:
                for first, count, stamp, crc, messages in cursor.execute(query, (offset, limit)):
                    if found and first != found[-1].offset + 1:
                        raise damaged(self._store.directory, f"partition {partition} has no message at offset {found[-1].offset + 1}")
                    records = self._records(partition, first, count, crc, messages)
                    found.extend(Stored(at, stamp, record) for at, record in enumerate(records, first) if at >= offset)
                    size += len(messages)
                    if len(found) >= limit or size >= _BYTES:
                        break
            except sqlite3.OperationalError as error:
                if not _is_busy(error):
                    raise
                return found or None
            finally:
                cursor.close()  # an open cursor would keep the WAL from being used again
        return found

    def _records(self, partition: int, first: int, count: int, crc: int, messages: bytes) -> list[Record]:
        try:
            if zlib.crc32(messages) == crc:
                records = _DECODER.decode(messages)
                if len(records) == count:
                    return records
        except (ValueError, TypeError):
            pass
        raise damaged(self._store.directory, f"the messages of partition {partition} at offset {first} are not what was written")


def _is_busy(error: sqlite3.OperationalError) -> bool:
    """Whether the file is locked for a moment: after a crash of a writer, for one."""
    return (error.sqlite_errorcode & 0xFF) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
