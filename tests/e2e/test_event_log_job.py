"""``onramp run`` on the local event log, which this process writes meanwhile: killed in the middle, resumed, stopped, left behind."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from flows.run import GC_THRESHOLDS
from local.recovery_positions import saved_positions
from sources.local_log.log import EventLog, Record
from sources.local_log.retention import Retention
from sources.local_log.source import ACCEPT_GAP_SETTING, NAME
from sources.local_log.store import PARTITIONS
from state.records.dead_letter import DeadLetter, decode_line
from tests.cli.command import environment, start
from tests.support.bad_input import BAD
from tests.support.log_retention import apply
from tests.support.populations import simulated
from tests.support.waiting import PATIENCE, running, wait_until

SMALL_BAD = [raw for raw, reason in BAD.values() if len(raw) < 10_000]
_SOUND = re.compile(rb'"userId":"(p\d+)".*"timestamp":"([^"]+)"')
LATER = 2**50
LONG = 180.0  # seconds; the job reads days of events in a few of them on an idle machine


class Writer:
    """Appends lines under their users' keys, each with the time of its event; bad lines with that of the event before."""

    def __init__(self, directory: Path) -> None:
        self.log = EventLog(directory, retention=None, now=lambda: self._stamp)
        self.sent = 0
        self._stamp = 0

    def append(self, lines: Iterable[bytes]) -> None:
        key = b"nobody"
        for line in lines:
            if (sound := _SOUND.search(line)) is not None:
                key = sound[1]
                self._stamp = max(self._stamp, round(datetime.fromisoformat(sound[2].decode()).timestamp() * 1000))
            self.log.append([Record(key, line)])
            self.sent += 1

    def mark(self, number: int) -> None:
        """End every partition with a message that becomes a dead letter."""
        keys = {self.log.partition_of(b"%d" % n): b"%d" % n for n in range(100)}
        assert len(keys) == PARTITIONS
        self.log.append([Record(key, b"mark %d" % number) for key in keys.values()])
        self.sent += PARTITIONS


@contextmanager
def job(settings: dict[str, str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    with running(start("run", "--json", cwd=cwd, **settings)) as process:
        yield process


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    return {
        "ONRAMP_EVENT_LOG": str(tmp_path / "log"),
        "ONRAMP_CATALOG": "saas",
        "ONRAMP_SECRET": "a secret for the end-to-end tests",
        "ONRAMP_DATA_DIR": str(tmp_path / "data"),
        "ONRAMP_EPOCH_SECONDS": "0.5",
        "ONRAMP_RECOVERY_PARTITIONS": "2",
        "ONRAMP_BATCH_SIZE": "50",
        "TZ": "UTC",
    }


def test_the_number_of_workers_that_write_may_be_lowered_again(settings: dict[str, str], tmp_path: Path) -> None:
    writer, lines = Writer(tmp_path / "log"), list(simulated(24, 2, seed=8))
    third = len(lines) // 3

    def has_read() -> bool:
        saved = saved_positions(tmp_path / "data" / "state", NAME)
        return sum(position.offset for position in saved.values()) == writer.sent

    for life, number in enumerate(("1", "2", "1")):
        writer.append(lines[life * third : (life + 1) * third])
        with job(settings | {"ONRAMP_SINK_PARTITIONS": number}, tmp_path) as process:
            wait_until(has_read, f"all messages with {number}", within=LONG, process=process)
            process.send_signal(signal.SIGTERM)
            said, complained = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, complained
        assert json.loads(said)["eventsRead"] == writer.sent


def test_rows_of_a_deletion_do_not_wait_in_partitions_of_before(settings: dict[str, str], tmp_path: Path) -> None:
    writer, (first, *others) = Writer(tmp_path / "log"), list(simulated(6, 1, seed=8))
    later = datetime.fromisoformat(json.loads(others[-1])["timestamp"]) + timedelta(hours=1)
    deletion = {"eventId": "x", "eventType": "user_deleted", "timestamp": later.isoformat(), "payload": {}}
    deletion["userId"] = json.loads(first)["userId"]
    writer.append([first, *others])

    def stop(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGTERM)
        _, complained = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, complained

    def has_read() -> bool:
        saved = saved_positions(tmp_path / "data" / "state", NAME)
        return sum(position.offset for position in saved.values()) == writer.sent

    with job(settings | {"ONRAMP_SINK_PARTITIONS": "3"}, tmp_path) as before:
        wait_until(has_read, "all messages", within=LONG, process=before)
        stop(before)
    with job(settings, tmp_path) as process:
        writer.append([json.dumps(deletion).encode()])
        wait_until(has_read, "the deletion", within=LONG, process=process)
        spooled = (tmp_path / "data" / "spool").glob
        wait_until(lambda: not [*spooled("1.*"), *spooled("2.*")], "the delivery of the deletion", within=LONG, process=process)
        stop(process)


def test_a_life_on_the_event_log(settings: dict[str, str], tmp_path: Path) -> None:
    rng = random.Random(1)
    sound = list(simulated(24, 5, seed=8))
    lines = [each for line in sound for each in ([line, rng.choice(SMALL_BAD)] if rng.random() < 1 / 60 else [line])]
    half, most = len(lines) // 2, len(lines) * 9 // 10
    letters = tmp_path / "data" / "dead_letters.jsonl"

    def read_as_far_as(number: int) -> bool:
        return sum(letter.raw == b"mark %d" % number for letter in letters_of(letters)) == PARTITIONS

    def has_saved() -> bool:
        return any(position.offset for position in saved_positions(tmp_path / "data" / "state", NAME).values())

    writer = Writer(tmp_path / "log")
    writer.append(lines[:half])
    writer.mark(1)
    with job(settings, tmp_path) as first:
        wait_until(lambda: read_as_far_as(1), "the first half", within=LONG, process=first)
        wait_until(has_saved, "an epoch that is durable", within=LONG, process=first)
        writer.append(lines[half:most])
        writer.mark(2)
        first.send_signal(signal.SIGKILL)
        first.communicate(timeout=PATIENCE)
    with job(settings, tmp_path) as second:
        wait_until(lambda: read_as_far_as(2), "what came meanwhile", within=LONG, process=second)
        writer.append(lines[most:])
        writer.mark(3)
        wait_until(lambda: read_as_far_as(3), "the last tenth, live", within=LONG, process=second)
        wait_until(lambda: records_of(tmp_path / "data"), "recommendations", within=LONG, process=second)
        second.send_signal(signal.SIGTERM)
        said, complained = second.communicate(timeout=PATIENCE)
    assert second.returncode == 0, complained
    summary = json.loads(said)
    assert summary["eventsRead"] == writer.sent
    assert 0 < summary["thisRun"]["eventsRead"] < writer.sent
    assert summary["decisions"] > 0
    rejected = letters_of(letters)
    bad = len(lines) - len(sound) + 3 * PARTITIONS
    assert sum(summary["deadLetters"].values()) == len(rejected) == bad
    assert {letter.topic for letter in rejected} == {NAME}
    assert len({(letter.partition, letter.offset) for letter in rejected}) == bad

    writer.mark(4)
    apply(writer.log, Retention(max_age_ms=0), LATER)
    with job(settings, tmp_path) as behind:
        said, complained = behind.communicate(timeout=PATIENCE)
    assert (behind.returncode, said) == (1, "")
    sentence = complained.splitlines()[-1]
    assert sentence.startswith(f"onramp: The event log {tmp_path / 'log'} must be read from offset ")
    assert "messages were deleted before they were read" in sentence
    assert f"set {ACCEPT_GAP_SETTING}=true to continue at" in sentence
    writer.log.close()


def letters_of(path: Path) -> list[DeadLetter]:
    return [decode_line(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")] if path.exists() else []


def records_of(data_dir: Path) -> list[Any]:
    address = json.loads((data_dir / "valkey" / "address.json").read_bytes())
    redis = Redis.from_url(address["url"])
    return list(redis.scan_iter("onramp:*:rec"))


def test_a_damaged_log_ends_the_job_with_one_sentence(settings: dict[str, str], tmp_path: Path) -> None:
    with EventLog(tmp_path / "log") as log:
        log.append([Record(b"u", b"{}")])
    with (tmp_path / "log" / "events.db").open("r+b") as file:
        file.write(b"\xff" * 200)
    with job(settings, tmp_path) as process:
        said, complained = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (1, "")
    assert re.fullmatch(r"onramp: The event log \S+ is damaged \(file is not a database\); restore it .*", complained.splitlines()[-1])


def test_a_flow_of_the_cluster_runner_tunes_the_garbage_collector_as_onramp_run_does(settings: dict[str, str], tmp_path: Path) -> None:
    script = "import gc; from flows.main import flow; flow(); print(*gc.get_threshold(), gc.get_freeze_count() > 0)"
    runner = {"BYTEWAX_RECOVERY_DIRECTORY": str(tmp_path / "data" / "state")}
    with EventLog(tmp_path / "log"):
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, env=environment(**settings, **runner), capture_output=True, text=True,
            check=False, timeout=PATIENCE,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"{' '.join(map(str, GC_THRESHOLDS))} True\n"), done.stderr


@pytest.mark.slow
def test_two_workers_of_the_cluster_runner_read_it_too(settings: dict[str, str], tmp_path: Path) -> None:
    letters = tmp_path / "data" / "dead_letters.jsonl"
    runner = [
        sys.executable,
        "-m",
        "bytewax.run",
        "flows.main:flow()",
        "-w",
        "2",
        "-r",
        str(tmp_path / "data" / "state"),
        "-s",
        "1",
        "-b",
        "0",
    ]
    with EventLog(tmp_path / "log") as log:
        log.append([Record(b"%d" % n, b"not json %d" % n) for n in range(20)])
        environ = environment(**settings)
        with running(
            subprocess.Popen(runner, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        ) as process:
            wait_until(lambda: len(letters_of(letters)) == 20, "what was there", process=process)
            log.append([Record(b"%d" % n, b"not json %d" % n) for n in range(20, 40)])
            wait_until(lambda: len(letters_of(letters)) == 40, "what came live", process=process)
            process.send_signal(signal.SIGTERM)
            _, complained = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, complained
    assert "start it with -b 1000000000000." in complained
    found = {(letter.partition, letter.offset) for letter in letters_of(letters)}
    assert len(found) == 40
    assert {partition for partition, _ in found} == set(range(PARTITIONS))
