"""What a stopped embedded ClickHouse keeps of deleted rows goes at once, and nothing that it still needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.places.clickhouse import Tables, Traces
from local.clickhouse import EmbeddedClickHouse
from local.clickhouse_leftovers import remove_leftovers
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.columns import to_frame
from sinks.clickhouse.inserter import ClickHouseInserter
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.read_only_query import query
from state.records.facts import PersonFact
from state.records.subject import Subject
from tests.support.facts import make
from tests.support.waiting import ends_within

ANN = Subject("t", ("ann-who-leaves",))


def table(directory: Path, *parts: str) -> Path:
    """The directory of a table with these parts, one file in each."""
    place = directory / "store" / "abc" / "abc-uuid"
    for part in parts:
        (place / part).mkdir(parents=True)
        (place / part / "data.bin").write_bytes(b"rows")
    return place


@pytest.mark.parametrize(
    ("parts", "left"),
    [
        ({"all_1_1_0", "all_2_2_0"}, {"all_1_1_0", "all_2_2_0"}),
        ({"all_1_1_0", "all_2_2_0", "all_1_2_1"}, {"all_1_2_1"}),
        ({"all_1_1_0", "all_1_1_0_3", "all_1_1_0_5"}, {"all_1_1_0_5"}),
        ({"all_1_2_1", "all_1_2_1_5", "all_3_3_0", "all_3_3_0_5", "all_1_3_2_5", "all_6_6_0"}, {"all_1_3_2_5", "all_6_6_0"}),
        ({"202601_1_1_0", "202602_1_2_1"}, {"202601_1_1_0", "202602_1_2_1"}),
        ({"all_1_1_0_5", "all_1_2_1"}, {"all_1_1_0_5", "all_1_2_1"}),
        ({"all_1_9_2", "all_10_10_0", "all_1_10_2"}, {"all_1_9_2", "all_10_10_0", "all_1_10_2"} - {"all_10_10_0"}),
        ({"all_1_1_0", "tmp_mut_all_1_1_0_5", "delete_tmp_all_0_0_0", "detached"}, {"all_1_1_0", "detached"}),
    ],
)
def test_a_part_goes_that_a_newer_one_replaces(tmp_path: Path, parts: set[str], left: set[str]) -> None:
    place = table(tmp_path, *parts)
    (place / "mutation_5.txt").write_bytes(b"DELETE WHERE user_id = 'ann'")
    (place / "format_version.txt").write_bytes(b"1")
    table(tmp_path / "shadow" / "onramp_backup_0", "all_1_1_0")
    remove_leftovers(tmp_path)
    assert {path.name for path in place.iterdir()} == {*left, "format_version.txt"}
    assert list((tmp_path / "shadow").iterdir()) == []


def test_after_a_deletion_no_byte_of_the_user_is_left_at_once(tmp_path: Path) -> None:
    def insert(*people: tuple[str, str, int]) -> None:
        rows = [make(PersonFact, tenant_id=tenant, user_id=user, version=version) for tenant, user, version in people]
        ClickHouseInserter(store).insert("people", to_frame(PersonFact, rows))

    store = ClickHouse(embedded=EmbeddedClickHouse(tmp_path))
    migrate(store)
    for version in range(1, 4):  # parts of their own
        insert(("t", "ann-who-leaves", version), ("t", "ben-who-stays", version))
    Tables(store).erase(ANN)
    insert(("t", "cyd-who-comes", 1))
    before = query(store, "SELECT * FROM people ORDER BY ALL").rows()
    assert len(before) == 4
    store.close()
    with EmbeddedClickHouse(tmp_path).stopped():
        pass  # the job has ended, and the engine with it
    traces = Traces(store, tmp_path)
    assert traces.held(ANN)
    with ends_within(15, "the maintenance, which has nothing to wait for but the engine's end and start"):
        traces.maintain(ANN)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [str(path) for path in files if b"ann-who-leaves" in path.read_bytes()]
    assert traces.held(ANN) == []
    assert query(store, "SELECT * FROM people ORDER BY ALL").rows() == before
    store.close()
