"""What was not read yet: how much, how old, for how long it is safe."""

from __future__ import annotations

import math
import pickle
import sqlite3
import threading
import weakref
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from typing_extensions import override

from local.data_dir import DataDirError
from local.recovery_positions import INPUT, SavedPosition, saved_partitions, saved_positions
from sources.backlog import Backlog, Thresholds, colour, effective_retention
from sources.epoch_clock import EpochClock
from sources.errors import LogError, UnknownTopicError
from sources.kafka.backlog import KafkaBacklog, retention_seconds, topic_config
from sources.kafka.client import Cluster
from sources.local_log.backlog import measure_once
from sources.local_log.log import EventLog, Record
from sources.local_log.retention import Retention
from sources.positions import Position
from state import histogram
from tests.support.interleaving import beside, steps_of
from tests.support.tansu import Tansu, tansu_fixture
from tests.support.waiting import PATIENCE, join

broker = tansu_fixture
NOW = 1_800_000_000_000
LIMITS = Thresholds(amber_seconds=15, red_seconds=60, red_share=0.25)


def backlog(
    offset: int | None = 10, *, low: int = 0, end: int = 10, age_s: float | None = None, retention: float | None = 1000.0
) -> Backlog:
    since = None if age_s is None else NOW - round(age_s * 1000)
    return Backlog(0, offset, low, end, since, NOW - 2000, retention)


@pytest.mark.parametrize(
    ("each", "messages", "seconds", "left", "named"),
    [
        (backlog(), 0, 0, 1000, "green"),
        (backlog(4, age_s=15), 6, 15, 985, "green"),
        (backlog(4, age_s=15.1), 6, 15.1, 984.9, "amber"),
        (backlog(4, age_s=61), 6, 61, 939, "red"),
        (backlog(None, low=2, age_s=1), 8, 1, 999, "green"),
        (backlog(4, age_s=10, retention=39), 6, 10, 29, "green"),
        (backlog(4, age_s=10, retention=19), 6, 10, 9, "amber"),
        (backlog(4, age_s=10, retention=13), 6, 10, 3, "red"),
        (backlog(4, low=6, age_s=1), 4, 1, 0, "red"),
        (backlog(12, age_s=1), 0, 0, 1000, "red"),
        (backlog(4, age_s=1, retention=math.inf), 6, 1, math.inf, "green"),
        (backlog(4, age_s=1, retention=None), 6, 1, None, "green"),
        (backlog(4, age_s=-5), 6, 0, 1000, "green"),
    ],
)
def test_a_backlog_has_a_size_an_age_a_time_that_is_left_and_a_colour(
    each: Backlog, messages: int, seconds: float, left: float | None, named: str
) -> None:
    assert each.messages == messages
    assert each.seconds(NOW) == pytest.approx(seconds)
    assert each.time_to_loss(NOW) == (None if left is None else pytest.approx(left))
    assert colour(each, LIMITS, NOW) == named


def test_where_the_age_of_the_next_message_is_not_known_it_is_at_most_that_of_log_time() -> None:
    each = backlog(5, end=1_000_005)._replace(log_time=NOW - 80_000)
    assert each.seconds(NOW) == 80
    assert colour(each, LIMITS, NOW) == "red"
    assert each._replace(log_time=None).seconds(NOW) == 0


def test_what_was_deleted_unread_is_counted_and_log_time_has_an_age() -> None:
    assert backlog(4, low=6).lost == 2
    assert backlog(None, low=6).lost == 0
    assert backlog().watermark_age(NOW) == 2.0
    assert backlog()._replace(log_time=None).watermark_age(NOW) is None


@pytest.mark.parametrize(
    ("size", "oldest_s", "used", "seconds"),
    [
        (None, 100, 10, 7000),
        (1000, None, 10, 7000),
        (1000, 100, 10, 7000),
        (1000, 100, 100, 1000),
        (1000, 59, 100, 7000),
        (1000, 100, 0, 7000),
    ],
)
def test_a_limit_by_size_shortens_the_retention_at_the_rate_so_far(
    size: float | None, oldest_s: float | None, used: float, seconds: float
) -> None:
    oldest = None if oldest_s is None else NOW - round(oldest_s * 1000)
    assert effective_retention(age=7000, size=size, oldest=oldest, now=NOW, used=used) == pytest.approx(seconds)


# the local log


def test_the_local_log_is_measured_without_a_job(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log", partitions=2, retention=None, now=lambda: NOW - 30_000) as log:
        key = {log.partition_of(b"%d" % n): b"%d" % n for n in range(20)}
        log.append([Record(key[0], b"a"), Record(key[0], b"b"), Record(key[1], b"c")])
    keep = Retention(max_age_ms=100_000)
    first, second = measure_once(tmp_path / "log", keep, {0: Position(1, NOW - 5000), 1: Position(1, NOW - 5000)}, NOW)
    assert (first.messages, first.seconds(NOW), first.time_to_loss(NOW), first.watermark_age(NOW)) == (1, 30.0, 70.0, 5.0)
    assert (second.messages, second.seconds(NOW), second.time_to_loss(NOW)) == (0, 0.0, 100.0)
    assert [each.messages for each in measure_once(tmp_path / "log", keep, {}, NOW)] == [2, 1], "nothing was read"


def test_the_local_log_keeps_no_longer_than_its_size_allows_at_the_rate_so_far(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log", retention=None, now=lambda: NOW - 100_000) as log:
        log.append([Record(b"u", b"a")])
    for each in measure_once(tmp_path / "log", Retention(max_bytes=1, max_age_ms=1_000_000), {}, NOW):
        assert each.retention is not None
        assert each.retention < 1


def test_a_log_that_is_not_there_is_a_sentence_and_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="no event log"):
        measure_once(tmp_path / "log", Retention(), {}, NOW)
    assert not (tmp_path / "log").exists()


# the recovery store


def store(path: Path, rows: list[tuple[str, str, int, Any]]) -> None:
    path.mkdir(exist_ok=True)
    with sqlite3.connect(path / "part-0.sqlite3") as part:
        part.execute("CREATE TABLE snaps (step_id TEXT, state_key TEXT, snap_epoch INTEGER, ser_change BLOB)")
        part.executemany("INSERT INTO snaps VALUES (?, ?, ?, ?)", [(*row[:3], row[3]) for row in rows])
    part.close()


def test_positions_are_read_from_the_newest_snapshot_of_each_partition(tmp_path: Path) -> None:
    step = "onboarding.messages"
    store(
        tmp_path / "state",
        [
            (step, "events:0", 3, pickle.dumps((1, 10, NOW, 20, NOW))),
            (step, "events:0", 4, pickle.dumps((1, 12, NOW + 1, 24, NOW))),
            (step, "events:1", 4, pickle.dumps((1, 7, NOW, 14, NOW, "log", 5))),
            (step, "events:2", 4, pickle.dumps(None)),
            (step, "events:3", 4, None),
            (step, "events:4", 4, pickle.dumps((2, 7, NOW))),
            (step, "events:5", 4, pickle.dumps(Path("/"))),
            (step, "events:6", 4, b"\x80nonsense"),
            (step, "others:0", 4, pickle.dumps((1, 99, NOW))),
            ("onboarding.track", "events:7", 4, pickle.dumps((1, 99, NOW))),
        ],
    )
    assert saved_positions(tmp_path / "state", "events") == {0: SavedPosition(12, NOW + 1), 1: SavedPosition(7, NOW, "log")}
    assert saved_positions(tmp_path / "nothing", "events") == {}


def test_the_partitions_of_a_step_are_known_whether_they_have_a_position_or_not(tmp_path: Path) -> None:
    none = pickle.dumps(None)
    inputs = [(INPUT, "events:0", 3, pickle.dumps((1, 10, NOW, 20, NOW))), (INPUT, "events:11", 3, none), (INPUT, "events:11", 4, none)]
    store(
        tmp_path, [*inputs, (INPUT, "others:12", 3, none), ("onboarding.clickhouse", "0", 3, none), ("onboarding.clickhouse", "3", 3, none)]
    )
    assert saved_partitions(tmp_path, INPUT, "events") == {0, 11}
    assert saved_partitions(tmp_path, "onboarding.clickhouse") == {0, 3}
    assert saved_partitions(tmp_path / "nothing", INPUT, "events") == set()


def test_a_damaged_store_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "part-0.sqlite3").write_bytes(b"\xff" * 5000)
    for read in (saved_positions, saved_partitions):
        with pytest.raises(DataDirError, match="cannot be read"):
            read(tmp_path, "events")


# Kafka


@pytest.fixture
def topic(broker: Tansu) -> Cluster:
    name = broker.new_topic(partitions=2)
    producer = Producer({"bootstrap.servers": broker.brokers})
    for number in range(5):
        producer.produce(name, b"x", partition=0, timestamp=NOW + number)
    assert producer.flush(20) == 0
    return Cluster(broker.brokers, name, f"group-of-{name}", timeout_s=20)


def test_kafka_is_measured_by_what_the_group_committed_or_by_positions(topic: Cluster) -> None:
    def measured(positions: dict[int, Position] | None) -> list[Backlog]:
        log = KafkaBacklog(topic)
        try:
            return log.measure(positions)
        finally:
            log.close()

    unread = measured(None)
    assert [(each.partition, each.offset, each.messages) for each in unread] == [(0, None, 5), (1, None, 0)]
    consumer = Consumer({"bootstrap.servers": topic.brokers, "group.id": topic.group})
    consumer.commit(offsets=[TopicPartition(topic.topic, 0, 3)], asynchronous=False)
    consumer.close()
    first, _ = measured(None)
    assert (first.offset, first.messages, first.unread_since, first.log_time) == (3, 2, NOW + 3, None)
    first, second = measured({0: Position(4, NOW + 9), 1: Position(0, NOW)})
    assert (first.messages, first.unread_since, first.log_time, second.messages) == (1, NOW + 4, NOW + 9, 0)


@pytest.mark.parametrize(
    ("told", "seconds"), [({"retention.ms": "60000"}, 60.0), ({"retention.ms": "-1"}, math.inf), ({"retention.ms": "?"}, None), ({}, None)]
)
def test_the_configuration_of_a_topic_says_how_long_it_keeps_a_message(told: dict[str, str], seconds: float | None) -> None:
    assert retention_seconds(told) == seconds


def test_the_configuration_of_a_topic_is_told(broker: Tansu) -> None:
    topic = broker.new_topic(retention_ms="3600000")
    cluster = Cluster(broker.brokers, topic, "g", timeout_s=PATIENCE)
    assert topic_config(cluster)["retention.ms"] == "3600000"
    log = KafkaBacklog(cluster)
    try:
        assert [each.retention for each in log.measure({})] == [3600.0]
    finally:
        log.close()


class MortalAdmin:
    """Answers after a moment, or fails its question when nobody holds it, as librdkafka does. ``error``: the answer, 0 for none."""

    def __init__(self, error: int) -> None:
        self._answer: Future[dict[str, Any]] = Future()
        self._timer = threading.Timer(0.05, partial(_tell, self._answer, error))
        weakref.finalize(self, _tell, self._answer, KafkaError._DESTROY)

    def describe_configs(self, resources: list[Any], request_timeout: float) -> dict[Any, Future[dict[str, Any]]]:
        assert request_timeout > 0
        self._timer.start()
        return dict.fromkeys(resources, self._answer)


def _tell(answer: Future[dict[str, Any]], error: int) -> None:
    with suppress(InvalidStateError):  # it was told before
        if error:
            answer.set_exception(KafkaException(KafkaError(error)))
        else:
            answer.set_result({"retention.ms": SimpleNamespace(value="1000"), "none": SimpleNamespace(value=None)})


@dataclass(frozen=True)
class MortalCluster(Cluster):
    error: int = 0

    @override
    def admin(self, client: str = "onramp") -> Any:
        return MortalAdmin(self.error)


def test_the_client_that_asks_for_the_configuration_lives_until_the_answer() -> None:
    assert topic_config(MortalCluster("b:9092", "held", "g")) == {"retention.ms": "1000"}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "give this user the right DESCRIBE_CONFIGS on the topic."),
        (KafkaError._TIMED_OUT, "check the address, the network and whether the brokers run."),
    ],
)
def test_a_configuration_that_is_not_told_is_a_warning_once(error: int, said: str, caplog: pytest.LogCaptureFixture) -> None:
    cluster = MortalCluster("b:9092", f"untold-{error}", "g", error=error)
    assert [topic_config(cluster) for _ in range(3)] == [{}] * 3
    (line,) = caplog.messages
    assert line.startswith(f"The configuration of the topic untold-{error} is not told (")
    assert line.endswith(said)


def test_a_topic_that_is_not_there_is_a_sentence(broker: Tansu) -> None:
    log = KafkaBacklog(Cluster(broker.brokers, "no-such-topic", "g", timeout_s=5))
    try:
        with pytest.raises(UnknownTopicError, match="has no topic no-such-topic"):
            log.measure(None)
    finally:
        log.close()


# epochs


def test_epochs_and_pauses_are_those_of_one_partition_of_a_worker() -> None:
    now = [0.0]
    clock = EpochClock(lambda: now[0])
    for second in (5.0, 10.0, 15.0):
        now[0] = second
        clock.snapshot(0)
        clock.snapshot(1)  # asked in the same epoch
        assert list(clock.paused) == [0]
        now[0] = second + 0.2
        clock.resumed(0)
        assert not clock.paused
    assert clock.epochs.cumulative()[-1] == ("+Inf", 2.0)
    assert clock.epochs.sum == pytest.approx(10.0)
    assert clock.pauses.cumulative()[-1] == ("+Inf", 3.0)
    assert clock.pauses.sum == pytest.approx(0.6)


@pytest.mark.timing
def test_of_epochs_that_end_on_two_workers_at_once_none_is_lost() -> None:
    def epoch(clock: EpochClock, partition: int) -> None:
        for _ in range(2):
            clock.snapshot(partition)
            clock.resumed(partition)

    steps = steps_of(partial(epoch, EpochClock(lambda: 1.0), 0), histogram)
    assert steps > 10
    for step in range(steps):
        clock = EpochClock(lambda: 1.0)
        beside(partial(epoch, clock, 0), partial(epoch, clock, 1), histogram, step)
        assert (sum(clock.epochs.counts), sum(clock.pauses.counts)) == (2, 4), step


@pytest.mark.timing
def test_each_worker_has_a_partition_that_is_measured() -> None:
    clock = EpochClock(lambda: 1.0)
    clock.snapshot(0)
    other = threading.Thread(target=clock.snapshot, args=(1,), daemon=True)
    other.start()
    join(other, "the other worker")
    assert sorted(clock.paused) == [0, 1]
