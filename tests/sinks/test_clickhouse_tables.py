"""What the tables of a database say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.write_event_fields import written
from scripts.write_tables import as_sections, relations
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.migrate import migrate, shipped

STORES = ["embedded", pytest.param("server", marks=pytest.mark.slow)]
pytestmark = pytest.mark.parametrize("store", STORES, indirect=True)

pytest_plugins = ["tests.support.clickhouse_stores"]

PAGE = (Path(__file__).parents[2] / "docs" / "tables.md").read_text(encoding="utf-8")
BEFORE_COMMENTS = 12


def test_every_table_view_and_column_has_a_comment_and_the_page_says_the_same(store: ClickHouse) -> None:
    """Also in a database that existed before there were comments."""
    migrate(store, [each for each in shipped() if each.version < BEFORE_COMMENTS])
    assert all(not relation.comment for relation in relations(store))
    migrate(store)
    found = relations(store)
    without = [relation.name for relation in found if not relation.comment]
    without += [f"{relation.name}.{column.name}" for relation in found for column in relation.columns if not column.comment]
    assert not without, "a migration that creates a table or a view also says what it and its columns hold"
    assert written(PAGE, as_sections(found)) == PAGE, "run `make tables`"
