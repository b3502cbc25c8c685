"""The process that removes old snapshots: it works beside a job, says what is wrong, comes back, and ends with the job."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, run_main

from flows.recovery import BACKUP_INTERVAL, recovery_config
from local import old_snapshots_process
from local.data_dir import DataDir
from local.old_snapshots_process import OldSnapshotsProcess
from local.recovery_store import remove_undurable_snapshots
from tests.local.counting_step import Counting
from tests.support.recovery_files import RecoveryFiles
from tests.support.waiting import running, wait_until

AT_ONCE = 0.01
ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RecoveryFiles]:
    with closing(RecoveryFiles(tmp_path / "state")) as made:
        yield made


def waits(caplog: pytest.LogCaptureFixture) -> list[float]:
    """The seconds after which each warning announces the next try."""
    return [float(message.split()[-2]) for message in caplog.messages]


def pid_of(process: OldSnapshotsProcess) -> int:
    wait_until(lambda: process._process is not None, "the process was started")
    assert process._process is not None
    return process._process.pid


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_removes_what_the_job_replaces_until_the_block_ends(store: RecoveryFiles) -> None:
    store.write(1, ["a", "b"])
    with OldSnapshotsProcess(store.directory, AT_ONCE) as process:
        for epoch in (2, 3):
            store.write(epoch, ["a", "b"])
            store.close_epoch(epoch + 1)
            wait_until(lambda: process.removed == 2 * (epoch - 1), f"the snapshots before epoch {epoch} were removed")  # noqa: B023
        pid = pid_of(process)
        assert is_running(pid)
        assert os.getpgid(pid) == pid, "Ctrl-C in a terminal reaches only the job"
    assert not is_running(pid)
    assert process._process is not None
    assert process._process.returncode == 0, "it ended by itself"
    assert store.epochs() == {"a": [3], "b": [3]}


def test_it_is_started_again_after_it_was_killed(
    store: RecoveryFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(old_snapshots_process, "_AGAIN_SECONDS", 0.01)
    with caplog.at_level(logging.WARNING), OldSnapshotsProcess(store.directory, AT_ONCE) as process:
        first = pid_of(process)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: pid_of(process) != first, "another process was started")
        store.write(1, ["a"])
        store.write(2, ["a"])
        store.close_epoch(3)
        wait_until(lambda: process.removed == 1, "the new process removed the old snapshot")
    (said,) = caplog.messages
    assert said == (
        "The process that removes old snapshots ended with code -9 (it said nothing), so old snapshots stay and the store grows. Next "
        "try in 0.01 seconds."
    )


def test_it_says_what_is_wrong_with_the_store(
    store: RecoveryFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(old_snapshots_process, "_AGAIN_SECONDS", 600.0)
    (store.directory / "part-1.sqlite3").rename(store.directory / "elsewhere.sqlite3")
    with caplog.at_level(logging.WARNING), OldSnapshotsProcess(store.directory, AT_ONCE):
        wait_until(lambda: bool(caplog.messages), "a warning was logged")
    assert f"({store.directory} does not have all files of the recovery store), so old snapshots stay" in caplog.text


def test_it_says_that_a_file_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(old_snapshots_process, "_AGAIN_SECONDS", 600.0)
    (tmp_path / "part-0.sqlite3").write_bytes(b"not a database" * 1000)
    with caplog.at_level(logging.WARNING), OldSnapshotsProcess(tmp_path, AT_ONCE):
        wait_until(lambda: bool(caplog.messages), "a warning was logged")
    assert f"{tmp_path} cannot be written: file is not a database" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_process_that_does_not_end_is_killed(store: RecoveryFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(old_snapshots_process, "_END_SECONDS", 0.2)
    with OldSnapshotsProcess(store.directory, AT_ONCE) as process:
        pid = pid_of(process)
        os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: not is_running(pid), "the stopped process was killed")


def test_a_process_that_is_not_wanted_is_not_started(store: RecoveryFiles) -> None:
    with OldSnapshotsProcess(store.directory, AT_ONCE, idle=True) as process:
        assert not process._thread.is_alive()
    assert process._process is None


def test_a_signal_to_all_processes_of_a_service_ends_only_the_job(store: RecoveryFiles, caplog: pytest.LogCaptureFixture) -> None:
    store.write(1, ["a"])
    store.write(2, ["a"])
    with caplog.at_level(logging.WARNING), OldSnapshotsProcess(store.directory, AT_ONCE) as process:
        store.close_epoch(3)
        wait_until(lambda: process.removed == 1, "the process works")
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(pid_of(process), each)
        store.write(3, ["a"])
        store.close_epoch(4)
        wait_until(lambda: process.removed == 2, "the process works still")
    assert not caplog.messages


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("import sys; sys.stdout.buffer.write(b'caf\\xe9\\n')", "ended with code 0 (caf\N{REPLACEMENT CHARACTER})"),
        ("print('[]')", "ended with code 0 ([])"),
        ("raise MemoryError", "ended with code 1 (MemoryError)"),
    ],
)
def test_whatever_the_process_says_it_is_started_again(
    store: RecoveryFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, program: str, why: str
) -> None:
    monkeypatch.setattr(old_snapshots_process, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(old_snapshots_process, "_PROGRAM", program)
    with caplog.at_level(logging.WARNING), OldSnapshotsProcess(store.directory, AT_ONCE):
        wait_until(lambda: len(caplog.messages) >= 3, "three tries")
    assert all(why in message for message in caplog.messages)
    assert waits(caplog)[:3] == [0.01, 0.02, 0.04]


def test_it_waits_longer_after_each_failure_but_not_for_ever(
    store: RecoveryFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(old_snapshots_process, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(old_snapshots_process, "_MOST_AGAIN_SECONDS", 0.02)
    monkeypatch.setattr(old_snapshots_process, "_PROGRAM", "")
    with caplog.at_level(logging.WARNING), OldSnapshotsProcess(store.directory, AT_ONCE):
        wait_until(lambda: len(caplog.messages) >= 4, "four tries")
    assert waits(caplog)[:4] == [0.01, 0.02, 0.02, 0.02]


def test_a_process_that_worked_is_soon_started_again(
    store: RecoveryFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(old_snapshots_process, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(old_snapshots_process, "_PROGRAM", "print('{\"removed\": 3}')")
    with caplog.at_level(logging.WARNING), OldSnapshotsProcess(store.directory, AT_ONCE) as process:
        wait_until(lambda: len(caplog.messages) >= 3, "three tries")
    assert waits(caplog)[:3] == [0.01, 0.01, 0.01]
    assert process.removed >= 9


def test_nothing_ends_the_thread_that_starts_it(
    store: RecoveryFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(old_snapshots_process, "_AGAIN_SECONDS", 0.01)
    with monkeypatch.context() as patched:
        patched.setattr("local.old_snapshots_process.subprocess.Popen", refuse)
        with caplog.at_level(logging.WARNING), OldSnapshotsProcess(store.directory, AT_ONCE):
            wait_until(lambda: len(caplog.messages) >= 2, "two tries")
    assert "failed (RuntimeError: can't start new thread), so old snapshots stay" in caplog.text


def test_a_system_that_starts_no_process_is_asked_again(
    store: RecoveryFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(old_snapshots_process, "_AGAIN_SECONDS", 0.01)
    process = OldSnapshotsProcess(store.directory, AT_ONCE)
    process._command[0] = "/no/such/python"
    with caplog.at_level(logging.WARNING), process:
        wait_until(lambda: len(caplog.messages) >= 2, "two tries")
    assert "cannot be started (No such file or directory), so old snapshots stay" in caplog.text


def test_it_ends_with_a_job_that_is_killed(store: RecoveryFiles, tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from local.old_snapshots_process import OldSnapshotsProcess
        from tests.support.waiting import wait_until
        with OldSnapshotsProcess(Path(sys.argv[1])) as process:
            wait_until(lambda: process._process is not None, "the process was started")
            Path(sys.argv[2]).write_text(f"{process._process.pid}.")
            time.sleep(600)
    """)
    note = tmp_path / "pid"
    with running(subprocess.Popen([sys.executable, "-c", program, str(store.directory), str(note)], cwd=ROOT)) as job:
        wait_until(lambda: note.exists() and note.read_text().endswith("."), "the process was started", process=job)
        pid = int(note.read_text()[:-1])
        assert is_running(pid)
        job.kill()
        job.wait(30)
    wait_until(lambda: not is_running(pid), "the process ended with the job")


def test_an_engine_that_runs_beside_it_resumes_exactly(tmp_path: Path) -> None:
    """A job crashes again and again while old snapshots are removed; the counts are those of a run without a crash."""
    init_db_dir(tmp_path, 3)  # type: ignore[no-untyped-call]
    items: list[Any] = [(f"key-{number % 7}", number) for number in range(400)]
    out: list[tuple[str, int]] = []
    removed = 0
    for place in range(50, 450, 50):
        crashing = [*items[:place], TestingSource.ABORT(), *items[place:]] if place < len(items) else items
        remove_undurable_snapshots(tmp_path)
        flow = Dataflow("crashing")
        counted = op.stateful_batch("count", op.input("in", flow, TestingSource(crashing)), Counting)
        op.output("out", counted, TestingSink(out))
        config = RecoveryConfig(str(tmp_path), BACKUP_INTERVAL)  # type: ignore[no-untyped-call]
        with OldSnapshotsProcess(tmp_path, AT_ONCE) as process:
            run_main(flow, epoch_interval=timedelta(0), recovery_config=config)  # type: ignore[no-untyped-call]
            wait_until(lambda: process.removed > 0, "old snapshots were removed")
        removed += process.removed
    assert {key: max(count for name, count in out if name == key) for key, _ in items} == {
        key: sum(name == key for name, _ in items) for key, _ in items
    }
    assert removed >= 390 - 7


def test_the_engine_keeps_old_snapshots_in_the_store_of_a_job(tmp_path: Path) -> None:
    data_dir = DataDir.create(tmp_path)
    config = recovery_config(data_dir, 1)
    items = [("key", number) for number in range(20)]
    flow = Dataflow("keeping")
    op.output("out", op.stateful_batch("count", op.input("in", flow, TestingSource(items)), Counting), TestingSink([]))
    run_main(flow, epoch_interval=timedelta(0), recovery_config=config)  # type: ignore[no-untyped-call]
    with closing(sqlite3.connect(data_dir.state / "part-0.sqlite3")) as part:
        (kept,) = part.execute("SELECT count(*) FROM snaps WHERE state_key = 'key'").fetchone()
    assert kept >= len(items)
