"""A recovery store from elsewhere: what our steps write passes, and nothing that could run code when the engine loads it."""

from __future__ import annotations

import datetime as dt
import os
import pickle
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.backup_file import BackupError, unpack, writing
from local.plain_snapshots import is_plain, what_is_not_plain
from tests.support.recovery_files import RecoveryFiles

MANIFEST = {"onramp": "1.2", "takenAt": "2026-02-25", "epoch": 7, "keys": {}, "rows": {}, "notIncluded": []}
PLAIN = [
    b"x" * 70_000,
    (1, -5, 2**70, 1.5, "text", None, True),
    {"a": [1], "b": {2}, "c": frozenset([3])},
    [(), (1,), (1, 2)],
    ["é" * 300] * 2,
]


class Command:
    """A pickle of this runs a command when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("exit 3",)


COMMAND = pickle.dumps(Command())


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("protocol", [4, 5])
def test_plain_values_pass(value: object, protocol: int) -> None:
    assert is_plain(pickle.dumps(value, protocol=protocol))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_names_a_class_or_a_function_does_not(protocol: int) -> None:
    for value in (Command(), os.system, dt.timedelta(1), [b"x", {"deep": (Command(),)}]):
        assert not is_plain(pickle.dumps(value, protocol=protocol)), value


def test_whatever_else_stands_there_is_refused_without_an_error() -> None:
    rng, whole = random.Random(7), pickle.dumps(PLAIN)
    assert not any(is_plain(each) for each in (None, 7, "text", b"", whole[:-1], b"c", b"\x82\x01.", b"Pid\n."))
    for _ in range(2_000):
        damaged = bytearray(whole if rng.random() < 0.5 else rng.randbytes(50))
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        is_plain(bytes(damaged))


def store(directory: Path, change: Callable[[sqlite3.Connection], object] = lambda _part: None) -> Path:
    files = RecoveryFiles(directory)
    for part in files.parts:
        part.execute("INSERT INTO snaps VALUES ('now', 'flow.track', 'a', 1, ?)", [pickle.dumps(b"state")])
    change(files.parts[1])
    for part in files.parts:
        part.execute("PRAGMA journal_mode = DELETE")
    files.close()
    return directory


def rewrite_schema(part: sqlite3.Connection, change: str) -> None:
    part.execute("PRAGMA writable_schema = ON")
    part.execute(f"UPDATE sqlite_master SET {change} WHERE name = 'snaps'")
    part.commit()


CHANGES = {
    "a pickle that runs a command": (
        lambda part: part.execute("UPDATE snaps SET ser_change = ?", [COMMAND]),
        "could run code",
    ),
    "one that is not of the newest epoch": (
        lambda part: part.execute("INSERT INTO snaps VALUES ('now', 'flow.other', 'b', 0, ?)", [COMMAND]),
        "could run code",
    ),
    "a trigger": (
        lambda part: part.execute("CREATE TRIGGER later AFTER INSERT ON fronts BEGIN UPDATE snaps SET ser_change = x'00'; END"),
        "'later' in another form",
    ),
    "a view": (
        lambda part: part.executescript("ALTER TABLE snaps RENAME TO kept; CREATE VIEW snaps AS SELECT * FROM kept"),
        "'kept' in another form",
    ),
    "an index that holds snapshots": (lambda part: part.execute("CREATE INDEX other ON snaps (ser_change)"), "'other' in another form"),
    "snapshots that another SQLite reads otherwise": (
        lambda part: part.executescript(
            "DROP TABLE snaps; CREATE TABLE Snaps (created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, step_id TEXT NOT NULL, "
            "state_key TEXT NOT NULL, snap_epoch INTEGER NOT NULL, plain BLOB, ser_change BLOB AS "
            "(CASE WHEN strftime('%F', '2020-01-01') IS NULL THEN plain ELSE x'00' END), "
            "PRIMARY KEY (step_id, state_key, snap_epoch)) STRICT"
        ),
        "'Snaps' in another form",
    ),
    "a column more": (lambda part: part.execute("ALTER TABLE commits ADD COLUMN more BLOB AS (x'00')"), "'commits' in another form"),
    "a table more": (lambda part: part.execute("CREATE TABLE more (one TEXT)"), "'more' in another form"),
    "a kind in capital letters": (lambda part: rewrite_schema(part, "type = 'TABLE'"), "'snaps' in another form"),
    "a table of a name in capital letters": (lambda part: rewrite_schema(part, "tbl_name = 'SNAPS'"), "'snaps' in another form"),
    "another table of snapshots": (
        lambda part: part.executescript("DROP TABLE snaps; CREATE TABLE snaps (step_id, state_key, snap_epoch, ser_change AS (x'00'))"),
        "'snaps' in another form",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_store_that_could_run_code_is_named(tmp_path: Path, name: str) -> None:
    change, said = CHANGES[name]
    found = what_is_not_plain(store(tmp_path / "state", change))
    assert found is not None
    assert found.startswith("part-1.sqlite3 has ")
    assert said in found


@pytest.mark.parametrize("kind", ["view", "index", "trigger"])
def test_a_table_that_calls_itself_something_else_is_not_read(tmp_path: Path, kind: str) -> None:
    state = store(tmp_path / "state", lambda part: rewrite_schema(part, f"type = '{kind}'"))
    assert "part-1.sqlite3 cannot be read (malformed database schema" in str(what_is_not_plain(state))


def test_a_store_of_plain_values_passes_and_is_not_changed(tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in store(tmp_path / "state").iterdir()}
    assert what_is_not_plain(tmp_path / "state") is None
    assert {path.name: path.read_bytes() for path in (tmp_path / "state").iterdir()} == before
    assert what_is_not_plain(tmp_path / "gone") is None


@pytest.mark.parametrize("name", ["part-0.sqlite3-wal", "part-0.sqlite3-journal", "part-x.sqlite3", "other"])
def test_a_file_that_is_not_of_the_store_is_named(tmp_path: Path, name: str) -> None:
    (store(tmp_path / "state") / name).write_bytes(b"")
    assert what_is_not_plain(tmp_path / "state") == f"{name!r} is no file of a recovery store"


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (store(tmp_path / "state") / "part-1.sqlite3").write_bytes(b"text" * 2000)
    assert "part-1.sqlite3 cannot be read" in str(what_is_not_plain(tmp_path / "state"))


def test_a_backup_with_right_checksums_whose_snapshots_run_code_is_not_restored(tmp_path: Path) -> None:
    state = store(tmp_path / "state", CHANGES["a pickle that runs a command"][0])
    with writing(tmp_path / "b.tar", {}, 0, lambda _size: None) as backup:
        backup.add_bytes("FORMAT", b"onramp-data 1\n")
        for path in state.iterdir():
            backup.add(f"state/{path.name}", path)
        backup.finish(MANIFEST)
    with pytest.raises(BackupError, match=r"in state/, part-1.sqlite3 has a snapshot .* could run code .*nothing was restored"):
        unpack(tmp_path / "b.tar", tmp_path / "data", lambda _size: None)
    assert not list((tmp_path / "data").iterdir())
