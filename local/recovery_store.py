"""Repairs the recovery store before a resume: removes the snapshots of epochs that did not become durable before a kill.

Reads it too, and gives back the space of old snapshots, for what is known about one user.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Collection, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

from local.data_dir import DataDirError
from local.durable_epoch import durable_epoch, part_files
from local.recovery_fault import recovery_fault


def remove_undurable_snapshots(state: Path) -> int:
    """Remove the snapshots of epochs that did not become durable; return how many. Call it before a resume.

    Bytewax 0.21 resumes at the end of the durable epochs, but does not remove such snapshots. If the job crashes again before the same key
    was written again, they count as durable. A person's state then contains events that come again, and drops those as duplicates.

    It works on a store that has all its partitions on this machine. A store that is distributed over machines is not changed, because its
    durable epoch cannot be determined from a part of it. Raises ``DataDirError``.
    """
    try:
        return _remove(state)
    except sqlite3.Error as error:
        advice = "check the disk and its rights, restore the store, or use another --data-dir"
        raise recovery_fault(state, "be read or repaired", error, advice) from error


def _remove(state: Path) -> int:
    with ExitStack() as stack:
        parts = [stack.enter_context(closing(sqlite3.connect(file))) for file in part_files(state)]
        durable = durable_epoch(parts)
        if durable is None:
            return 0
        removed = 0
        for part in parts:
            with part:  # the inner select needs only the index; the rows are large
                found = part.execute("DELETE FROM snaps WHERE rowid IN (SELECT rowid FROM snaps WHERE snap_epoch >= ?)", [durable])
                removed += found.rowcount
    return removed


def snapshots_with(state: Path, texts: Sequence[bytes], pattern: re.Pattern[bytes]) -> list[tuple[str, str, bytes]]:
    """Return step, key and bytes of every snapshot that one of ``texts`` is in, and ``pattern``. Raises ``DataDirError``."""
    found: list[tuple[str, str, bytes]] = []
    try:
        for file in part_files(state):
            with closing(sqlite3.connect(file)) as part:
                for step, key, change in part.execute("SELECT step_id, state_key, ser_change FROM snaps WHERE ser_change IS NOT NULL"):
                    if any(text in change for text in texts) and pattern.search(change):  # the texts are much faster to look for
                        found.append((step, key, change))
    except sqlite3.Error as error:
        raise recovery_fault(state, "be read", error, "stop the job, or try again") from error
    return found


def newest_snapshots(state: Path, keys: Collection[str]) -> dict[tuple[str, str], bytes]:
    """Return the newest snapshot of each step for each of ``keys``, by step and key. Raises ``DataDirError``."""
    found: dict[tuple[str, str], tuple[int, bytes | None]] = {}
    wanted = json.dumps(sorted(keys))
    sql = "SELECT step_id, state_key, snap_epoch, ser_change FROM snaps WHERE state_key IN (SELECT value FROM json_each(?))"
    try:
        for file in part_files(state):
            with closing(sqlite3.connect(file)) as part:
                for step, key, epoch, change in part.execute(sql, [wanted]):
                    if epoch >= found.get((step, key), (0, None))[0]:
                        found[step, key] = epoch, change
    except sqlite3.Error as error:
        raise recovery_fault(state, "be read", error, "stop the job, or try again") from error
    return {place: change for place, (_, change) in found.items() if change is not None}


_REPLACED: Final = """
DELETE FROM snaps WHERE snap_epoch < (
    SELECT max(snap_epoch) FROM snaps AS other WHERE other.step_id = snaps.step_id AND other.state_key = snaps.state_key
)"""


def compact(state: Path) -> int:
    """Remove every snapshot that a newer one of its key replaced, and the bytes of all that was removed. Return how many.

    Call it while no job runs, and after ``remove_undurable_snapshots``. Only for a store with all its partitions on this machine: of
    another one nothing is removed. Raises ``DataDirError``.
    """
    files, removed = part_files(state), 0
    try:
        for file in files:
            with closing(sqlite3.connect(file)) as part:
                part.execute("PRAGMA secure_delete = ON")
                if {count for (count,) in part.execute("SELECT part_count FROM parts")} == {len(files)}:
                    with part:
                        removed += part.execute(_REPLACED).rowcount
                part.execute("VACUUM")
                (busy, _, _) = part.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if busy:
                    raise DataDirError(
                        f"Another program reads the recovery store {state} and keeps what was removed; end it and try again."
                    )
    except sqlite3.Error as error:
        raise recovery_fault(state, "be compacted", error, "end the program that uses it and try again") from error
    return removed
