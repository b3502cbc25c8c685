"""Backups of a running job: restored elsewhere, it goes on and leaves what a run without a fault leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from flows.backup import Watch, back_up, restore
from flows.settings import load_settings
from local.backup_file import Manifest
from tests.support.job_driver import Plan
from tests.support.job_runs import finish, spawn
from tests.support.job_state import differences
from tests.support.populations import write_population
from tests.support.waiting import PATIENCE, pause, running, stop, wait_until

UNDER_LOAD: dict[str, Any] = {"batch_size": 20, "epoch_seconds": 0.1, "recovery_partitions": 8}


@dataclass(frozen=True)
class Size:
    users: int
    days: int
    backups: int


SMALL, LARGE = Size(50, 5, 1), Size(250, 10, 4)


@pytest.mark.parametrize("size", [pytest.param(SMALL, id="small"), pytest.param(LARGE, id="large", marks=pytest.mark.slow)])
def test_a_job_restored_from_any_backup_ends_as_if_nothing_had_happened(tmp_path: Path, size: Size) -> None:
    source, rng = tmp_path / "events.jsonl", Random(size.users)
    write_population(source, size.users, size.days, seed=5)
    expected = finish(tmp_path / "whole", source)
    manifests = back_up_under_load(tmp_path / "data", source, tmp_path, size.backups, rng)
    assert len({manifest["epoch"] for manifest in manifests}) == size.backups, "the job went on between the backups"
    for number in range(size.backups):
        directory = tmp_path / f"elsewhere-{number}" / "data"
        restore(tmp_path / f"{number}.tar.gz", directory, Watch())
        found = finish(directory, source)
        assert not differences(expected, found), f"backup {number} of epoch {manifests[number]['epoch']}"


def back_up_under_load(data_dir: Path, source: Path, into: Path, count: int, rng: Random) -> list[Manifest]:
    """Run the job, back it up at random moments, and kill it."""
    settings = load_settings(data_dir=data_dir, **UNDER_LOAD)
    manifests: list[Manifest] = []
    with running(spawn(Plan({"data_dir": str(data_dir), **UNDER_LOAD}, str(source)))) as process:
        wait_until(lambda: list(data_dir.glob("clickhouse/metadata/onramp.sql")), "a job with its tables", process=process)
        for number in range(count):
            pause(rng.uniform(0, 0.5), "the backup comes at a random moment")
            manifests.append(back_up(settings, into / f"{number}.tar.gz", Watch()))
            assert process.poll() is None, "the job ended before the backup"
        stop(process)
        assert process.wait(PATIENCE) == -9
    return manifests
