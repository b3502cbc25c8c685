"""Copies of a recovery store that a flow writes meanwhile: each is whole, and a flow that resumes from it counts everything once."""

from __future__ import annotations

import pickle
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from random import Random

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, cluster_main, run_main

from local.data_dir import DataDirError
from local.durable_epoch import durable_epoch, part_files
from local.recovery_copy import frozen_store, keys_by_step
from tests.local.counting_step import Counting, Item
from tests.support.waiting import PATIENCE, pause, running, wait_until

ROOT = Path(__file__).parents[2]
#: In a process of its own, as a job is: the engine has an SQLite of its own, and two in one process cancel each other's locks.
PROGRAM = "import sys, pathlib, tests.local.test_recovery_copy as t; t.count(pathlib.Path(sys.argv[1]), int(sys.argv[2]))"
KEYS, ROUNDS, COPIES = 40, 40, 12
ITEMS: list[Item] = [(f"key-{number}", 1) for _ in range(ROUNDS) for number in range(KEYS)]


def count(store: Path, workers: int = 1) -> dict[str, int]:
    """Count the items by their keys, an epoch for each batch, from where the store says."""
    out: list[Item] = []
    flow = Dataflow("counting")
    counted = op.stateful_batch("count", op.input("in", flow, TestingSource(ITEMS, batch_size=7)), Counting)
    op.output("out", counted, TestingSink(out))
    config = RecoveryConfig(str(store))  # type: ignore[no-untyped-call]
    if workers == 1:
        run_main(flow, epoch_interval=timedelta(0), recovery_config=config)  # type: ignore[no-untyped-call]
    else:
        cluster_main(flow, [], 0, epoch_interval=timedelta(0), recovery_config=config, worker_count_per_proc=workers)  # type: ignore[no-untyped-call]
    return {key: max(number for name, number in out if name == key) for key in {name for name, _ in out}}


def copy(store: Path, target: Path) -> int | None:
    with frozen_store(store) as frozen:
        frozen.copy_to(target, lambda _size: None)
        return frozen.epoch


@pytest.mark.parametrize(("parts", "workers"), [(5, 1), pytest.param(3, 2, marks=pytest.mark.slow)])
def test_a_copy_of_a_store_that_is_written_is_one_epoch(tmp_path: Path, parts: int, workers: int) -> None:
    store, rng = tmp_path / "state", Random(parts)
    store.mkdir()
    init_db_dir(store, parts)  # type: ignore[no-untyped-call]
    epochs: list[int | None] = []
    with running(subprocess.Popen([sys.executable, "-c", PROGRAM, str(store), str(workers)], cwd=ROOT)) as flow:
        wait_until(lambda: durable(store), "the first epoch", process=flow)
        for number in range(COPIES):
            pause(rng.uniform(0, 0.05), "the copy comes at a random moment")
            epochs.append(copy(store, tmp_path / f"copy-{number}"))
        assert flow.wait(PATIENCE) == 0
    assert len(set(epochs)) >= 3, "the flow went on between the copies"
    assert [epoch or 0 for epoch in epochs] == sorted(epoch or 0 for epoch in epochs)
    for number in {0, len(epochs) // 3, len(epochs) // 2, len(epochs) - 1}:
        copied = tmp_path / f"copy-{number}"
        has_only_epochs_before(epochs[number] or 1, copied)
        done = counts_in(copied)
        assert sum(done.values()) <= len(ITEMS)
        ended = done | count(copied)
        assert ended == dict.fromkeys((name for name, _ in ITEMS), ROUNDS), f"copy {number} of epoch {epochs[number]}"


def has_only_epochs_before(epoch: int, store: Path) -> None:
    """Assert that the copy has nothing of an epoch that was not durable."""
    for file in part_files(store):
        with closing(sqlite3.connect(file)) as part:
            assert all(found < epoch for (found,) in part.execute("SELECT snap_epoch FROM snaps")), file.name


def counts_in(store: Path) -> dict[str, int]:
    """The counts that the copy holds: what was counted before it was made, and is not counted again."""
    found: dict[str, tuple[int, int]] = {}
    for file in part_files(store):
        with closing(sqlite3.connect(file)) as part:
            rows = part.execute("SELECT state_key, snap_epoch, ser_change FROM snaps WHERE step_id = 'counting.count'")
            for key, epoch, change in rows:
                if epoch >= found.get(key, (-1, 0))[0]:
                    found[key] = epoch, pickle.loads(change)
    return {key: number for key, (_, number) in found.items()}


def ended_store(directory: Path, parts: int = 3) -> Path:
    directory.mkdir()
    init_db_dir(directory, parts)  # type: ignore[no-untyped-call]
    count(directory)
    return directory


def test_files_that_belong_to_two_epochs_are_waited_for_and_then_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if one file had removed what a later epoch replaced, when the others had not heard of that epoch."""
    monkeypatch.setattr("local.recovery_copy._TRIES", 3)
    store = ended_store(tmp_path / "state")
    assert copy(store, tmp_path / "sound") is not None
    with closing(sqlite3.connect(part_files(store)[0])) as part, part:
        epoch = wait_until(lambda: durable(store), "an epoch")
        part.execute("INSERT OR REPLACE INTO commits (part_index, commit_epoch) VALUES (0, ?)", [epoch])
    with pytest.raises(DataDirError, match=r"too short for a copy .*raise ONRAMP_EPOCH_SECONDS"):
        copy(store, tmp_path / "copy")


def durable(store: Path) -> int | None:
    parts = [sqlite3.connect(file) for file in part_files(store)]
    try:
        return durable_epoch(parts)
    finally:
        for part in parts:
            part.close()


def test_a_store_without_all_of_its_files_is_refused(tmp_path: Path) -> None:
    store = ended_store(tmp_path / "state")
    part_files(store)[1].unlink()
    with pytest.raises(DataDirError, match="does not have all of its files on this machine"):
        copy(store, tmp_path / "copy")


def test_a_damaged_file_is_refused_in_words(tmp_path: Path) -> None:
    store = ended_store(tmp_path / "state")
    part_files(store)[1].write_bytes(b"no database" * 500)
    with pytest.raises(DataDirError, match="cannot be copied"):
        copy(store, tmp_path / "copy")


def test_a_store_on_which_no_job_began_has_no_epoch(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    assert copy(tmp_path / "state", tmp_path / "none") is None
    init_db_dir(tmp_path / "state", 2)  # type: ignore[no-untyped-call]
    assert copy(tmp_path / "state", tmp_path / "copy") is None
    assert keys_by_step(tmp_path / "copy") == {}
    assert count(tmp_path / "copy") == dict.fromkeys((name for name, _ in ITEMS), ROUNDS)
