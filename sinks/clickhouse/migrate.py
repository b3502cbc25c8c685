"""Migrates a database to the schema of this version, by numbered SQL files that are applied once each, in order.

An empty database gets the same tables and views from ``schema.sql`` at once: a fifth of the statements.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import NamedTuple

import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.errors import Fault, MigrationRefused, StoreDenied, StoreError, StoreUnreachable, meaning_of

logger = logging.getLogger(__name__)

_NAME = re.compile(r"(\d{4})_\w+\.sql")
_END = re.compile(r";[ \t]*$", re.MULTILINE)
_FOLDER = resources.files("sinks.clickhouse")
_MIGRATIONS_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    version UInt32,
    name String,
    checksum String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(applied_at)
ORDER BY version
"""


class Migration(NamedTuple):
    """One file. Its statements are idempotent (``IF NOT EXISTS``, ``OR REPLACE``), so a partially applied file is applied again."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Checksum of the text. A file that was applied to a database must not change."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def statements(self) -> list[str]:
        """The statements in order."""
        return _statements(self.sql)


def shipped() -> list[Migration]:
    """Return the migrations of this version, oldest first."""
    found = []
    for file in (_FOLDER / "migrations").iterdir():
        match = _NAME.fullmatch(file.name)
        if match:
            found.append(Migration(int(match[1]), file.name, file.read_text(encoding="utf-8")))
    return sorted(found)


def schema() -> list[str]:
    """Return the statements that make in an empty database what the migrations of this version make, which ``make tables`` wrote."""
    return _statements((_FOLDER / "schema.sql").read_text(encoding="utf-8"))


def _statements(sql: str) -> list[str]:
    """A statement ends with a semicolon at the end of a line."""
    return [text.strip() for text in _END.split(sql) if text.strip()]


def migrate(store: ClickHouse, migrations: Iterable[Migration] | None = None) -> list[str]:
    """Create the database if it is missing and apply the missing migrations. Returns the names of those.

    ``migrations``, those of this version if None, are applied one by one, also to an empty database. Call it once at start, before any
    insert. Blocks until done. Several processes may call it at the same time. Raises
    ``MigrationRefused`` if an applied file has changed or the database is newer than this version, ``StoreDenied`` for a missing right, and
    what ``ClickHouse.client`` raises; ``StoreUnreachable`` also while the server is too busy.
    """
    wanted = shipped() if migrations is None else list(migrations)
    _create_database(store)
    client = store.connect(database=store.database)
    done: list[str] = []
    try:
        if migrations is None and client.command("SELECT count() FROM system.tables WHERE database = currentDatabase()") == 0:
            for statement in schema():
                client.command(statement)
            return _note(client, store, wanted)
        client.command(_MIGRATIONS_TABLE)
        applied = _applied(client)
        _check(store, wanted, applied)
        for migration in wanted:
            if migration.version in applied:
                continue
            for statement in migration.statements():
                client.command(statement)
            done += _note(client, store, [migration])
    except DatabaseError as error:
        raise refusal(f"ClickHouse at {store.where} refused a migration", error) from None
    else:
        return done
    finally:
        client.close()


def applied_migrations(store: ClickHouse) -> list[Migration]:
    """Return the migrations that the database has, oldest first. The table of them must exist. Raises like ``migrate``."""
    known = shipped()
    client = store.connect(database=store.database)
    try:
        applied = _applied(client)
    except DatabaseError as error:
        raise refusal(f"ClickHouse at {store.where} does not say which migrations it has", error) from None
    finally:
        client.close()
    _check(store, known, applied)
    return [migration for migration in known if migration.version in applied]


def _create_database(store: ClickHouse) -> None:
    client = store.connect(database=None)
    try:
        # Checked first: a user without the right to create databases can use one that an administrator created.
        if client.command(f"EXISTS DATABASE {store.database}") != 1:
            client.command(f"CREATE DATABASE IF NOT EXISTS {store.database}")
    except DatabaseError as error:
        raise refusal(f"ClickHouse at {store.where} did not let the job create database {store.database!r}", error) from None
    finally:
        client.close()


def refusal(what: str, error: DatabaseError) -> StoreError:
    """The error of a change to the schema that ClickHouse refused. ``what`` begins its sentence."""
    meaning = meaning_of(error)
    sentence = f"{what}: {' '.join(str(error).split()).rstrip('.')}{f'; {meaning.advice}' if meaning.advice else ''}."
    if meaning.fault is Fault.BUSY:
        return StoreUnreachable(sentence)
    return (StoreDenied if meaning.fault is Fault.DENIED else MigrationRefused)(sentence)


def _note(client: Client, store: ClickHouse, migrations: Sequence[Migration]) -> list[str]:
    """Note that the migrations were applied; return their names."""
    rows = [{"version": each.version, "name": each.name, "checksum": each.checksum} for each in migrations]
    # `insert` would import pandas where it is installed, and stop the job's thread for a second meanwhile.
    client.raw_insert(
        "schema_migrations", column_names=list(rows[0]), insert_block=msgspec.json.Encoder().encode_lines(rows), fmt="JSONEachRow"
    )
    names = [each.name for each in migrations]
    logger.info("applied to ClickHouse database %s: %s", store.database, ", ".join(names))
    return names


def _applied(client: Client) -> dict[int, tuple[str, str]]:
    rows = client.query("SELECT version, name, checksum FROM schema_migrations FINAL ORDER BY version").result_rows
    return {int(version): (str(name), str(checksum)) for version, name, checksum in rows}


def _check(store: ClickHouse, wanted: list[Migration], applied: dict[int, tuple[str, str]]) -> None:
    known = {migration.version: migration for migration in wanted}
    for version, (name, checksum) in applied.items():
        if version not in known:
            raise MigrationRefused(
                f"Database {store.database!r} has migration {name}, unknown to this version of onramp; run a version at least as new."
            )
        if known[version].checksum != checksum:
            raise MigrationRefused(
                f"Migration {name} was changed after it was applied to database {store.database!r}; restore the file and add a new one."
            )
