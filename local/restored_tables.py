"""Makes the tables of ClickHouse anew from a copy that comes from elsewhere, because the definitions in it could run any command.

A dictionary, a table of another engine or a view that uses one does so as soon as somebody reads it. So only the rows are taken: the parts
of the tables, which are found by the names and UUIDs in the definitions. Tables and views are made by the shipped migrations, by those of
them that the copy has had. The engine runs on a new directory meanwhile, for some seconds.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final, NamedTuple

from clickhouse_connect.driver.exceptions import ClickHouseError

from local.clickhouse import EmbeddedClickHouse
from local.clickhouse_files import place_of
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.migrate import applied_migrations, migrate

_UUID: Final = r"UUID '([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'\n"
_DATABASE: Final = re.compile(rf"ATTACH DATABASE _ {_UUID}ENGINE = Atomic\n")
_TABLE_OR_VIEW: Final = re.compile(rf"ATTACH (TABLE|VIEW) _ {_UUID}")
_PART: Final = re.compile(r"[0-9A-Za-z-]+(?:_[0-9]+){3,4}")
_MIGRATIONS: Final = "schema_migrations"
_FORMAT: Final = "format_version.txt"


class _FaultError(Exception):
    """Something that a backup does not have. The text is a part of a sentence."""


class _Database(NamedTuple):
    """Names and UUIDs in a directory of ClickHouse."""

    name: str
    uuid: str
    tables: dict[str, str]

    def definitions(self, directory: Path) -> list[Path]:
        """The files that this was read from."""
        return [directory / "metadata" / f"{self.name}.sql", *sorted((directory / place_of(self.uuid)).glob("*.sql"))]


def remake_tables(directory: Path) -> str | None:
    """Replace the directory of ClickHouse by a new one with the same rows; return what it has besides, as a part of a sentence.

    None if that is nothing, or there is no such directory. Blocks for some seconds, also with few rows; the files are moved, not copied. No
    engine may run on it. Raises ``StoreError``, also where a newer version has made the tables, and ``OSError``.
    """
    if not directory.exists():
        return None
    new = directory.with_name(f"{directory.name}.new")
    made = directory.with_name(f"{directory.name}.made")
    try:
        there = _the_one_database(directory)
        parts = _parts(directory, there)
        _migrate_as(there.name, new, [part for table, part in parts if table == _MIGRATIONS])
        _put_together(_read(new, there.name), new, parts, made)
    except _FaultError as fault:
        return str(fault)
    for path in (directory, new):
        shutil.rmtree(path)
    made.rename(directory)
    return None


def _the_one_database(directory: Path) -> _Database:
    names = [path.stem for path in directory.glob("metadata/*.sql")]
    if len(names) != 1 or not names[0].isidentifier():
        raise _FaultError("there is not the one database")
    return _read(directory, names[0])


def _read(directory: Path, name: str) -> _Database:
    found = _DATABASE.fullmatch((directory / "metadata" / f"{name}.sql").read_text())
    if found is None:
        raise _FaultError(f"the database {name} is of another kind")
    tables = {}
    for path in sorted((directory / place_of(found[1])).glob("*.sql")):
        definition = _TABLE_OR_VIEW.match(path.read_text(errors="replace"))
        if definition is None:
            raise _FaultError(f"{path.name!r} defines neither a table nor a view")
        if definition[1] == "TABLE":
            tables[path.stem] = definition[2]
    if len({found[1], *tables.values()}) != 1 + len(tables):
        raise _FaultError("two tables have one UUID")
    return _Database(name, found[1], tables)


def _parts(directory: Path, there: _Database) -> list[tuple[str, Path]]:
    """Table and directory of each part. Raises ``_FaultError`` for a file that is in none, and is not one of those that a table has."""
    known = {*there.definitions(directory)}
    parts = []
    for table, uuid in there.tables.items():
        for path in sorted((directory / place_of(uuid)).glob("*")):
            if path.name == _FORMAT:
                known.add(path)
            elif path.is_dir() and _PART.fullmatch(path.name):
                parts.append((table, path))
    within = {part for _, part in parts}
    for path in sorted(directory.rglob("*")):
        if not path.is_dir() and path not in known and within.isdisjoint(path.parents):
            raise _FaultError(f"'{path.relative_to(directory)}' belongs to no table")
    return parts


def _migrate_as(database: str, directory: Path, parts: list[Path]) -> None:
    """Make the tables and views in a new directory, by the migrations that ``parts``, the rows of their table, name."""
    embedded = EmbeddedClickHouse(directory)
    store = ClickHouse(embedded=embedded, database=database)
    try:
        migrate(store, [])
        client = store.client()
        table = directory / place_of(_read(directory, database).tables[_MIGRATIONS])
        for part in parts:
            shutil.copytree(part, table / "detached" / part.name)
            client.command(f"ALTER TABLE {_MIGRATIONS} ATTACH PART '{part.name}'")
        applied = applied_migrations(store)
        client.command(f"TRUNCATE TABLE {_MIGRATIONS}")
        migrate(store, applied)
    except ClickHouseError as error:
        raise _FaultError(f"the rows of {_MIGRATIONS} cannot be read ({' '.join(str(error).split())})") from error
    finally:
        store.close()
        with embedded.stopped():
            pass


def _put_together(there: _Database, directory: Path, parts: list[tuple[str, Path]], made: Path) -> None:
    """Move to ``made`` the definitions and the rest of the tables ``there``, and the ``parts``, which get the place of their table."""
    formats = [directory / place_of(uuid) / _FORMAT for uuid in there.tables.values()]
    for path in (*there.definitions(directory), *formats):
        target = made / path.relative_to(directory)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.chmod(0o600)
        path.rename(target)
    for table, part in parts:
        if table not in there.tables:
            raise _FaultError(f"there are rows of {table!r}, which Onramp has not made")
        part.rename(made / place_of(there.tables[table]) / part.name)
