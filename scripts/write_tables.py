"""Writes docs/tables.md and sinks/clickhouse/schema.sql anew, from a database that was migrated step by step. Run it by ``make tables``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from local.clickhouse import EmbeddedClickHouse
from scripts.write_event_fields import written
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.migrate import migrate, shipped
from sinks.clickhouse.read_only_query import query

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "tables.md"
SCHEMA = ROOT / "sinks" / "clickhouse" / "schema.sql"

_RELATIONS: Final = """
SELECT name, engine = 'View' AS is_view, engine, partition_key, sorting_key, comment
FROM system.tables WHERE database = {database:String} ORDER BY is_view, name
"""
_DEFINITIONS: Final = """
SELECT formatQuery(create_table_query) FROM system.tables WHERE database = {database:String} ORDER BY engine = 'View', name
"""
_REPEATABLE: Final = {"\nCREATE TABLE ": "\nCREATE TABLE IF NOT EXISTS ", "\nCREATE VIEW ": "\nCREATE OR REPLACE VIEW "}
_COLUMNS: Final = """
SELECT name, type, comment FROM system.columns WHERE database = {database:String} AND table = {table:String} ORDER BY position
"""


class Column(NamedTuple):
    """One column with its comment."""

    name: str
    type: str
    comment: str


class Relation(NamedTuple):
    """One table or view with its comment. ``engine``, ``partition_key`` and ``sorting_key`` are ClickHouse's; a view has no keys."""

    name: str
    is_view: bool
    engine: str
    partition_key: str
    sorting_key: str
    comment: str
    columns: tuple[Column, ...]


def relations(store: ClickHouse) -> list[Relation]:
    """Every table and every view of a database that was migrated: tables first, each kind by name. Raises what ``query`` raises."""
    found = []
    for name, is_view, engine, partition_key, sorting_key, comment in query(store, _RELATIONS, {"database": store.database}).rows():
        columns = query(store, _COLUMNS, {"database": store.database, "table": name}).rows()
        found.append(
            Relation(name, bool(is_view), engine, partition_key, sorting_key, comment, tuple(Column(*column) for column in columns))
        )
    return found


def definitions(store: ClickHouse) -> str:
    """The statements that make the tables and views of a database, in any database. Its name must be nowhere else in them."""
    found = query(store, _DEFINITIONS, {"database": store.database}).to_series()
    text = "".join(f"\n{each};\n" for each in found)
    for told, wanted in {**_REPEATABLE, f"{store.database}.": "", "\nSETTINGS index_granularity = 8192": ""}.items():
        text = text.replace(told, wanted)
    return f"-- What the migrations make, for an empty database. Written by `make tables`.\n{text}"


def as_sections(found: Iterable[Relation]) -> str:
    """The sections of ``docs/tables.md``: one for each relation. A view with the columns of a table names the table instead."""
    known: dict[tuple[tuple[str, str], ...], str] = {}
    lines: list[str] = []
    heading = None
    for relation in found:
        if heading != (heading := "Views" if relation.is_view else "Tables"):
            lines += [f"## {heading}", ""]
        lines += [f"### `{relation.name}`", "", relation.comment, ""]
        if not relation.is_view:
            partitions = f", partitioned by `{relation.partition_key}`" if relation.partition_key else ""
            lines += [f"{relation.engine}, sorted by `{relation.sorting_key}`{partitions}.", ""]
        shape = tuple((column.name, column.comment) for column in relation.columns)
        if shape in known:
            lines += [f"It has the columns of `{known[shape]}`.", ""]
            continue
        known[shape] = relation.name
        lines += ["| column | type | meaning |", "|---|---|---|"]
        lines += [f"| `{column.name}` | `{column.type}` | {column.comment.replace('|', chr(92) + '|')} |" for column in relation.columns]
        lines.append("")
    return "\n".join(lines)


def _main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        store = ClickHouse(embedded=EmbeddedClickHouse(Path(directory)), database="migrated_step_by_step")
        try:
            migrate(store, shipped())
            sections = as_sections(relations(store))
            SCHEMA.write_text(definitions(store), encoding="utf-8")
        finally:
            store.close()
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), sections), encoding="utf-8")


if __name__ == "__main__":
    _main()
