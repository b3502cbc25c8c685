"""Erases messages from the event log: their bytes are removed, their offsets stay. Readers skip them."""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from sources.errors import LogError
from sources.local_log.reader import LogReader
from sources.local_log.store import Record, Store

ERASED_HEADER: Final = "onramp-erased"
ERASED: Final = Record(b"", b"", ((ERASED_HEADER, b""),))
"""What stands in place of a message."""
_EVER: Final = 2**63 - 1
_ROWS: Final = 50
"""Rows that one transaction looks at: appends wait for it."""
_TRY_MS: Final = 200
_TRIES: Final = 20
_PAUSE_S: Final = 0.25

_DECODER: Final = msgspec.msgpack.Decoder(list[Record])
_ENCODER: Final = msgspec.msgpack.Encoder()


def is_erased(record: Record) -> bool:
    """Whether a message was erased."""
    return not record.value and bool(record.headers) and record.headers[0][0] == ERASED_HEADER


def erase(
    directory: Path,
    concerned: Callable[[Record], bool],
    left_of: Callable[[Record], Record] = lambda _record: ERASED,
    *,
    until: int | None = None,
) -> int:
    """Erase every message that is ``concerned``, and return how many. Others may append and read meanwhile.

    Messages appended after ``until`` (ms) stay. ``left_of`` returns what stands in its place. The old bytes are overwritten in the file,
    and the write-ahead log is emptied. Raises ``LogError``, also where a reader keeps it from that.
    """
    reader = LogReader(directory)
    partitions = reader.identity.partitions
    reader.close()
    store, erased = Store(directory, writes=True), 0
    try:
        with store.errors_as_sentences():
            store.database.execute("PRAGMA secure_delete = ON")
        for partition in range(partitions):
            first: int | None = -1
            while first is not None:
                with store.transaction() as database:
                    first, found = _erase_rows(database, partition, first, until, concerned, left_of)
                    erased += found
        _empty_write_ahead_log(store)
    finally:
        store.close()
    return erased


def remove_old_bytes(directory: Path) -> None:
    """Rewrite the file without the bytes of messages that are no longer in the log. Appends wait for it. Raises ``LogError``."""
    store = Store(directory, writes=True)
    try:
        with store.writing():
            store.database.execute("VACUUM")
        _empty_write_ahead_log(store)
    finally:
        store.close()


def _empty_write_ahead_log(store: Store) -> None:
    """Empty it, trying again until no reader needs it. Appends wait for one try at most, which is short."""
    with store.errors_as_sentences():
        store.database.execute(f"PRAGMA busy_timeout = {_TRY_MS}")
    for tried in range(_TRIES):
        if tried:
            time.sleep(_PAUSE_S)
        with store.writing():  # a checkpoint and a commit must not run at once
            (busy, _, _) = store.database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy:
            return
    raise LogError(f"A reader keeps erased messages in the write-ahead log of {store.directory}; end it, then repeat the command.")


def _erase_rows(
    database: sqlite3.Connection,
    partition: int,
    after: int,
    until: int | None,
    concerned: Callable[[Record], bool],
    left_of: Callable[[Record], Record],
) -> tuple[int | None, int]:
    """Look at the rows after ``after``. Return the last of them, None at the end, and how many messages were erased."""
    query = f"SELECT first, messages FROM p{partition:d} WHERE first > ? AND time <= ? ORDER BY first LIMIT {_ROWS}"  # noqa: S608 - a number
    rows, erased = database.execute(query, (after, _EVER if until is None else until)).fetchall(), 0
    for first, messages in rows:
        records = _DECODER.decode(messages)
        kept = [left_of(record) if not is_erased(record) and concerned(record) else record for record in records]
        changed = sum(new is not old for new, old in zip(kept, records, strict=True))
        if changed:
            erased += changed
            data = _ENCODER.encode(kept)
            update = f"UPDATE p{partition:d} SET messages = ?, crc = ? WHERE first = ?"  # noqa: S608 - a number
            database.execute(update, (data, zlib.crc32(data), first))
    return (rows[-1][0] if rows else None), erased
