"""Backups of a running job: restored elsewhere, it goes on and leaves what a run without a fault leaves."""

from __future__ import annotations

import os
import shutil
import signal
import tarfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cli.app import invoke
from cli.restore import _settings
from flows.backup import Watch, _add_files, _not_included, add_dead_letters, add_event_log, add_spool, back_up, restore
from flows.bound_input import input_fault, note_log, own_log
from flows.doctor.local_checks import check_secret
from flows.settings import load_settings
from flows.stop import sigterm_interrupts
from local.backup_file import BackupError, Manifest, writing
from local.data_dir import DataDir
from local.secret import secret_for
from sinks.clickhouse.spool import Spool
from sources.local_log.log import EventLog, Record
from state.catalog.by_tenant import ByTenant
from system.file_lock import FileLock
from tests.support.job_driver import Plan
from tests.support.job_runs import finish, spawn
from tests.support.job_state import differences
from tests.support.populations import write_population
from tests.support.recovery_files import RecoveryFiles
from tests.support.waiting import PATIENCE, pause, running, stop, wait_until

UNDER_LOAD: dict[str, Any] = {"epoch_seconds": 0.1, "recovery_partitions": 8}


@dataclass(frozen=True)
class Size:
    users: int
    days: int
    backups: int
    batch_size: int
    """Of the job that is backed up: so small that it does not end before the last backup."""


SMALL, LARGE = Size(50, 5, 1, batch_size=20), Size(1000, 10, 4, batch_size=2)


@pytest.mark.parametrize("size", [pytest.param(SMALL, id="small"), pytest.param(LARGE, id="large", marks=pytest.mark.slow)])
def test_a_job_restored_from_any_backup_ends_as_if_nothing_had_happened(tmp_path: Path, size: Size) -> None:
    source, rng = tmp_path / "events.jsonl", Random(size.users)
    write_population(source, size.users, size.days, seed=5)
    expected = finish(tmp_path / "whole", source)
    manifests = back_up_under_load(tmp_path / "data", source, tmp_path, size, rng)
    assert len({manifest["epoch"] for manifest in manifests}) == size.backups, "the job went on between the backups"
    for number in range(size.backups):
        directory = tmp_path / f"elsewhere-{number}" / "data"
        restore(tmp_path / f"{number}.tar.gz", directory, Watch())
        found = finish(directory, source)
        assert not differences(expected, found), f"backup {number} of epoch {manifests[number]['epoch']}"


def back_up_under_load(data_dir: Path, source: Path, into: Path, size: Size, rng: Random) -> list[Manifest]:
    """Run the job, back it up at random moments, and kill it."""
    load = {**UNDER_LOAD, "batch_size": size.batch_size}
    settings = load_settings(data_dir=data_dir, **load)
    manifests: list[Manifest] = []
    with running(spawn(Plan({"data_dir": str(data_dir), **load}, str(source)))) as process:
        wait_until(lambda: list(data_dir.glob("clickhouse/metadata/onramp.sql")), "a job with its tables", process=process)
        for number in range(size.backups):
            pause(rng.uniform(0, 0.5), "the backup comes at a random moment")
            manifests.append(back_up(settings, into / f"{number}.tar.gz", Watch()))
            assert process.poll() is None, "the job ended before the backup"
        stop(process)
        assert process.wait(PATIENCE) == -9
    return manifests


class StoreAt:
    """A recovery store at an epoch, of which only the sinks' positions matter."""

    def __init__(self, last: str, letters: int | None = None) -> None:
        self._last, self._letters = last, letters

    def last_segments(self) -> dict[str, str]:
        return {"0": self._last}

    def dead_letter_bytes(self) -> int | None:
        return self._letters


def names_in(backup: Path) -> list[str]:
    with tarfile.open(backup) as archive:
        return sorted(name for name in archive.getnames() if name not in {"onramp-backup.json", "manifest.json"})


def test_of_the_spool_a_backup_takes_what_is_durable_at_its_epoch_and_nothing_that_comes_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for name in (
        "0.older.000000000009.ready",  # of an earlier run: durable when the pause began
        "0.now.000000000001.ready",
        "0.now.000000000002.pending",  # durable, and nothing has told the sink yet
        "0.now.000000000003.pending",  # the epoch is not durable: it runs again
        "0.now.000000000004.tmp",
        "rejected/0.older.000000000003.ready",
        "rejected/0.older.000000000003.error.txt",
    ):
        (tmp_path / name).write_bytes(b"rows")
    ready = spool.segments("ready")
    (tmp_path / "0.now.000000000005.ready").write_bytes(b"of an epoch that became durable after the store was held")
    (tmp_path / "0.later.000000000001.ready").write_bytes(b"of a run that began after it")
    with writing(tmp_path / "b.tar", {}, 0, lambda _size: None) as backup:
        added = add_spool(spool, ready, StoreAt("now.2"), backup)  # type: ignore[arg-type]
        backup.finish({})
    assert names_in(tmp_path / "b.tar") == [
        "spool/0.now.000000000001.ready",
        "spool/0.now.000000000002.ready",
        "spool/0.older.000000000009.ready",
        "spool/rejected/0.older.000000000003.error.txt",
        "spool/rejected/0.older.000000000003.ready",
    ]
    assert added == 3


def test_a_rejected_file_that_is_gone_again_when_the_backup_comes_to_it_does_not_end_the_backup(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    (spool.rejected / "0.now.000000000001.ready").symlink_to("moved back meanwhile")
    (spool.rejected / "0.now.000000000002.ready").write_bytes(b"rows")
    with writing(tmp_path / "b.tar", {}, 0, lambda _size: None) as backup:
        add_spool(spool, [], StoreAt(""), backup)  # type: ignore[arg-type]
        backup.finish({})
    assert names_in(tmp_path / "b.tar") == ["spool/rejected/0.now.000000000002.ready"]


def test_a_sink_that_has_written_nothing_yet_adds_nothing_that_is_not_durable(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    (tmp_path / "0.now.000000000001.pending").write_bytes(b"rows")
    with writing(tmp_path / "b.tar", {}, 0, lambda _size: None) as backup:
        assert add_spool(spool, [], StoreAt(""), backup) == 0  # type: ignore[arg-type]
        backup.finish({})
    assert names_in(tmp_path / "b.tar") == []


@pytest.mark.parametrize(("position", "taken"), [(8, b"one\ntwo\n"), (4, b"one\n"), (100, b"one\ntwo\nthree"), (0, b"")])
def test_dead_letters_end_where_the_epoch_ends(tmp_path: Path, position: int, taken: bytes) -> None:
    data_dir = DataDir.create(tmp_path / "data")
    data_dir.dead_letters.write_bytes(b"one\ntwo\nthree")
    with writing(tmp_path / "b.tar", {}, 0, lambda _size: None) as backup:
        assert add_dead_letters(data_dir, StoreAt("", position), backup) == len(taken)  # type: ignore[arg-type]
        backup.finish({})
    with tarfile.open(tmp_path / "b.tar") as archive:
        file = archive.extractfile("dead_letters.jsonl")
        assert file is not None
        assert file.read() == taken


def test_what_a_backup_does_not_have_is_named(tmp_path: Path) -> None:
    settings = load_settings(
        data_dir=tmp_path, kafka_brokers="b:9092", kafka_topic="acts", redis_url="redis://r", clickhouse_url="http://c", secret="s" * 32
    )
    named = [sentence.partition(":")[0] for sentence in _not_included(settings)]
    assert named == ["The topic acts", "The Redis server", "The ClickHouse server", "ONRAMP_SECRET"]
    (tmp_path / "archive").mkdir()
    assert _not_included(load_settings(data_dir=tmp_path)) == [
        f"The archive {tmp_path / 'archive'}: copy the directory while `onramp archive` does not run."
    ]


def test_only_one_backup_of_a_directory_is_made_at_a_time_and_a_failed_one_leaves_nothing(tmp_path: Path) -> None:
    data_dir = DataDir.create(tmp_path / "data")
    append(data_dir.event_log)
    settings = load_settings(data_dir=data_dir.path)
    lock = FileLock(data_dir.path / "backup.lock")
    assert lock.acquire("", 0)
    with pytest.raises(BackupError, match=r"Another backup of .* is being made"):
        back_up(settings, tmp_path / "b.tar", Watch())
    lock.release()
    (data_dir.event_log / "events.db").write_bytes(b"no database" * 1000)
    with pytest.raises(BackupError, match="cannot be copied"):
        back_up(settings, tmp_path / "b.tar", Watch())
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert lock.acquire("", 0), "the lock is free again"
    lock.release()


def append(log: Path) -> None:
    with EventLog(log, partitions=1, retention=None) as writer:
        writer.append([Record(b"u", b"{}")])


@pytest.mark.parametrize("generated", [False, True])
def test_a_backup_is_signed_with_the_secret_that_is_not_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, generated: bool
) -> None:
    data_dir = DataDir.create(tmp_path / "data")
    append(data_dir.event_log)
    secret = "the secret of the job"
    if generated:
        data_dir.secret_key.write_text(secret)
    manifest = back_up(load_settings(data_dir=data_dir.path, secret=secret), tmp_path / "b.tar", Watch())
    assert ("signature" in manifest) == (not generated)
    monkeypatch.setenv("ONRAMP_SECRET", secret)
    assert invoke(["restore", str(tmp_path / "b.tar"), "--into", str(tmp_path / "there")]) == int(generated)
    monkeypatch.setenv("ONRAMP_SECRET", "another secret of a job")
    assert invoke(["restore", str(tmp_path / "b.tar"), "--into", str(tmp_path / "other")]) == 1
    assert "is not signed" in capsys.readouterr().err
    assert invoke(["restore", str(tmp_path / "b.tar"), "--into", str(tmp_path / "other"), "--unsigned"]) == 0
    assert "Whether somebody changed the backup: --unsigned." in capsys.readouterr().out


@pytest.mark.parametrize("given", [None, "another secret of a job"])
@pytest.mark.parametrize("redis_url", [None, "redis://127.0.0.1:1"])
def test_without_the_secret_of_the_job_there_is_no_backup_and_the_doctor_says_so(
    tmp_path: Path, given: str | None, redis_url: str | None
) -> None:
    data_dir = DataDir.create(tmp_path / "data")
    append(data_dir.event_log)
    secret_for(data_dir, given="the secret of the job", embedded=False)
    settings = load_settings(data_dir=data_dir.path, secret=given, redis_url=redis_url)
    with pytest.raises(BackupError, match=r"so the backup could not be signed with it\. Set ONRAMP_SECRET"):
        back_up(settings, tmp_path / "b.tar", Watch())
    assert not (tmp_path / "b.tar").exists()
    assert [each.status for each in check_secret(settings)] == ["fail"]


def test_a_job_that_is_ahead_of_the_log_is_not_backed_up(tmp_path: Path) -> None:
    append(tmp_path / "log")
    (tmp_path / "staging").mkdir()
    with writing(tmp_path / "b.tar", {}, 0, lambda _size: None) as backup:
        assert add_event_log(tmp_path / "log", tmp_path / "staging", backup, {"event-log:0": 1}) == 1
        (tmp_path / "again").mkdir()
        with pytest.raises(BackupError, match="older than the position of the job"):
            add_event_log(tmp_path / "log", tmp_path / "again", backup, {"event-log:0": 2})
        backup.finish({})
    assert names_in(tmp_path / "b.tar") == ["log/events.db"]


def test_sigterm_and_what_a_killed_backup_left_do_not_stay_in_the_way(tmp_path: Path) -> None:
    data_dir = DataDir.create(tmp_path / "data")
    append(data_dir.event_log)
    settings, left = load_settings(data_dir=data_dir.path), tmp_path / ".b.tar.x.staging"
    left.mkdir()
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), sigterm_interrupts():
        back_up(settings, tmp_path / "b.tar", Watch(on_stage=lambda _name: os.kill(os.getpid(), signal.SIGTERM)))
    assert signal.getsignal(signal.SIGTERM) is before
    assert {path.name for path in tmp_path.iterdir()} == {"data", left.name}
    back_up(settings, tmp_path / "b.tar", Watch())
    assert (tmp_path / "b.tar").exists()


def test_a_directory_of_catalogs_is_in_the_backup_and_named_when_it_is_restored(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for name in ("a.yaml", "b.yml", "notes.txt"):
        (tmp_path / "mine" / name).write_text(name)
    data_dir = DataDir.create(tmp_path / "data")
    data_dir.state.mkdir()
    manifest: Manifest = {"onramp": "1", "takenAt": "2026-01-05T00:00:00Z", "epoch": None, "keys": {}, "rows": {}, "notIncluded": []}
    with writing(tmp_path / "backup", manifest, 0, lambda _size: None) as backup:
        _add_files(load_settings(data_dir=data_dir.path, catalog=str(tmp_path / "mine")), data_dir, backup)
        backup.finish(manifest)
    restored = restore(tmp_path / "backup", tmp_path / "restored", Watch())
    assert sorted(path.name for path in (tmp_path / "restored" / "catalogs").iterdir()) == ["a.yaml", "b.yml"]
    assert f"ONRAMP_CATALOG={tmp_path / 'restored' / 'catalogs'}   (as it was; or a newer one)" in _settings(
        tmp_path / "restored", restored
    )


def test_a_backup_without_the_event_log_of_the_job_is_refused(tmp_path: Path) -> None:
    data_dir = DataDir.create(tmp_path / "data")
    RecoveryFiles(data_dir.state, 2).close()
    data_dir.bind_input("the event log")
    with pytest.raises(BackupError, match=r"ONRAMP_EVENT_LOG is not set here, so the backup would not fit the job\. Set ONRAMP_EVENT_LOG"):
        back_up(load_settings(data_dir=data_dir.path), tmp_path / "b.tar", Watch())
    append(tmp_path / "log")
    manifest = back_up(load_settings(data_dir=data_dir.path, event_log=tmp_path / "log"), tmp_path / "b.tar", Watch())
    assert manifest["messages"] == 1
    append(data_dir.event_log)
    assert back_up(load_settings(data_dir=data_dir.path), tmp_path / "inside.tar", Watch())["messages"] == 1


def test_a_restored_directory_goes_on_with_its_own_log_though_the_old_one_is_left(tmp_path: Path) -> None:
    data_dir = DataDir.create(tmp_path / "data")
    RecoveryFiles(data_dir.state, 2).close()
    data_dir.bind_input("the event log")
    append(tmp_path / "log")
    note_log(data_dir, tmp_path / "log", accept_gap=False)
    back_up(load_settings(data_dir=data_dir.path, event_log=tmp_path / "log"), tmp_path / "b.tar", Watch())
    restore(tmp_path / "b.tar", tmp_path / "restored", Watch())
    for log in (tmp_path / "restored" / "log", tmp_path / "log"):
        assert input_fault(load_settings(data_dir=tmp_path / "restored", event_log=log)) is None
    assert own_log(DataDir(tmp_path / "restored")) is not None


def test_a_backup_of_a_job_on_kafka_names_what_is_not_in_it_without_its_settings_and_refuses_another_topic(tmp_path: Path) -> None:
    data_dir = DataDir.create(tmp_path / "data")
    RecoveryFiles(data_dir.state, 2).close()
    data_dir.bind_input("the topic acts")
    topic, servers = back_up(load_settings(data_dir=data_dir.path), tmp_path / "b.tar", Watch())["notIncluded"]
    assert topic == "The topic acts: it must keep the messages from the positions on."
    assert "ONRAMP_KAFKA_BROKERS and other settings of the job are not set here" in servers
    with pytest.raises(BackupError, match="reads the topic acts, and the settings here name the topic onboarding"):
        back_up(load_settings(data_dir=data_dir.path, kafka_brokers="b:9092"), tmp_path / "c.tar", Watch())


def test_the_catalog_that_the_job_has_read_is_in_the_backup_without_its_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data_dir = DataDir.create(tmp_path / "data")
    append(data_dir.event_log)
    shutil.copy("catalog/saas.yaml", tmp_path / "mine.yaml")
    data_dir.bind_catalogs(ByTenant("saas"), name=str(tmp_path / "mine.yaml"))
    RecoveryFiles(data_dir.state, 2).close()
    assert invoke(["backup", "--out", str(tmp_path / "b.tar"), "--data-dir", str(data_dir.path)]) == 0, capsys.readouterr().err
    assert "catalog.yaml" in names_in(tmp_path / "b.tar")
