"""Up to which epoch the recovery store is durable: what a resume of Bytewax would begin with."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from bytewax.recovery import init_db_dir

from local.durable_epoch import durable_epoch, is_whole, part_files
from tests.support.recovery_files import RecoveryFiles


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RecoveryFiles]:
    with closing(RecoveryFiles(tmp_path / "state", parts=3)) as made:
        yield made


def front(store: RecoveryFiles, part: int, worker: int, frontier: int) -> None:
    store.parts[part].execute(
        "INSERT INTO fronts (ex_num, worker_index, worker_frontier) VALUES (?, ?, ?)", [store.execution, worker, frontier]
    )


def test_a_job_that_has_closed_no_epoch_resumes_where_it_began(store: RecoveryFiles) -> None:
    store.begin(workers=2, at=7)
    assert durable_epoch(store.parts) == 7
    front(store, 0, 0, 9)
    assert durable_epoch(store.parts) == 7, "the other worker has closed none"
    front(store, 1, 1, 8)
    assert durable_epoch(store.parts) == 8


def test_of_a_worker_s_frontiers_in_several_files_the_last_counts(store: RecoveryFiles) -> None:
    for part, frontier in enumerate((4, 6, 5)):
        front(store, part, 0, frontier)
    assert durable_epoch(store.parts) == 6


def test_only_the_last_job_counts(store: RecoveryFiles) -> None:
    front(store, 0, 0, 20)
    store.begin(workers=1, at=3)
    assert durable_epoch(store.parts) == 3
    front(store, 0, 0, 5)
    assert durable_epoch(store.parts) == 5


def test_a_part_of_a_store_says_nothing(store: RecoveryFiles) -> None:
    front(store, 0, 0, 5)
    assert is_whole(store.parts)
    assert not is_whole(store.parts[:2])
    assert not is_whole([])
    assert durable_epoch(store.parts[:2]) is None


def test_before_the_first_job_nothing_is_durable(tmp_path: Path) -> None:
    init_db_dir(tmp_path, 2)  # type: ignore[no-untyped-call]
    parts = [sqlite3.connect(file) for file in part_files(tmp_path)]
    assert (len(parts), durable_epoch(parts)) == (2, None)
    for part in parts:
        part.close()
