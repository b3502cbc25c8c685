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


SHARED = (1, "text")


@pytest.mark.parametrize(
    "value",
    [
        {SHARED: 1, (SHARED, SHARED): frozenset([SHARED, (SHARED,)])},
        [SHARED] * 5_000,
        {(number, f"key {number}"): {number} for number in range(5_000)},
        [{"one": number, "two": SHARED} for number in range(5_000)],
        frozenset([frozenset([frozenset([1, 2]), 3]), 4]),
    ],
    ids=["keys", "many times the same", "many keys", "many dictionaries", "sets"],
)
def test_values_that_share_others_pass(value: object) -> None:
    assert is_plain(pickle.dumps(value))


TWICE = {"DUP": b"2\x86\x94", "BINGET": b"h%c\x86\x94", "LONG_BINGET": b"j%c\0\0\0\x86\x94"}


@pytest.mark.parametrize("twice", TWICE.values(), ids=TWICE)
@pytest.mark.parametrize("levels", [10, 30, 200])
def test_a_tuple_of_itself_that_would_take_for_ever_is_refused(twice: bytes, levels: int) -> None:
    nested = b"N\x85\x94" + b"".join(twice % level if b"%c" in twice else twice for level in range(levels))
    for before, after in ((b"}", b"Ns"), (b"\x8f(", b"\x90"), (b"(", b"\x91"), (b"", b"")):
        assert not is_plain(b"\x80\x04" + before + nested + after + b".")


@pytest.mark.parametrize(("keys", "plain"), [(3, True), (300, False)])
def test_a_long_key_of_many_dictionaries_counts_each_time(keys: int, plain: bool) -> None:
    long = b"(" + b"K\x01" * 300 + b"t\x94"
    pickled = b"\x80\x04(" + long + b"}h\0Ns" * keys + b"t."
    assert len(pickle.loads(pickled)) == 1 + keys
    assert is_plain(pickled) == plain


@pytest.mark.parametrize("odd", [b"0", b"1", b"2", b"\x85", b"(0", b"}s", b"(}Ns", b"t", b"h\7", b"\x94", b"K\1(\x86"])
def test_what_takes_more_from_the_stack_than_there_is_is_refused(odd: bytes) -> None:
    assert not is_plain(b"\x80\x04" + odd + b".")


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
