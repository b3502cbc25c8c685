"""The file of the event log: an SQLite database in WAL mode, beside a lock file for writers.

::

    DIRECTORY/
    ├── events.db, events.db-wal, events.db-shm   one table for each partition, and the two below
    └── writer.lock                               locked for each transaction that writes

    log        id (random, of this log), partitions (their number, which never changes)
    floors     partition, floor: the first offset that was not deleted
    p0, p1, …  first (offset of the first message), count, time (ms, of the append), crc, messages

A row of ``p…`` holds the messages of one append to one partition, as msgpack, with their CRC: SQLite itself does not check contents.
Offsets of a partition have no holes, so a missing one means that messages were deleted.

SQLite before 3.51.3 may damage a database in WAL mode if one connection commits while another runs a checkpoint (its documentation calls it
the WAL-reset bug). Here both happen only under the writer lock, so any version is safe. The directory must not lie on a network file
system: WAL needs memory that all processes share.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from sources.errors import LogError, LogFullError
from system.sync_path import sync_path
from system.try_lock import try_lock

PARTITIONS: Final = 6
"""As many as the topic of the compose file has. A job uses at most one worker for each."""
MOST_PARTITIONS: Final = 256
WAIT_S: Final = 10.0
"""How long to wait for another writer. A transaction takes milliseconds; a slow disk may need a second to flush one."""
_FILE: Final = "events.db"
_LOCK: Final = "writer.lock"
_APPLICATION: Final = 0x6F6E_6C67  # marks the file as ours: "onlg"
_FORMAT: Final = 1
_LOCK_PAUSE_S: Final = 0.000_5
_WAL_LIMIT: Final = 64 * 1024 * 1024  # what the WAL file keeps of its size after a peak
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR})
"""``SQLITE_ERROR`` too: the statements are fixed, so they fail only if a table is not as it should be."""
_NOT_OPENED: Final = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH})
_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_TRUNCATE})
"""Besides a full disk: a limit of the file size (``ulimit -f``), a quota."""


class Record(NamedTuple):
    """What is appended. The key decides the partition."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class Identity:
    """What never changes about a log."""

    id: str
    partitions: int


class Bounds(NamedTuple):
    """The offsets in a partition: from ``low``, before ``end``."""

    low: int
    end: int


class Store:
    """An open connection. One thread at a time may use it. ``directory`` is created if there is none, and so is the log in it.

    ``partitions`` is the number that a new log gets, and that an existing one must have; None takes what is there, and ``PARTITIONS`` for
    a new one. Blocks up to ``wait_s`` while another process writes. Raises ``LogError``.
    """

    def __init__(self, directory: Path, *, partitions: int | None = None, writes: bool, wait_s: float = WAIT_S) -> None:
        if partitions is not None and not 1 <= partitions <= MOST_PARTITIONS:
            raise LogError(f"The event log {directory} cannot have {partitions} partitions; the number must be 1 to {MOST_PARTITIONS}.")
        self.directory = directory
        self._path = directory / _FILE
        self._wait_s = wait_s
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)  # it contains data about people
            self._lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except (OSError, ValueError) as error:
            raise LogError(
                f"The event log {directory} cannot be opened ({getattr(error, 'strerror', None) or error}); {_CHECK}."
            ) from error
        try:
            with self.writing():
                self._file = self._create_file()
                self.database = sqlite3.connect(self._path, timeout=wait_s, isolation_level=None, check_same_thread=False)
                try:
                    self.identity = self._set_up(PARTITIONS if partitions is None else partitions, writes=writes)
                except BaseException:
                    self.database.close()
                    raise
            if partitions is not None and partitions != self.identity.partitions:
                self.database.close()
                raise LogError(
                    f"The event log {directory} has {self.identity.partitions} partitions, not {partitions}, and their number cannot "
                    "change; use another directory for another number."
                )
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Close the connection; harmless when it is closed."""
        if self._lock >= 0:
            self.database.close()
            os.close(self._lock)
            self._lock = -1

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock of writers for the block, and turn an error of SQLite into a ``LogError``. Blocks up to ``wait_s``."""
        if self._lock < 0:
            raise LogError(f"The event log {self.directory} was closed.")
        with self.errors_as_sentences():
            deadline = time.monotonic() + self._wait_s
            while not try_lock(self._lock):
                if time.monotonic() > deadline:
                    raise LogError(
                        f"Another process has been writing to the event log {self.directory} for {self._wait_s:.0f} s; end it if it hangs."
                    )
                time.sleep(_LOCK_PAUSE_S)
            try:
                yield
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction that is durable when it ends, and that did not happen if it raises. Raises ``LogError``."""
        with self.writing():
            self.database.execute("BEGIN IMMEDIATE")
            try:
                yield self.database
                self.database.execute("COMMIT")
            except BaseException:
                if self.database.in_transaction:  # SQLite has rolled back by itself after some errors
                    self.database.execute("ROLLBACK")
                raise
            self.check_in_place()

    @contextmanager
    def errors_as_sentences(self) -> Iterator[None]:
        """Turn an error of SQLite or of the system into a ``LogError``."""
        try:
            yield
        except sqlite3.Error as error:
            raise _sentence(self.directory, error) from error
        except OSError as error:
            raise LogError(f"The event log {self.directory} cannot be used ({error.strerror or error}); {_CHECK}.") from error

    def nobody_writes(self) -> bool:
        """Return whether no transaction that writes was open at some moment of this call. Does not block."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        return True

    def check_in_place(self) -> None:
        """Raise ``LogError`` if the file was removed or replaced: what is written into it now is lost when this process ends."""
        try:
            found: tuple[int, int] | None = _identity(os.stat(self._path))  # noqa: PTH116 - for each append, and Path.stat is slower
        except OSError:
            found = None
        if found != self._file:
            raise LogError(f"The event log {self.directory} was removed or replaced while it was in use; restart what writes and reads it.")

    def bounds(self, partition: int) -> Bounds:
        """Return the offsets of a partition. Raises ``sqlite3.Error``."""
        last = f"(SELECT first + count FROM p{partition:d} ORDER BY first DESC LIMIT 1)"  # noqa: S608 - a number
        query = f"SELECT floor, coalesce({last}, floor) FROM floors WHERE partition = {partition:d}"  # noqa: S608 - the same
        return Bounds(*self.database.execute(query).fetchone())

    def _create_file(self) -> tuple[int, int]:
        """Create the file if there is none, readable for its owner alone. Return its identity.

        An existing file must not be opened here: closing it would release all locks that SQLite has on it in this process.
        """
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        return _identity(os.stat(self._path))  # noqa: PTH116 - as in ``check_in_place``

    def _set_up(self, partitions: int, *, writes: bool) -> Identity:
        database, directory = self.database, self.directory
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
        (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and application != _APPLICATION:
            raise LogError(f"{self._path} is a database of another program; choose another directory for the event log.")
        if tables and version != _FORMAT:
            raise LogError(
                f"The event log {directory} has the format {version}, this version of onramp reads {_FORMAT}: use the version that wrote "
                "it, or another directory."
            )
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")  # each commit is flushed to disk; what is acknowledged survives a power cut
        database.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
        if not tables:
            self._create_tables(partitions)
        if not writes:
            database.execute("PRAGMA query_only = ON")
            database.execute("PRAGMA wal_autocheckpoint = 0")
            database.execute("PRAGMA busy_timeout = 0")  # a reader asks again
        found, count = database.execute("SELECT id, partitions FROM log").fetchone() or (None, None)
        floors = [partition for (partition,) in database.execute("SELECT partition FROM floors ORDER BY partition")]
        if not isinstance(found, str) or not isinstance(count, int) or floors != list(range(count)):
            raise sqlite3.DatabaseError("the tables do not fit together")
        return Identity(found, count)

    def _create_tables(self, partitions: int) -> None:
        database = self.database
        database.execute("BEGIN IMMEDIATE")
        database.execute(f"PRAGMA application_id = {_APPLICATION}")
        database.execute(f"PRAGMA user_version = {_FORMAT}")
        database.execute("CREATE TABLE log (id TEXT NOT NULL, partitions INTEGER NOT NULL)")
        database.execute("CREATE TABLE floors (partition INTEGER PRIMARY KEY, floor INTEGER NOT NULL)")
        for partition in range(partitions):
            database.execute(
                f"CREATE TABLE p{partition:d} (first INTEGER PRIMARY KEY, count INTEGER NOT NULL, time INTEGER NOT NULL, "
                "crc INTEGER NOT NULL, messages BLOB NOT NULL)"
            )
            database.execute("INSERT INTO floors VALUES (?, 0)", (partition,))
        database.execute("INSERT INTO log VALUES (?, ?)", (secrets.token_hex(8), partitions))
        database.execute("COMMIT")
        sync_path(self.directory)
        sync_path(self.directory.parent)


_CHECK: Final = "check that the path is a directory of this machine that this user may write"


def damaged(directory: Path, what: str) -> LogError:
    """Return the error for a log whose contents are not what was written."""
    return LogError(
        f"The event log {directory} is damaged ({what}); restore it from a backup, or move the directory away to begin a new log, and "
        "check the disk."
    )


def _sentence(directory: Path, error: sqlite3.Error) -> LogError:
    extended = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)  # our own DatabaseError has none
    code = extended & 0xFF
    if extended in _FULL or code == sqlite3.SQLITE_FULL:
        return LogFullError(
            f"The event log {directory} cannot grow ({error}): the disk, a quota or the limit of the file size is reached. Free disk space "
            "or raise the limit; what was acknowledged is safe."
        )
    if code in _DAMAGED:
        return damaged(directory, str(error))
    if code in _NOT_OPENED:
        return LogError(f"The event log {directory} cannot be opened ({error}); {_CHECK}.")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return LogError(f"The event log {directory} is locked by another program; end what has opened {_FILE}, then try again.")
    return LogError(f"The event log {directory} cannot be read or written ({error}); check the disk.")


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
