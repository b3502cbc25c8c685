"""Rows of people say as whom a visitor counts, and the views say the same as the job's state, whatever was merged into whom."""

from __future__ import annotations

import pickle
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest

from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.columns import to_frame
from sinks.clickhouse.inserter import ClickHouseInserter
from sinks.clickhouse.read_only_query import query
from state.person.snapshot import decode
from state.records.facts import DecisionFact, Fact, SignalFact
from state.records.recommendation import Erase
from tests.support.memory_job import KEYS, Job, newest_snapshots
from tests.support.merge_histories import HISTORIES, USERS, VISITORS, Id, erasures, histories, left, ran

pytest_plugins = ["tests.support.clickhouse_stores"]


class Known(NamedTuple):
    """What the job knows at the end. ``counts_as``: each visitor that was merged, and as whom it counts; ``deleted``: who was deleted."""

    counts_as: dict[Id, Id]
    deleted: set[Id]


def known(job: Job) -> Known:
    people = {key: decode(pickle.loads(state)) for (step, key), state in newest_snapshots(job.store).items() if step.endswith(".track")}
    names = {KEYS.stream_key(row.tenant_id, user): (row.tenant_id, user) for row in job.facts.items for user in (*VISITORS, *USERS)}
    merged = {key: person.merged_into for key, person in people.items() if person.merged_into and not person.deleted_at}

    def last(key: str) -> str:
        while key in merged:
            key = merged[key]
        return key

    return Known({names[key]: names[last(key)] for key in merged}, {names[key] for key, person in people.items() if person.deleted_at})


@pytest.mark.parametrize(
    ("seed", "batch_size", "workers"), [(1, 50, 1), (2, 1, 1), (3, 20, 2)], ids=["batches", "one by one", "two workers"]
)
def test_the_row_of_everybody_has_the_key_of_whom_they_count_as(seed: int, batch_size: int, workers: int, tmp_path: Path) -> None:
    job = ran(histories(seed), tmp_path / "state", batch_size=batch_size, workers=workers)
    rows, (counts_as, deleted) = left(job), known(job)
    assert len(counts_as) > HISTORIES
    assert len(deleted) > HISTORIES / 10
    ids = {KEYS.stream_key(*key): key for key in rows}
    for key, row in rows.items():
        root = counts_as.get(key, key)
        if row.person_key != KEYS.stream_key(*root):
            between = ids[row.person_key]
            assert workers > 1, key  # two merges of one moment may come in another order
            assert counts_as[between] == root, key
        assert (row.experiment_group == "merged") == (key in counts_as), key
    decided = {(row.tenant_id, row.user_id) for row in job.facts.items if isinstance(row, DecisionFact | SignalFact)}
    assert len(decided) > HISTORIES
    assert decided - rows.keys() - deleted == set(), "whoever was decided about has a row, so a visitor is found by it"


@pytest.mark.parametrize("seed", [5, 6])
def test_a_deletion_leaves_no_digest_of_the_deleted_in_rows_of_others(seed: int, tmp_path: Path) -> None:
    job = ran(histories(seed), tmp_path / "state", batch_size=1)
    rows, deleted = left(job), known(job).deleted
    gone = {KEYS.stream_key(*key): job.facts.items.index(erase) for key, erase in erasures(job).items() if key in deleted}
    assert len(gone) > HISTORIES / 10
    leftover = [key for key, row in rows.items() if job.facts.items.index(row) < gone.get(row.person_key, 0)]
    assert leftover == [], "only who was merged after the deletion has the key of somebody deleted, who may come again"


@pytest.mark.parametrize("store_of_module", ["embedded", pytest.param("server", marks=pytest.mark.slow)], indirect=True)
def test_the_views_name_the_user_of_each_visitor_as_the_job_does(migrated: ClickHouse, tmp_path: Path) -> None:
    job = ran(histories(4), tmp_path / "state")
    inserter, of_kind = ClickHouseInserter(migrated), defaultdict[type[Fact], list[Fact]](list)
    for row in job.facts.items:
        if isinstance(row, Fact):
            of_kind[type(row)].append(row)
    for kind, some in of_kind.items():
        inserter.insert(kind.TABLE, to_frame(kind, some))
    inserter.erase([row for row in job.facts.items if isinstance(row, Erase)])
    rows, counts_as = left(job), known(job).counts_as
    expected = {key: user[1] for key, user in counts_as.items() if key in rows and user in rows}
    for view in ("users_of_visitors", "merged_visitors"):
        found = query(migrated, f"SELECT tenant_id, visitor_id, user_id FROM {view} WHERE (tenant_id, visitor_id) IN "
                      "(SELECT tenant_id, user_id FROM people FINAL WHERE experiment_group = 'merged')").rows()  # fmt: skip
        assert {(tenant, visitor): user for tenant, visitor, user in found} == expected, view
        assert len(found) == len(expected) > HISTORIES / 2, "each once"
