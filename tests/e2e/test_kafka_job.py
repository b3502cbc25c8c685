"""The job on a real broker, Valkey and ClickHouse, in a process of its own: killed in the middle, resumed, stopped in order."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from local.clickhouse import EmbeddedClickHouse
from local.recovery_positions import saved_positions
from sinks.clickhouse.client import ClickHouse
from tests.support.bad_input import BAD
from tests.support.clickhouse_http import clickhouse_server
from tests.support.job_runs import ROOT, finish
from tests.support.job_state import State, deliver_rest, read_records, read_state, rows
from tests.support.kafka_feed import PATIENCE, Feed
from tests.support.populations import simulated
from tests.support.tansu import Tansu, tansu_fixture
from tests.support.unchanged_records import UnchangedRecords
from tests.support.valkey import Valkey, run_valkey
from tests.support.waiting import running, wait_until

broker = tansu_fixture

PARTITIONS, GROUP = 6, "e2e"
PEOPLE = ("user_id", "path_id", "activated_at", "signup_at", "steps_completed", "last_active_at")
SMALL_BAD = [raw for raw, reason in BAD.values() if len(raw) < 10_000]


@pytest.fixture(scope="module")
def sound() -> list[bytes]:
    return list(simulated(110, 9, seed=8))


@pytest.fixture(scope="module")
def lines(sound: list[bytes]) -> list[bytes]:
    """About five thousand messages, one in sixty of them bad."""
    rng = random.Random(1)
    return [each for line in sound for each in ([line, rng.choice(SMALL_BAD)] if rng.random() < 1 / 60 else [line])]


@pytest.fixture(scope="module")
def from_file(sound: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> State:
    """What the job makes of the good messages when it reads them from a file."""
    directory = tmp_path_factory.mktemp("from-file")
    (directory / "sound.jsonl").write_bytes(b"\n".join(sound) + b"\n")
    return finish(directory / "data", directory / "sound.jsonl")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Valkey]:
    (tmp_path / "valkey").mkdir()
    with run_valkey(tmp_path / "valkey") as server:
        yield server


@contextmanager
def started(command: list[str], settings: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONRAMP_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    with running(
        subprocess.Popen(command, cwd=ROOT, env={**environment, **settings}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ) as process:
        yield process


class Interrupted(NamedTuple):
    """What the last process wrote, and the records in Redis when the first was dead."""

    said: str
    at_kill: dict[str, dict[str, Any]]


def interrupted_life(command: list[str], settings: dict[str, str], feed: Feed, lines: list[bytes]) -> Interrupted:
    """Half of the messages; SIGKILL while the next come in; resume; the last ones live; SIGTERM."""
    half, most = len(lines) // 2, len(lines) * 9 // 10
    feed.produce(lines[:half])
    with started(command, settings) as first:
        wait_until(lambda: sum(feed.committed(GROUP).values()) > 0, "the first commit", within=PATIENCE, process=first)
        feed.produce(lines[half:most])
        first.send_signal(signal.SIGKILL)
        first.communicate(timeout=PATIENCE)
    at_kill = read_records(settings["ONRAMP_REDIS_URL"])
    behind = feed.committed(GROUP)
    assert sum(behind.values()) < feed.sent, "killed too late to prove anything"
    with started(command, settings) as second:
        wait_until(lambda: feed.committed(GROUP) == feed.ends, "everything produced so far", within=PATIENCE, process=second)
        feed.produce(lines[most:])
        wait_until(lambda: feed.committed(GROUP) == feed.ends, "everything", within=PATIENCE, process=second)
        idle = "the timers of idle time, after which nothing changes any more"
        wait_until(UnchangedRecords(settings["ONRAMP_REDIS_URL"]), idle, within=PATIENCE, process=second)
        second.send_signal(signal.SIGTERM)
        said, complained = second.communicate(timeout=PATIENCE)
    assert second.returncode == 0, complained
    assert feed.committed(GROUP) == feed.ends
    return Interrupted(said, _by_user(at_kill))


def check(state: State, from_file: State, feed: Feed, lines: list[bytes], letters: list[Any], at_kill: Mapping[str, Any]) -> None:
    """Whatever way the job was run: nothing is lost, nothing doubled, and people stand where the file puts them."""
    events = rows(state, "events")
    assert {row["event_id"] for row in events} == {row["event_id"] for row in rows(from_file, "events")}
    assert len(events) == len(rows(from_file, "events"))
    metrics = [row["total"] for row in rows(state, "step_metrics_1m") if row["metric"] == "event"]
    assert sum(metrics) == len(events), "partials of metrics were lost or doubled"
    assert _people(state, PEOPLE) == _people(from_file, PEOPLE)

    bad = len(lines) - len(events) - _duplicates(from_file)
    stood = {
        tuple(dict(letter.headers())[f"onramp-{name}"].decode() for name in ("topic", "partition", "offset", "reason"))
        for letter in letters
    }
    told = {(row["topic"], str(row["source_partition"]), str(row["source_offset"]), row["reason"]) for row in rows(state, "dead_letters")}
    assert stood == told
    assert len(told) == bad
    assert {topic for topic, *_ in told} == {feed.topic}

    newest: dict[str, int] = {}
    for row in rows(state, "recommendations"):
        newest[row["user_id"]] = max(newest.get(row["user_id"], 0), row["version"])
    shown = _by_user(state["redis"])
    # The killed process wrote these after its last epoch; the next one read the partitions in another order, and did not decide them again.
    left = {user for user, record in shown.items() if record["version"] > newest.get(user, 0)}
    assert all(shown[user] == at_kill.get(user) for user in left)
    assert len(left) < 0.1 * len(shown)
    assert {user: record["version"] for user, record in shown.items() if user not in left} == {
        user: version for user, version in newest.items() if user not in left
    }
    assert len(shown) > 50

    signals = [row for row in rows(state, "stuck_signals") if row["trigger"] == "stuck:inactive"]
    in_file = [row for row in rows(from_file, "stuck_signals") if row["trigger"] == "stuck:inactive"]
    # Ten days in seconds: partitions run ahead of each other, so that people are judged by other thresholds than in a file.
    assert len(signals) > 0.3 * len(in_file) > 10
    for signal_ in signals:
        evidence = json.loads(signal_["evidence"])
        # a timer is due at a whole millisecond
        assert 0 <= 2 * evidence["elapsed"] <= evidence["horizon"] + 1, "a timer asked a clock other than the log's"


def _people(state: State, what: tuple[str, ...]) -> list[tuple[Any, ...]]:
    return sorted(tuple(str(row[name]) for name in what) for row in rows(state, "people"))


def _duplicates(state: State) -> int:
    return int(next(line.partition(": ")[2] for line in state["summary"] if line.startswith("duplicates")))


def _by_user(lines: list[str]) -> dict[str, dict[str, Any]]:
    return {record["userId"]: record for record in map(json.loads, lines)}


def settings_for(broker: Tansu, feed: Feed, redis: Valkey, data_dir: Path) -> dict[str, str]:
    return {
        "ONRAMP_KAFKA_BROKERS": broker.brokers,
        "ONRAMP_CATALOG": "saas",
        "ONRAMP_KAFKA_TOPIC": feed.topic,
        "ONRAMP_KAFKA_GROUP": GROUP,
        "ONRAMP_KAFKA_DEAD_LETTER_TOPIC": f"{feed.topic}.dlq",
        "ONRAMP_REDIS_URL": redis.url,
        "ONRAMP_SECRET": "a secret for the end-to-end tests",
        "ONRAMP_DATA_DIR": str(data_dir),
        "ONRAMP_EPOCH_SECONDS": "0.2",
        "ONRAMP_RECOVERY_PARTITIONS": "8",
        "ONRAMP_BATCH_SIZE": "50",
        "TZ": "UTC",
    }


@pytest.fixture
def feed(broker: Tansu) -> Feed:
    topic = broker.new_topic(PARTITIONS)
    broker.create_topic(f"{topic}.dlq", 1)
    return Feed(broker, topic, PARTITIONS)


def test_onramp_run_with_embedded_clickhouse(
    broker: Tansu, feed: Feed, redis: Valkey, lines: list[bytes], from_file: State, tmp_path: Path
) -> None:
    settings = settings_for(broker, feed, redis, tmp_path / "data")
    life = interrupted_life([sys.executable, "-m", "cli", "run", "--json"], settings, feed, lines)
    summary = json.loads(life.said)
    assert summary["eventsRead"] == feed.sent
    assert summary["thisRun"]["eventsRead"] < feed.sent
    state = read_embedded(tmp_path / "data", redis.url, summary)
    check(state, from_file, feed, lines, broker.read_all(f"{feed.topic}.dlq"), life.at_kill)


def test_a_job_whose_data_directory_is_gone_reads_the_whole_log_again_and_has_the_same_users(
    broker: Tansu, redis: Valkey, sound: list[bytes], tmp_path: Path
) -> None:
    """What the runbook says of a lost volume without a backup. The consumer group remembers how far the lost job was."""
    topic = broker.new_topic(2)
    broker.create_topic(f"{topic}.dlq", 1)
    feed = Feed(broker, topic, 2)
    feed.produce(sound[:300])
    settings = settings_for(broker, feed, redis, tmp_path / "data") | {"ONRAMP_KAFKA_GROUP": topic}

    def has_read_all() -> bool:
        saved = saved_positions(tmp_path / "data" / "state", topic)
        return {partition: position.offset for partition, position in saved.items()} == feed.ends

    def one_life() -> dict[str, Any]:
        with started([sys.executable, "-m", "cli", "run", "--json"], settings) as job:
            wait_until(has_read_all, "all messages", within=PATIENCE, process=job)
            job.send_signal(signal.SIGTERM)
            said, complained = job.communicate(timeout=PATIENCE)
        assert job.returncode == 0, complained
        summary: dict[str, Any] = json.loads(said)
        return summary

    before = one_life()
    (tmp_path / "data").rename(tmp_path / "lost")
    after = one_life()
    same = ("eventsRead", "eventsAccepted", "users", "stepsCompleted", "activatedUsers")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert after["thisRun"]["eventsRead"] == feed.sent
    states = [read_embedded(tmp_path / at, redis.url, {}) for at in ("lost", "data")]
    assert _people(states[0], PEOPLE) == _people(states[1], PEOPLE)

    broker.create_again(topic, 2)
    feed.produce(sound)
    with started([sys.executable, "-m", "cli", "run"], settings) as job:
        _, complained = job.communicate(timeout=PATIENCE)
    assert job.returncode == 1
    (sentence,) = complained.splitlines()
    assert sentence.startswith(f"onramp: The topic {topic} is not the one that this data directory has read: it was created again")


def test_a_topic_that_was_created_again_with_fewer_partitions_is_read_once_the_gap_is_accepted(
    broker: Tansu, redis: Valkey, sound: list[bytes], tmp_path: Path
) -> None:
    topic = broker.new_topic(6)
    broker.create_topic(f"{topic}.dlq", 1)
    settings = settings_for(broker, Feed(broker, topic, 6), redis, tmp_path / "data") | {"ONRAMP_KAFKA_GROUP": topic}
    command = [sys.executable, "-m", "cli", "run", "--json"]

    def reads_all(feed: Feed, settings: dict[str, str]) -> dict[str, Any]:
        with started(command, settings) as job:
            wait_until(lambda: feed.committed(topic) == feed.ends, "all messages", within=PATIENCE, process=job)
            job.send_signal(signal.SIGTERM)
            said, complained = job.communicate(timeout=PATIENCE)
        assert job.returncode == 0, complained
        summary: dict[str, Any] = json.loads(said)
        return summary

    feed = Feed(broker, topic, 6)
    feed.produce(sound[:300])
    before = reads_all(feed, settings)
    broker.create_again(topic, 3)
    feed = Feed(broker, topic, 3)
    feed.produce(sound[300:400])
    with started(command, settings) as job:
        _, complained = job.communicate(timeout=PATIENCE)
    assert job.returncode == 1
    (sentence,) = complained.splitlines()
    assert sentence.startswith(f"onramp: The topic {topic} is not the one that this data directory has read: it was created again")

    after = reads_all(feed, settings | {"ONRAMP_KAFKA_ACCEPT_GAP": "true"})
    assert after["users"] >= before["users"] > 0
    assert after["thisRun"]["eventsRead"] == 100
    assert after["eventsRead"] == 400
    feed.produce(sound[400:450])
    assert reads_all(feed, settings)["eventsRead"] == 450


@pytest.mark.slow
def test_two_workers_of_the_cluster_runner_with_clickhouse_over_http(
    broker: Tansu, feed: Feed, redis: Valkey, lines: list[bytes], from_file: State, tmp_path: Path
) -> None:
    with clickhouse_server(tmp_path / "server") as url:
        settings = {**settings_for(broker, feed, redis, tmp_path / "data"), "ONRAMP_CLICKHOUSE_URL": url}
        life = interrupted_life(["sh", "docker/run-job.sh", "-w", "2"], settings, feed, lines)
        store = ClickHouse(url=url)
        deliver_rest(tmp_path / "data" / "spool", store)
        state = read_state(store, redis.url, None, {})
        store.close()
    check(state, from_file, feed, lines, broker.read_all(f"{feed.topic}.dlq"), life.at_kill)


def read_embedded(data: Path, redis_url: str, summary: dict[str, Any]) -> State:
    """Read the embedded store of a job that has ended."""
    store = ClickHouse(embedded=EmbeddedClickHouse(data / "clickhouse"))
    deliver_rest(data / "spool", store)
    state = read_state(store, redis_url, None, summary)
    store.close()
    return state
