"""Checks an event log that comes from elsewhere: what else is defined in its file goes on living in the log.

A trigger could drop each event after the gateway has acknowledged it. So the file may have the tables of a log and nothing else.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

_PARTITION: Final = re.compile(r"p(?:0|[1-9][0-9]{0,2})")
_TABLES: Final = {
    "log": "id TEXT NOT NULL, partitions INTEGER NOT NULL",
    "floors": "partition INTEGER PRIMARY KEY, floor INTEGER NOT NULL",
}
_COLUMNS: Final = "first INTEGER PRIMARY KEY, count INTEGER NOT NULL, time INTEGER NOT NULL, crc INTEGER NOT NULL, messages BLOB NOT NULL"
"""Of the table of a partition. All tables are as ``sources/local_log/store.py`` creates them."""


def what_is_no_log(directory: Path) -> str | None:
    """Return what in the directory of an event log does not belong to one, as a part of a sentence; None if nothing, or if there is no log.

    Reads the definitions, no events. No other program may use the file.
    """
    path = directory / "events.db"
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as log:
            for kind, name, table, sql in log.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"):
                columns = _COLUMNS if _PARTITION.fullmatch(str(name)) else _TABLES.get(name)
                if kind != "table" or table != name or sql != f"CREATE TABLE {name} ({columns})":
                    return f"{path.name} has {name!r} in another form than a log has it"
    except sqlite3.Error as error:
        return f"{path.name} cannot be read ({error})"
    return None
