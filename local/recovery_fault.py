"""Says what to do about an error of the recovery store's files."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from local.data_dir import DataDirError

_DISK: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
"""SQLite reports the second, too, where it cannot enlarge the shared memory beside a file (``ulimit -f`` shows it)."""


def recovery_fault(state: Path, cannot: str, error: Exception, otherwise: str) -> DataDirError:
    """The error for the user. ``cannot``: what was tried, as "be read". ``otherwise``: what to do if the disk is not the cause."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in _DISK:
        return DataDirError(
            f"The recovery store {state} cannot {cannot} ({error}): its disk is full or failing. Free space and run the same command "
            f"again; if there is space, {otherwise}."
        )
    return DataDirError(f"The recovery store {state} cannot {cannot} ({error}); {otherwise}.")
