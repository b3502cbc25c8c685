"""Checks a recovery store that comes from elsewhere: the engine unpickles its snapshots, and a pickle can run any code.

Our snapshots are bytes, numbers and texts, which only a few instructions of a pickle make; and none of them takes long to load. The layout
of the file matters as well: a trigger could write another snapshot later, and an index or a column of another kind could show the engine
other bytes than this check.
"""

from __future__ import annotations

import pickletools
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, cast

_FILE: Final = re.compile(r"part-[0-9]+\.sqlite3")
_VALUES: Final = frozenset(
    "NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT SHORT_BINBYTES BINBYTES BINBYTES8 SHORT_BINUNICODE BINUNICODE"
    " BINUNICODE8 EMPTY_TUPLE EMPTY_LIST EMPTY_DICT EMPTY_SET".split()
)
"""Instructions that put a value on the stack. Neither they nor the others that ``_is_plain`` knows can name a class or call a function."""
_FEW: Final = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MOST: Final = 16
"""Values that a tuple may have for each byte of its pickle, and keys of dictionaries and sets together, where those within them count each
time. Python looks at all of them for each hash. A tuple of itself twice, thirty levels deep, has a billion in a hundred bytes.
"""
_SCHEMA: Final = {
    "parts": "created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, part_index INTEGER PRIMARY KEY NOT NULL CHECK (part_index >= 0), "
    "part_count INTEGER NOT NULL CHECK (part_count > 0), CHECK (part_index < part_count)",
    "exs": "created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, ex_num INTEGER NOT NULL PRIMARY KEY, "
    "worker_count INTEGER NOT NULL CHECK (worker_count > 0), resume_epoch INTEGER NOT NULL",
    "fronts": "created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, ex_num INTEGER NOT NULL, "
    "worker_index INTEGER NOT NULL CHECK (worker_index >= 0), worker_frontier INTEGER NOT NULL, PRIMARY KEY (ex_num, worker_index)",
    "commits": "created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, part_index INTEGER PRIMARY KEY NOT NULL, commit_epoch INTEGER NOT NULL",
    "snaps": "created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, step_id TEXT NOT NULL, state_key TEXT NOT NULL, "
    "snap_epoch INTEGER NOT NULL, ser_change BLOB, PRIMARY KEY (step_id, state_key, snap_epoch)",
}
"""The tables as Bytewax 0.21 creates them, with single blanks. SQLite does not tell capital letters in names from small ones; we do."""


def what_is_not_plain(state: Path) -> str | None:
    """Return what in the directory ``state`` is no store of plain values, as a part of a sentence; None if all of it is, or there is none.

    Reads every snapshot. No other program may use the files.
    """
    for path in sorted(state.iterdir()) if state.exists() else ():
        if _FILE.fullmatch(path.name) is None:
            return f"{path.name!r} is no file of a recovery store"
        try:
            with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as part:
                fault = _fault(part)
        except sqlite3.Error as error:
            fault = f"cannot be read ({error})"
        if fault is not None:
            return f"{path.name} {fault}"
    return None


def _fault(part: sqlite3.Connection) -> str | None:
    for kind, name, table, sql in part.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"):
        if sql is None and kind == "index" and name == f"sqlite_autoindex_{table}_1" and table in _SCHEMA:
            continue  # of a primary key
        if kind != "table" or table != name or " ".join(str(sql).split()) != f"CREATE TABLE {name} ( {_SCHEMA.get(name)} ) STRICT":
            return f"has {name!r} in another form than the engine makes it"
    for step, key, change in part.execute("SELECT step_id, state_key, ser_change FROM snaps WHERE ser_change IS NOT NULL"):
        if not is_plain(change):
            return f"has a snapshot that is no plain value, and could run code (step {step!r}, key {key!r})"
    return None


def is_plain(pickled: object) -> bool:
    """Return whether these are bytes of a pickle that makes numbers, texts, bytes and collections of them, calls nothing, and takes a time
    in proportion to its size.
    """
    try:
        return isinstance(pickled, bytes) and _is_plain(pickled)
    except (ValueError, LookupError):  # no pickle, or one that is cut off
        return False


def _is_plain(pickled: bytes) -> bool:
    """Do what loading would do, with the number of values in place of each. Raises ``ValueError`` and ``LookupError``."""
    stack: list[int] = []
    marks: list[int] = []
    memo: list[int] = []
    most, hashed = _MOST * len(pickled), 0

    def take(count: int | None = None, *, into: int = 0) -> list[int]:
        """Return the last values of the stack, those since the last mark for None; there must be so many more that they go ``into``."""
        start = marks.pop() if count is None else len(stack) - count
        if start - into < (marks[-1] if marks else 0):
            raise LookupError
        taken = stack[start:]
        del stack[start:]
        return taken

    for opcode, argument, _ in pickletools.genops(pickled):
        name = opcode.name
        if name in _VALUES:
            stack.append(1)
        elif name == "MARK":
            marks.append(len(stack))
        elif name == "MEMOIZE":
            memo.append(stack[-1])
        elif name in {"BINGET", "LONG_BINGET"}:
            stack.append(memo[cast("int", argument)])
        elif name in {"TUPLE", "FROZENSET"} or name in _FEW:
            values = sum(take(_FEW.get(name)))
            hashed += values if name == "FROZENSET" else 0
            stack.append(1 + values)
        elif name in {"APPEND", "APPENDS"}:
            take(1 if name == "APPEND" else None, into=1)
        elif name in {"SETITEM", "SETITEMS"}:
            hashed += sum(take(2 if name == "SETITEM" else None, into=1)[::2])
        elif name == "ADDITEMS":
            hashed += sum(take(into=1))
        elif name not in {"PROTO", "FRAME", "STOP"}:
            return False
        if hashed > most or (stack and stack[-1] > most):
            return False
    return len(stack) == 1 and not marks
