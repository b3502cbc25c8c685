"""Removes snapshots that newer ones replaced from the recovery store, while a job writes it.

Bytewax can do this itself, but looks at every key of the store at every epoch to find them, on the worker's thread, and reads no message
meanwhile. So it is told to keep them (``flows/recovery.py``). Here only keys with a new snapshot are looked at, but for the first time,
and the worker waits for short transactions only.

It must be a process of its own, which ``local/old_snapshots_process.py`` starts: the engine has an SQLite of its own, and two of them in
one process cancel each other's locks. It needs the standard library only, so that the process starts at once and is small.

SQLite up to 3.51.2 can damage a file if a second checkpoint begins when a first has just ended, while another connection commits
(https://sqlite.org/wal.html#walresetbug), and the engine has 3.44. So this process checkpoints a file only after its last transaction of a
look, and keeps the job from writing it meanwhile. The checkpoint waits for nobody: with ``FULL``, which keeps others from writing too, it
would wait for a backup that reads the file.
"""

from __future__ import annotations

import json
import select
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from local.durable_epoch import durable_epoch, is_whole, part_files

_MOST: Final = 100_000
"""Snapshots that are found at once in a file: their row numbers are held in memory."""
_CHUNK: Final = 50
"""Snapshots that one transaction removes. They are few, because the job cannot write the file meanwhile."""
_SLOW_SECONDS: Final = 0.5
"""After a checkpoint that takes longer the job makes them itself, at the end of an epoch, ..."""
_SPARED_SECONDS: Final = 600.0
"""... for so long: the disk is slow, and the job must not be kept from writing for seconds."""
_LOCK_SECONDS: Final = 10.0
_CACHE_KIB: Final = 256  # for each file of the store; the system caches them, too

# The first look at a file reads the whole index, every other one only the rows that came since. `CROSS JOIN` keeps the order of the tables.
_REPLACED: Final = """
SELECT old.rowid FROM (
    SELECT step_id, state_key, max(snap_epoch) AS newest FROM snaps WHERE snap_epoch < :durable GROUP BY step_id, state_key
) AS kept CROSS JOIN snaps AS old USING (step_id, state_key) WHERE old.snap_epoch < kept.newest LIMIT :most
"""
_REPLACED_SINCE: Final = """
SELECT DISTINCT old.rowid FROM snaps AS new CROSS JOIN snaps AS old USING (step_id, state_key)
WHERE new.rowid > :seen AND new.snap_epoch < :durable AND old.snap_epoch < new.snap_epoch LIMIT :most
"""
_UNDURABLE: Final = "SELECT min(rowid) FROM snaps INDEXED BY sqlite_autoindex_snaps_1 WHERE snap_epoch >= :durable"
_UNDURABLE_SINCE: Final = "SELECT min(rowid) FROM snaps WHERE rowid > :seen AND snap_epoch >= :durable"
# As the engine notes its own collection, before a resume from an epoch that would need what is gone.
_NOTE: Final = """
INSERT INTO commits (part_index, commit_epoch) SELECT part_index, ? FROM parts WHERE true
ON CONFLICT (part_index) DO UPDATE SET commit_epoch = max(commit_epoch, excluded.commit_epoch)
"""
# The disk may be slow: what is removed is read before the transaction, for which nobody waits.
_READ: Final = "SELECT max(ser_change) FROM snaps WHERE rowid IN (SELECT value FROM json_each(?))"
_REMOVE: Final = "DELETE FROM snaps WHERE rowid IN (SELECT value FROM json_each(?))"


class OldSnapshots:
    """The snapshots of the store in ``state`` that are not needed any more. For one thread, in a process without Bytewax.

    ``pause`` is called after each transaction with the seconds that it took. It returns true to end early.
    """

    def __init__(self, state: Path, pause: Callable[[float], bool]) -> None:
        """Open all files. Raises ``sqlite3.Error``."""
        self._pause = pause
        self._parts = {_open(file): file for file in part_files(state)}
        self._seen: dict[sqlite3.Connection, int] = {}
        """File → the row up to which all snapshots were looked at."""
        self._durable = -1
        self._checkpoint_from = 0.0
        self.whole = is_whole(list(self._parts))
        """Whether all files of the store are here. Otherwise nothing is removed, because nobody knows what is durable."""

    def remove(self) -> int:
        """Remove what is older than the newest durable snapshot of its key; return how many. Blocks. Raises ``sqlite3.Error``.

        A resume finds the same states before and after, for any end of this process. After an early end do not call it again.
        """
        durable = durable_epoch(list(self._parts))
        if durable is None or durable == self._durable:
            return 0
        removed = 0
        for part in self._parts:
            complete = False
            while not complete:
                rows, complete = self._look(part, durable)
                for place in range(0, len(rows), _CHUNK):
                    began = time.monotonic()
                    removed += _remove(part, rows[place : place + _CHUNK], durable)
                    if self._pause(time.monotonic() - began):
                        return removed
                if rows and complete:
                    self._checkpoint(part)
        self._durable = durable
        return removed

    def close(self) -> None:
        """Close all files."""
        for part in self._parts:
            part.close()

    def _checkpoint(self, part: sqlite3.Connection) -> None:
        """Otherwise the job would do it, in the pause at the end of an epoch."""
        began = time.monotonic()
        if began >= self._checkpoint_from:
            with closing(_open(self._parts[part])) as other:
                other.execute("BEGIN IMMEDIATE")  # nobody writes the file until it is closed
                part.execute("PRAGMA wal_checkpoint(PASSIVE)")
            if time.monotonic() - began > _SLOW_SECONDS:
                self._checkpoint_from = began + _SPARED_SECONDS

    def _look(self, part: sqlite3.Connection, durable: int) -> tuple[list[int], bool]:
        """The rows to remove, in order, and whether these are all that can be found now."""
        known = part in self._seen
        given = {"durable": durable, "seen": self._seen.get(part, 0), "most": _MOST}
        part.execute("BEGIN")
        try:
            rows = sorted(row for (row,) in part.execute(_REPLACED_SINCE if known else _REPLACED, given))
            (undurable,) = part.execute(_UNDURABLE_SINCE if known else _UNDURABLE, given).fetchone()
            (last,) = part.execute("SELECT max(rowid) FROM snaps").fetchone()
        finally:
            part.execute("COMMIT")
        complete = len(rows) < _MOST
        if complete:
            self._seen[part] = (last or 0) if undurable is None else undurable - 1
        return rows, complete


def _remove(part: sqlite3.Connection, rows: list[int], durable: int) -> int:
    numbers = json.dumps(rows)
    part.execute(_READ, [numbers]).fetchone()
    with part:  # commits, or rolls back
        part.execute("BEGIN IMMEDIATE")
        part.execute(_NOTE, [durable - 1])
        return part.execute(_REMOVE, [numbers]).rowcount


def _open(file: Path) -> sqlite3.Connection:
    part = sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True, timeout=_LOCK_SECONDS, isolation_level=None)
    part.execute("PRAGMA wal_autocheckpoint = 0")
    part.execute("PRAGMA synchronous = NORMAL")  # what a power failure brings back is removed once more
    part.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    return part


def main(state: Path, look_seconds: float) -> None:
    """Remove old snapshots until standard input ends, which it does with the job. Print a line of JSON for what was removed.

    Exits with a sentence where it cannot go on.
    """
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # sent to all processes of a service: the job ends in order, and this one with it

    def ended(seconds: float) -> bool:
        return bool(select.select([sys.stdin], [], [], seconds)[0])

    try:
        with closing(OldSnapshots(state, ended)) as snapshots:
            if not snapshots.whole:
                sys.exit(f"{state} does not have all files of the recovery store")
            while not ended(look_seconds):
                if removed := snapshots.remove():
                    with suppress(BrokenPipeError):  # the job has ended
                        sys.stdout.write(json.dumps({"removed": removed}) + "\n")
                        sys.stdout.flush()
    except sqlite3.Error as error:
        sys.exit(f"{state} cannot be written: {error}")
