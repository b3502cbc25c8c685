"""Erases messages from the event log: their bytes go, their offsets stay. A reader passes over them."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from sources.local_log.reader import LogReader
from sources.local_log.store import Record, Store

ERASED_HEADER: Final = "onramp-erased"
ERASED: Final = Record(b"", b"", ((ERASED_HEADER, b""),))
"""What stands in place of a message."""
_ROWS: Final = 50
"""Rows that one transaction looks at: appends wait for it."""

_DECODER: Final = msgspec.msgpack.Decoder(list[Record])
_ENCODER: Final = msgspec.msgpack.Encoder()


def is_erased(record: Record) -> bool:
    """Whether a message was erased."""
    return not record.value and bool(record.headers) and record.headers[0][0] == ERASED_HEADER


def erase(directory: Path, concerned: Callable[[Record], bool]) -> int:
    """Erase every message that is ``concerned``, and return how many. Others may append and read meanwhile.

    The old bytes are overwritten in the file, and the write-ahead log is emptied, where no reader needs it. Raises ``LogError``.
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
                    first, found = _erase_rows(database, partition, first, concerned)
                    erased += found
        with store.writing():  # a checkpoint and a commit must not run at once
            store.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        store.close()
    return erased


def remove_old_bytes(directory: Path) -> None:
    """Write the file anew without the bytes of messages that are in the log no more. Appends wait for it. Raises ``LogError``."""
    store = Store(directory, writes=True)
    try:
        with store.writing():
            store.database.execute("VACUUM")
            store.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        store.close()


def _erase_rows(database: sqlite3.Connection, partition: int, after: int, concerned: Callable[[Record], bool]) -> tuple[int | None, int]:
    """Look at the rows after ``after``. Return the last of them, None at the end, and how many messages were erased."""
    query = f"SELECT first, messages FROM p{partition:d} WHERE first > ? ORDER BY first LIMIT {_ROWS}"  # noqa: S608 - a number
    rows, erased = database.execute(query, (after,)).fetchall(), 0
    for first, messages in rows:
        records = _DECODER.decode(messages)
        kept = [ERASED if not is_erased(record) and concerned(record) else record for record in records]
        changed = sum(new is not old for new, old in zip(kept, records, strict=True))
        if changed:
            erased += changed
            data = _ENCODER.encode(kept)
            update = f"UPDATE p{partition:d} SET messages = ?, crc = ? WHERE first = ?"  # noqa: S608 - a number
            database.execute(update, (data, zlib.crc32(data), first))
    return (rows[-1][0] if rows else None), erased
