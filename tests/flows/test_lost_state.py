"""A data directory that was in use and has lost its recovery store: nothing starts from zero in silence, and the advice is right."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from flows.backup import Watch, back_up
from flows.doctor import local_checks
from flows.lag import measure_lag
from flows.recovery import recovery_config
from flows.settings import Settings, load_settings
from local.data_dir import DataDir, DataDirError
from local.recovery_fault import RECOVERY_ADVICE
from sources.local_log.log import EventLog
from tests.support.job_runs import JobFailedError, finish
from tests.support.job_state import differences
from tests.support.populations import write_population
from tests.support.recovery_files import RecoveryFiles


@pytest.mark.parametrize("lost", [["state"], ["state/part-0.sqlite3"]], ids=["all-of-it", "a-file-of-it"])
def test_a_job_without_its_store_refuses_and_what_it_advises_leaves_what_the_first_run_left(tmp_path: Path, lost: list[str]) -> None:
    write_population(tmp_path / "events.jsonl", 40, 6, seed=3)
    before = finish(tmp_path / "data", tmp_path / "events.jsonl")
    (tmp_path / "away").mkdir()
    for name in lost:
        (tmp_path / "data" / name).rename(tmp_path / "away" / Path(name).name)
    for _ in range(2):
        with pytest.raises(JobFailedError, match=r"The recovery store .* (is gone|has 7 of its 8 files)"):
            finish(tmp_path / "data", tmp_path / "events.jsonl")
    shutil.rmtree(tmp_path / "away")
    (tmp_path / "away").mkdir()
    named = re.findall(r"(\w+/|\w+\.json)(?=[, ])", RECOVERY_ADVICE)
    assert "state/" in named
    for name in named:
        if (tmp_path / "data" / name).exists():
            (tmp_path / "data" / name).rename(tmp_path / "away" / name)
    assert differences(before, finish(tmp_path / "data", tmp_path / "events.jsonl")) == ""


def used(tmp_path: Path) -> tuple[Settings, DataDir]:
    """A data directory in which a job has read the event log."""
    settings = load_settings(event_log=tmp_path / "log", data_dir=tmp_path / "data")
    data_dir = DataDir.create(settings.data_dir)
    RecoveryFiles(data_dir.state, 2).close()
    data_dir.bind_input("the event log")
    EventLog(tmp_path / "log", partitions=1, retention=None).close()
    return settings, data_dir


def refused(settings: Settings, data_dir: DataDir) -> list[str]:
    """What the job, its lag, the doctor and a backup say."""
    said = []
    with pytest.raises(DataDirError) as error:
        recovery_config(data_dir, 2)
    said.append(str(error.value))
    with pytest.raises(DataDirError) as error:
        measure_lag(settings)
    said.append(str(error.value))
    (found,) = local_checks.check_recovery_store(settings)
    assert found.status == "fail"
    said.append(f"{found.says}. {found.advice}")
    with pytest.raises(DataDirError) as error:
        back_up(settings, data_dir.path.with_name("backup.tar"), Watch())
    said.append(str(error.value))
    return said


def test_everybody_says_that_the_store_is_gone(tmp_path: Path) -> None:
    settings, data_dir = used(tmp_path)
    assert measure_lag(settings).backlogs
    shutil.rmtree(data_dir.state)
    assert all("is gone" in each and RECOVERY_ADVICE in each for each in refused(settings, data_dir))
    assert not data_dir.state.exists()


def test_everybody_says_that_a_file_of_the_store_is_gone(tmp_path: Path) -> None:
    settings, data_dir = used(tmp_path)
    (data_dir.state / "part-1.sqlite3").unlink()
    assert all("has 1 of its 2 files" in each and RECOVERY_ADVICE in each for each in refused(settings, data_dir))


def test_a_directory_in_which_no_job_has_read_anything_begins_and_so_does_a_process_that_keeps_nothing(tmp_path: Path) -> None:
    data_dir = DataDir.create(tmp_path / "new")
    data_dir.write_run({"clock": 1})
    recovery_config(data_dir, 1)
    other = DataDir.create(tmp_path / "other")
    other.bind_input("the topic events")
    recovery_config(other, 1, keeps=False)
    assert local_checks.check_recovery_store(load_settings(data_dir=tmp_path / "none"))[0].status == "ok"
