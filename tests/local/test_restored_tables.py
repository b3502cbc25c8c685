"""The tables of a backup are made anew: its rows come back, and nothing in it can make ClickHouse run a command."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

from local.backup_file import BackupError, unpack, writing
from local.clickhouse import EmbeddedClickHouse
from local.clickhouse_files import frozen_tables
from local.restored_tables import remake_tables
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.errors import MigrationRefused
from sinks.clickhouse.migrate import migrate, shipped

GENUINE: Final = Path(__file__).parents[1] / "fixtures" / "formats" / "2" / "backup.tar.gz"
MANIFEST: Final = {"onramp": "1.2", "takenAt": "2026-02-25", "epoch": 7, "keys": {}, "rows": {}, "notIncluded": []}
Files = dict[str, bytes]


def genuine() -> Files:
    with tarfile.open(GENUINE) as archive:
        files = {entry.name: file.read() for entry in archive if (file := archive.extractfile(entry)) is not None}
    return {name: data for name, data in files.items() if name not in {"onramp-backup.json", "manifest.json"}}


def restored(files: Files, room: Path) -> Path:
    """Restore a backup of these files, which has the right checksums; return its directory of ClickHouse."""
    with writing(room / "b.tar", {}, 0, lambda _size: None) as backup:
        for name, data in files.items():
            backup.add_bytes(name, data)
        backup.finish(MANIFEST)
    unpack(room / "b.tar", room / "data", lambda _size: None)
    return room / "data" / "clickhouse"


@contextmanager
def opened(directory: Path) -> Iterator[ClickHouse]:
    embedded = EmbeddedClickHouse(directory)
    try:
        with closing(ClickHouse(embedded=embedded)) as store:
            yield store
    finally:
        with embedded.stopped():
            pass


def place(files: Files, definition: str) -> str:
    """The directory of the definitions, or that of the table with this definition."""
    name = next(name for name in files if name.endswith(f"/{definition}"))
    if definition.endswith(".sql") and b"ATTACH TABLE" in files[name]:
        uuid = files[name].split(b"'")[1].decode()
        return f"clickhouse/store/{uuid[:3]}/{uuid}"
    return name.rpartition("/")[0]


def test_a_view_and_a_table_that_read_other_files_are_made_anew(tmp_path: Path) -> None:
    files = genuine()
    for name in files:
        if name.endswith(("/people_final.sql", "/events_final.sql")):
            files[name] = files[name].rstrip() + b"\nWHERE (SELECT count() FROM file('/etc/passwd', 'LineAsString')) > 0\n"
        if name.endswith("/arm_posteriors.sql"):
            files[name] = files[name].partition(b"ENGINE")[0] + b"ENGINE = File('LineAsString', '/etc/passwd')\n"
    with opened(restored(files, tmp_path)) as store:
        client = store.client()
        assert client.query("SELECT count() FROM people_final").result_rows[0][0] > 0
        assert client.query("SELECT count() FROM events_final").result_rows[0][0] > 0
        assert client.query("SELECT count() FROM arm_posteriors").result_rows[0][0] >= 0
        made = str(client.query("SELECT groupArray(create_table_query) FROM system.tables WHERE database = 'onramp'").result_rows)
    assert "passwd" not in made


DICTIONARY: Final = (
    b"ATTACH DICTIONARY _ UUID '11111111-1111-4111-8111-111111111111'\n(`a` UInt64, `b` String)\nPRIMARY KEY a\n"
    b"SOURCE(EXECUTABLE(COMMAND 'touch ran' FORMAT 'TabSeparated'))\nLIFETIME(0)\nLAYOUT(FLAT())\n"
)
PEOPLE: Final = "people.sql"
MORE: dict[str, tuple[Callable[[Files], object], str]] = {
    "a dictionary": (
        lambda files: files.update({f"{place(files, 'people_final.sql')}/evil.sql": DICTIONARY}),
        "'evil.sql' defines neither a table nor a view",
    ),
    "a statement": (
        lambda files: files.update({f"{place(files, 'people_final.sql')}/evil.sql": b"CREATE FUNCTION evil AS x -> x"}),
        "'evil.sql' defines neither a table nor a view",
    ),
    "a second database": (
        lambda files: files.update({"clickhouse/metadata/other.sql": files["clickhouse/metadata/onramp.sql"]}),
        "there is not the one database",
    ),
    "a database of another kind": (
        lambda files: files.update(
            {"clickhouse/metadata/onramp.sql": files["clickhouse/metadata/onramp.sql"].replace(b"Atomic", b"SQLite('/etc/x')")}
        ),
        "the database onramp is of another kind",
    ),
    "no database": (lambda files: files.pop("clickhouse/metadata/onramp.sql"), "there is not the one database"),
    "a file of no table": (
        lambda files: files.update({"clickhouse/store/111/11111111-1111-4111-8111-111111111111/all_1_1_0/data.bin": b""}),
        "belongs to no table",
    ),
    "a part with the name of a statement": (
        lambda files: files.update({f"{place(files, PEOPLE)}/x' ; DROP_1_1_0/data.bin": b""}),
        "belongs to no table",
    ),
    "a change of rows that is not done": (
        lambda files: files.update({f"{place(files, PEOPLE)}/mutation_9.txt": b"format version: 1"}),
        "belongs to no table",
    ),
    "detached rows": (lambda files: files.update({f"{place(files, PEOPLE)}/detached/all_1_1_0/data.bin": b""}), "belongs to no table"),
    "a dropped table": (lambda files: files.update({"clickhouse/metadata/dropped/x.sql": b""}), "belongs to no table"),
    "two tables in one place": (
        lambda files: files.update({f"{place(files, 'people_final.sql')}/a.sql": files[f"{place(files, 'people_final.sql')}/people.sql"]}),
        "two tables have one UUID",
    ),
    "another table": (
        lambda files: files.update(
            {f"{place(files, 'people_final.sql')}/mine.sql": files.pop(f"{place(files, 'people_final.sql')}/people.sql")}
        ),
        "there are rows of 'mine', which Onramp has not made",
    ),
    "damaged migrations": (
        lambda files: files.update(
            {name: b"x" for name in files if name.startswith(place(files, "schema_migrations.sql")) and name.endswith("columns.txt")}
        ),
        "the rows of schema_migrations cannot be read",
    ),
}


@pytest.mark.parametrize("name", MORE)
def test_what_no_backup_has_is_named_and_nothing_is_restored(tmp_path: Path, name: str) -> None:
    change, said = MORE[name]
    files = genuine()
    change(files)
    with pytest.raises(BackupError, match=r"in clickhouse/, .*othing was restored") as caught:
        restored(files, tmp_path)
    assert said in str(caught.value)
    assert not list((tmp_path / "data").iterdir())


@pytest.mark.parametrize(
    "name",
    ["clickhouse/config.xml", "clickhouse/user_defined/f.sql", "clickhouse/server/address.json", "clickhouse/named_collections/x.sql"],
)
def test_no_other_file_of_the_engine_comes_from_a_backup(tmp_path: Path, name: str) -> None:
    with pytest.raises(BackupError, match="does not belong there"):
        restored({**genuine(), name: b"x"}, tmp_path)


def copy_of(store: ClickHouse, directory: Path, target: Path) -> None:
    with frozen_tables(store, directory) as tables:
        for name, path in tables.files.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(path.read_bytes())


def test_the_tables_of_an_older_version_stay_those_and_are_migrated_later(tmp_path: Path) -> None:
    with opened(tmp_path / "old") as store:
        migrate(store, shipped()[:12])
        store.client().command("INSERT INTO events (tenant_id, user_id, event_id) VALUES ('t', 'u', 'e')")
        copy_of(store, tmp_path / "old", tmp_path / "copy")
    assert remake_tables(tmp_path / "copy") is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "old"]
    with opened(tmp_path / "copy") as store:
        assert migrate(store) == [migration.name for migration in shipped()[12:]]
        assert store.client().query("SELECT user_id FROM events_final").result_rows == [("u",)]


def test_tables_of_a_newer_version_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with opened(tmp_path / "new") as store:
        migrate(store, shipped()[:1])
        store.client().command("INSERT INTO schema_migrations (version, name) VALUES (9999, '9999_later.sql')")
        copy_of(store, tmp_path / "new", tmp_path / "copy")
    with pytest.raises(MigrationRefused, match=r"9999_later.sql, unknown to this version"):
        remake_tables(tmp_path / "copy")


def test_where_there_are_no_tables_nothing_is_made(tmp_path: Path) -> None:
    assert remake_tables(tmp_path / "gone") is None
    assert not list(tmp_path.iterdir())
