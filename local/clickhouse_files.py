"""The files of the embedded ClickHouse, held for a copy while the engine runs.

``BACKUP`` needs settings that the embedded engine does not take. ``FREEZE`` makes hard links in ``shadow/`` to the parts of a table, which
never change. From them and the definitions of the tables another engine gets the same tables: it finds them by their UUIDs.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.errors import StoreUnreachable

PREFIX: Final = "onramp_backup_"


@dataclass
class FrozenTables:
    """Files to copy, by their names in a directory of ClickHouse; the rows of each table; the version of the engine."""

    files: dict[str, Path] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    version: str = ""


@contextmanager
def frozen_tables(store: ClickHouse, directory: Path) -> Iterator[FrozenTables]:
    """Hold the tables of the database of ``store``, which is the embedded one in ``directory``. One at a time may do this.

    Rows that are inserted meanwhile may be in some tables and not in others: let nothing be delivered from before this call on. Starts the
    engine if it does not run. Raises ``StoreError``.
    """
    found = FrozenTables()
    if not (directory / "metadata" / f"{store.database}.sql").exists():
        yield found
        return
    for old in directory.glob(f"shadow/{PREFIX}*"):
        shutil.rmtree(old)  # of a backup that was killed
    counter = directory / "shadow" / "increment.txt"
    if counter.exists() and not counter.stat().st_size:
        counter.unlink()  # written on a full disk; the engine makes a new one, and freezes nothing while it is empty
    name = f"{PREFIX}{secrets.token_hex(8)}"
    try:
        _freeze(store, directory, name, found)
        yield found
    finally:
        shutil.rmtree(directory / "shadow" / name, ignore_errors=True)


def _freeze(store: ClickHouse, directory: Path, name: str, found: FrozenTables) -> None:
    try:
        client = store.client()
        found.version = str(client.command("SELECT version()"))
        database = client.query("SELECT toString(uuid) FROM system.databases WHERE name = currentDatabase()").result_rows[0][0]
        tables = client.query(
            "SELECT name, toString(uuid) FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' ORDER BY name"
        ).result_rows
        for table, _ in tables:
            client.command(f"ALTER TABLE {table} FREEZE WITH NAME '{name}'")
            found.rows[table] = int(str(client.command(f"SELECT count() FROM {table}")))  # noqa: S608 -- a name of ours
    except (ClickHouseError, OSError) as error:
        raise StoreUnreachable(
            f"The embedded ClickHouse in {directory} did not hold its tables for the backup ({' '.join(str(error).split())}); try again."
        ) from error
    take = found.files
    take[f"metadata/{store.database}.sql"] = directory / "metadata" / f"{store.database}.sql"
    for path in sorted((directory / place_of(database)).glob("*.sql")):
        take[f"{place_of(database)}/{path.name}"] = path
    for _, uuid in tables:
        take[f"{place_of(uuid)}/format_version.txt"] = directory / place_of(uuid) / "format_version.txt"
    frozen = directory / "shadow" / name
    for path in sorted(frozen.rglob("*")):
        if path.is_file():
            take[str(path.relative_to(frozen))] = path


def place_of(uuid: str) -> str:
    """Where the files of a database or table are."""
    return f"store/{uuid[:3]}/{uuid}"
