"""``onramp backup`` of a job on a local event log that is written meanwhile; restored elsewhere, it is compared with an untouched run."""

from __future__ import annotations

import json
import random
import shutil
import signal
import stat
import time
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from flows.clickhouse_store import open_store
from flows.settings import load_settings
from local.audit_log import AuditLog
from local.clickhouse import EmbeddedClickHouse
from local.data_dir import DataDir
from local.recovery_copy import open_to_read
from local.recovery_positions import plain_value, saved_positions
from local.redis_access import redis_for_reader
from sources.local_log.log import EventLog, Record
from sources.local_log.source import NAME
from state.duration import HOUR
from tests.cli.command import onramp, start
from tests.support.job_state import State, deliver_rest, differences, read_state, rows
from tests.support.populations import population
from tests.support.waiting import PATIENCE, pause, running, wait_until

SECRET = "a secret for the end-to-end tests"
LONG = 600.0  # seconds; a busy machine runs many jobs


def append(directory: Path, lines: Iterable[bytes]) -> None:
    """Append each line at the time of its event. One partition, so that the order is the same in every run."""
    stamp = 0
    with EventLog(directory, partitions=1, retention=None, now=lambda: stamp) as log:
        for line in lines:
            try:
                event: dict[str, Any] = json.loads(line)
                stamp = max(stamp, round(datetime.fromisoformat(event["timestamp"]).timestamp() * 1000))
            except (ValueError, KeyError, TypeError):
                pass
            log.append([Record(b"one partition", line)])


def environment(log: Path, data: Path, **more: str) -> dict[str, str]:
    settings = {"ONRAMP_EVENT_LOG": str(log), "ONRAMP_DATA_DIR": str(data), "ONRAMP_CATALOG": "saas", "ONRAMP_SECRET": SECRET}
    return {**settings, "ONRAMP_RECOVERY_PARTITIONS": "4", "TZ": "UTC", **more}


def run_to_the_end(log: Path, data: Path, cwd: Path) -> State:
    """Run the job until it has read everything and every timer until now has run out; stop it, and return what it left."""
    began = time.time_ns() // 1_000_000

    def ended() -> bool:
        return last_tick(data / "state") > began - HOUR

    with running(start("run", "--json", cwd=cwd, **environment(log, data, ONRAMP_EPOCH_SECONDS="0.5"))) as job:
        wait_until(ended, "log time of now", within=LONG, every=0.2, process=job)
        job.send_signal(signal.SIGTERM)
        said, complained = job.communicate(timeout=PATIENCE)
    assert job.returncode == 0, complained
    return left_in(data, json.loads(said))


def last_tick(state: Path) -> int:
    """Log time up to which timers have run out, as of the newest snapshot: at the end of the log it follows long after the position."""
    found = 0
    for file in state.glob("part-*.sqlite3"):
        with closing(open_to_read(file)) as part:
            rows = part.execute("SELECT ser_change FROM snaps WHERE step_id = 'onboarding.messages' ORDER BY snap_epoch DESC LIMIT 1")
            found = max([found, *(plain_value(change)[4] for (change,) in rows)])
    return found


def left_in(data: Path, summary: dict[str, Any]) -> State:
    data_dir = DataDir.open(data)
    store = open_store(load_settings(data_dir=data), EmbeddedClickHouse(data_dir.clickhouse))
    try:
        deliver_rest(data_dir.spool, store)
        with redis_for_reader(None, data_dir) as url:
            return read_state(store, url, data_dir.dead_letters, summary)
    finally:
        store.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_job_on_a_log_is_restored_elsewhere_with_either_log(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    lines = list(population(60, 8, seed=seed))
    cut = len(lines) * 2 // 3
    append(tmp_path / "whole" / "log", lines)
    expected = run_to_the_end(tmp_path / "whole" / "log", tmp_path / "whole" / "data", tmp_path)
    assert rows(expected, "outcomes")

    log, data, backup = tmp_path / "log", tmp_path / "data", tmp_path / "b.tar.gz"
    append(log, lines[:cut])
    slowly = environment(log, data, ONRAMP_EPOCH_SECONDS="0.2", ONRAMP_BATCH_SIZE="1")
    with running(start("run", cwd=tmp_path, **slowly)) as job:
        wait_until(lambda: saved_positions(data / "state", NAME), "the first epoch", within=LONG, process=job)
        pause(rng.uniform(0, 0.5), "the backup comes at a random moment")
        made = onramp("backup", "--out", backup, "--by", "ops", "--json", cwd=tmp_path, **slowly)
        assert made.code == 0, made.err
        append(log, lines[cut:])
        job.kill()
        job.wait(PATIENCE)
    assert 0 < made.json["positions"][f"{NAME}:0"] < cut, "the job was in the middle"
    assert made.json["running"]
    assert made.json["messages"] in range(cut, len(lines) + 1)
    shutil.move(data, tmp_path / "lost")

    for name, own_log in (("log-of-now", False), ("log-of-the-backup", True)):
        there = tmp_path / name / "data"
        restored = onramp("restore", backup, "--into", there, "--by", "ops", "--json", cwd=tmp_path, ONRAMP_SECRET=SECRET)
        assert restored.code == 0, restored.err
        if own_log:
            append(there / "log", lines[made.json["messages"] :])
        found = run_to_the_end(there / "log" if own_log else log, there, tmp_path)
        assert not differences(expected, found), name
        actions = [(entry["action"], entry["outcome"]) for entry in AuditLog(there / "audit.jsonl", lambda: 0).entries()]
        assert actions == [("backup", "begun"), ("restore", "done")]
        assert not AuditLog(there / "audit.jsonl", lambda: 0).faults()


@pytest.mark.slow
def test_what_cannot_be_backed_up_or_restored_is_said_in_a_sentence(tmp_path: Path) -> None:
    data = tmp_path / "data"
    none = onramp("backup", "--data-dir", data, cwd=tmp_path)
    assert (none.code, none.err) == (
        1,
        f"onramp: There is no data in {data} yet; run `onramp demo` or `onramp run` first, or name it with --data-dir.\n",
    )
    DataDir.create(data)
    empty = onramp("backup", "--data-dir", data, "--out", "b.tar", cwd=tmp_path)
    assert (empty.code, empty.err) == (1, f"onramp: There is nothing to back up in {data} yet: no job has run on it.\n")
    nowhere = onramp("backup", "--data-dir", data, "--out", "no/where/b.tar", cwd=tmp_path)
    assert nowhere.code == 2
    assert "there is no directory 'no/where'" in nowhere.err
    append(data / "log", [b"{}"])
    alone = onramp("backup", "--data-dir", data, "--json", cwd=tmp_path)
    assert alone.code == 0, alone.err
    file = tmp_path / alone.json["file"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (alone.json["messages"], alone.json["epoch"], alone.json["notIncluded"]) == (1, None, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", file.name]
    used = onramp("restore", file, "--into", data, cwd=tmp_path)
    assert used.code == 1
    assert "is not empty" in used.err
    shown = onramp("restore", file, "--into", "new", cwd=tmp_path)
    assert shown.code == 0, shown.err
    assert "no job has run yet" in shown.out
    assert "ONRAMP_EVENT_LOG=new/log" in shown.out
    assert (tmp_path / "new" / "log" / "events.db").exists()
