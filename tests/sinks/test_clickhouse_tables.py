"""What the tables of a database say of themselves, how long they keep rows, and how many parts they have."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from scripts.write_event_fields import written
from scripts.write_tables import as_sections, relations
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.columns import to_frame
from sinks.clickhouse.grants import views
from sinks.clickhouse.inserter import ClickHouseInserter
from sinks.clickhouse.migrate import migrate, shipped
from sinks.clickhouse.read_only_query import query
from sinks.clickhouse.retention import apply_retention
from sinks.clickhouse.row_ages import AGE_OF, KEPT_CALLS
from state.records.facts import FACTS, DeadLetterFact, EventFact, LlmAnswerFact, PersonFact
from tests.support.facts import make

STORES = ["embedded", pytest.param("server", marks=pytest.mark.slow)]
ON_BOTH = pytest.mark.parametrize("store", STORES, indirect=True)

pytest_plugins = ["tests.support.clickhouse_stores"]

PAGE = (Path(__file__).parents[2] / "docs" / "tables.md").read_text(encoding="utf-8")
BEFORE_COMMENTS = 12
OF_KEPT_CALLS = 15


@ON_BOTH
def test_every_table_view_and_column_has_a_comment_and_the_page_says_the_same(store: ClickHouse) -> None:
    """Also in a database that existed before there were comments."""
    migrate(store, [each for each in shipped() if each.version < BEFORE_COMMENTS])
    assert all(not relation.comment for relation in relations(store))
    migrate(store)
    found = relations(store)
    without = [relation.name for relation in found if not relation.comment]
    without += [f"{relation.name}.{column.name}" for relation in found for column in relation.columns if not column.comment]
    assert not without, "a migration that creates a table or a view also says what it and its columns hold"
    assert [relation.name for relation in found if relation.is_view] == views()
    assert written(PAGE, as_sections(found)) == PAGE, "run `make tables`"


@ON_BOTH
def test_rows_that_are_older_than_the_days_of_their_table_are_deleted(store: ClickHouse) -> None:
    migrate(store)
    now, day = time.time_ns() // 1_000_000, 86_400_000
    inserter = ClickHouseInserter(store)
    letters = [
        make(DeadLetterFact, dead_letter_id=name, log_time=at) for name, at in (("old", now - 40 * day), ("new", now), ("unknown", 0))
    ]
    inserter.insert("dead_letters", to_frame(DeadLetterFact, letters))
    old_event = make(EventFact, event_id="e", timestamp=now - 40 * day, log_time=now - 40 * day)
    inserter.insert("events", to_frame(EventFact, [old_event]))
    inserter.insert("people", to_frame(PersonFact, [make(PersonFact, last_active_at=now - 900 * day)]))

    def kept() -> list[str]:
        for table in ("dead_letters", "events", "people"):
            store.client().command(f"OPTIMIZE TABLE {table} FINAL")
        letters = query(store, "SELECT dead_letter_id FROM dead_letters ORDER BY 1")["dead_letter_id"].to_list()
        return [*letters, *query(store, "SELECT event_id FROM events")["event_id"], *query(store, "SELECT user_id FROM people")["user_id"]]

    assert apply_retention(store, {}) == []
    assert kept() == ["new", "old", "unknown", "e", "u"]
    assert apply_retention(store, {"dead_letters": 30}) == ["dead_letters"]
    assert apply_retention(store, {"dead_letters": 30}) == []
    assert kept() == ["new", "unknown", "e", "u"]
    assert apply_retention(store, {"dead_letters": 60, "events": 30}) == ["events", "dead_letters"]
    assert kept() == ["new", "unknown", "u"]
    store.client().command("ALTER TABLE decisions MODIFY TTL toDateTime(decided_at) + toIntervalYear(7)")
    assert apply_retention(store, {}) == ["events", "dead_letters"]
    with_ttl = query(
        store, "SELECT name FROM system.tables WHERE database = {d:String} AND engine_full LIKE '%TTL%'", {"d": store.database}
    )
    assert with_ttl["name"].to_list() == ["decisions"]  # an operator set it


@ON_BOTH
def test_calls_that_were_kept_go_when_their_days_are_over_also_after_the_setting_is_taken_away(store: ClickHouse) -> None:
    migrate(store, [each for each in shipped() if each.version < OF_KEPT_CALLS])
    assert migrate(store) == [each.name for each in shipped() if each.version >= OF_KEPT_CALLS], "an upgrade adds the table"
    now, day = time.time_ns() // 1_000_000, 86_400_000
    calls = [make(LlmAnswerFact, decision_id=name, called_at=now - age * day) for name, age in (("old", 40), ("older", 400), ("new", 0))]
    ClickHouseInserter(store).insert(KEPT_CALLS, to_frame(LlmAnswerFact, calls))
    assert apply_retention(store, {}) == []
    assert apply_retention(store, {KEPT_CALLS: 90}) == [KEPT_CALLS]
    assert apply_retention(store, {}) == []
    store.client().command(f"OPTIMIZE TABLE {KEPT_CALLS} FINAL")
    assert query(store, f"SELECT decision_id FROM {KEPT_CALLS} ORDER BY 1")["decision_id"].to_list() == ["new", "old"]


def test_only_tables_whose_rows_grow_old_can_lose_rows_and_each_of_them_has_the_column() -> None:
    fields = {kind.TABLE: kind.__struct_fields__ for kind in FACTS}
    assert all(column in fields[table] for table, column in AGE_OF.items())
    holding = {"people", "step_progress", "guidance_switches", "catalogs", "arm_posteriors", "arm_stops", "step_statistics"}
    assert set(fields) - set(AGE_OF) == holding


@pytest.mark.slow
@ON_BOTH
def test_many_tiny_inserts_leave_few_parts(store: ClickHouse) -> None:
    migrate(store)
    inserter = ClickHouseInserter(store)
    most = 0
    for number in range(400):
        inserter.insert("events", to_frame(EventFact, [make(EventFact, event_id=f"e{number}", user_id=f"u{number % 7}")]))
        found = query(
            store,
            "SELECT count() AS n FROM system.parts WHERE active AND database = {d:String} AND table = 'events'",
            {"d": store.database},
        )
        most = max(most, int(found["n"].item()))
    assert query(store, "SELECT count() AS n FROM events_final").item() == 400
    assert most < 150  # ClickHouse delays inserts at 1,000 and refuses them at 3,000
