"""An event log from elsewhere: what a gateway writes passes, and nothing that would go on living in the log."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from local.backup_file import BackupError, unpack, writing
from local.plain_log import what_is_no_log
from sources.local_log.log import EventLog
from sources.local_log.store import MOST_PARTITIONS

MANIFEST = {"onramp": "1.2", "takenAt": "2026-02-25", "epoch": 7, "keys": {}, "rows": {}, "notIncluded": []}
DROPS = "CREATE TRIGGER t{0} BEFORE INSERT ON p{0} BEGIN SELECT RAISE(IGNORE); END"
COLUMNS = "first INTEGER PRIMARY KEY, count INTEGER NOT NULL, time INTEGER NOT NULL, crc INTEGER NOT NULL, messages BLOB NOT NULL"


def log(directory: Path, *changes: str, partitions: int = 2) -> Path:
    EventLog(directory, partitions=partitions).close()
    with closing(sqlite3.connect(directory / "events.db")) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        for change in changes:
            database.executescript(change)
    return directory


@pytest.mark.parametrize("partitions", [1, MOST_PARTITIONS])
def test_a_log_passes_and_is_not_changed(tmp_path: Path, partitions: int) -> None:
    before = (log(tmp_path / "log", partitions=partitions) / "events.db").read_bytes()
    assert what_is_no_log(tmp_path / "log") is None
    assert (tmp_path / "log" / "events.db").read_bytes() == before
    assert what_is_no_log(tmp_path / "gone") is None


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("t0", DROPS.format(0)),
        ("seen", "CREATE VIEW seen AS SELECT 1"),
        ("p0", "ALTER TABLE p0 RENAME TO kept; CREATE VIEW p0 AS SELECT * FROM kept; DROP TABLE floors"),
        ("by_time", "CREATE INDEX by_time ON p0 (time)"),
        ("more", "CREATE TABLE more (one TEXT)"),
        ("p01", f"CREATE TABLE p01 ({COLUMNS})"),
        ("p0", f"DROP TABLE p0; CREATE TABLE p0 ({COLUMNS}, more AS (1))"),
        ("p0", f"DROP TABLE p0; CREATE TABLE p0 ({COLUMNS}) STRICT"),
        ("floors", "DROP TABLE floors; CREATE TABLE floors (partition INTEGER PRIMARY KEY, floor INTEGER NOT NULL CHECK (floor < 9))"),
    ],
)
def test_whatever_else_is_defined_in_it_is_named(tmp_path: Path, name: str, change: str) -> None:
    found = what_is_no_log(log(tmp_path / "log", change))
    expected = "kept" if "kept" in change else name
    assert found == f"events.db has {expected!r} in another form than a log has it"


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "events.db").write_bytes(b"text" * 2_000)
    assert "events.db cannot be read" in str(what_is_no_log(tmp_path))


def test_a_backup_with_right_checksums_whose_log_drops_events_is_not_restored(tmp_path: Path) -> None:
    directory = log(tmp_path / "log", DROPS.format(0), DROPS.format(1))
    with writing(tmp_path / "b.tar", {}, 0, lambda _size: None) as backup:
        backup.add_bytes("FORMAT", b"onramp-data 1\n")
        backup.add("log/events.db", directory / "events.db")
        backup.finish(MANIFEST)
    with pytest.raises(BackupError, match=r"in log/, events.db has 't0' in another form .*nothing was restored"):
        unpack(tmp_path / "b.tar", tmp_path / "data", lambda _size: None)
    assert not list((tmp_path / "data").iterdir())
