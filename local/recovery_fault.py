"""Says what to do about an error of the recovery store's files, and about files that are gone."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from local.data_dir import DataDir, DataDirError
from local.durable_epoch import part_files

_DISK: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
"""SQLite reports the second, too, where it cannot enlarge the shared memory beside a file (``ulimit -f`` shows it)."""

_NO_RIGHT: Final = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH})
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

RECOVERY_ADVICE: Final = (
    "Restore the whole data directory from a backup. Or let the job read its input again from the beginning: move state/, spool/, "
    "run.json, clickhouse/ and valkey/ of the data directory away, and name an empty database if ClickHouse is a server; in the old one "
    "the counts by minute (step_metrics) would double."
)
"""The position in the input is in the recovery store. The tables, the records and the rows of the spool are what was made before it."""


WRITABLE_ADVICE: Final = "Make it writable for the user of the job, also its file system; nothing is lost."
"""SQLite writes beside the files even to read them."""


def advice_on(error: BaseException) -> str:
    """Return what to do about an error of the store: one sentence or two. Only where files are damaged it gives the store up."""
    if isinstance(error, DataDirError) and error.__cause__ is not None:
        error = error.__cause__
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in _DAMAGED:
        return RECOVERY_ADVICE
    if code in _NO_RIGHT or (isinstance(error, OSError) and error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}):
        return WRITABLE_ADVICE
    if code in _DISK:
        return "Free space on the disk, or look for its fault; then repeat the command."
    return "Mend what the sentence names, then repeat the command."


def store_fault(data_dir: DataDir) -> str:
    """Return what of the recovery store is gone, to follow its name in a sentence; empty where nothing is.

    A directory without files belongs to a process that keeps none of the store. Raises ``DataDirError`` where it cannot be read.
    """
    state = data_dir.state
    if not state.exists():
        return "is gone, although a job has read its input here" if data_dir.was_used else ""
    files, wanted = part_files(state), set[int]()
    try:
        for file in files:
            with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=1.0)) as part:
                wanted |= {count for (count,) in part.execute("SELECT part_count FROM parts")}
    except sqlite3.Error as error:
        raise recovery_fault(state, "be read", error, "check the disk and its rights") from error
    return f"has {len(files)} of its {max(wanted)} files" if wanted and wanted != {len(files)} else ""


def check_store(data_dir: DataDir) -> None:
    """Raise ``DataDirError`` if the recovery store or a file of it is gone: a job would begin anew, beside what it has made before."""
    if fault := store_fault(data_dir):
        raise DataDirError(f"The recovery store {data_dir.state} {fault}. {RECOVERY_ADVICE}")


def recovery_fault(state: Path, cannot: str, error: Exception, otherwise: str) -> DataDirError:
    """The error for the user. ``cannot``: what was tried, as "be read". ``otherwise``: what to do if disk and rights are not the cause."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in _DISK:
        return DataDirError(
            f"The recovery store {state} cannot {cannot} ({error}): its disk is full or failing. Free space and run the same command "
            f"again; if there is space, {otherwise}."
        )
    if code in _NO_RIGHT:
        return DataDirError(f"The recovery store {state} cannot {cannot} ({error}). {WRITABLE_ADVICE}")
    return DataDirError(f"The recovery store {state} cannot {cannot} ({error}); {otherwise}.")
