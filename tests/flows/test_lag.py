"""How far the job is behind, beside it: only positions that the job can start from count."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from flows.archive import run_archive
from flows.lag import measure_archive_lag, measure_lag
from flows.settings import load_settings
from local.data_dir import DataDir
from sources.errors import ArchiveError, OffsetGapError
from sources.local_log.backlog import id_of
from sources.local_log.log import EventLog, Record
from system.wall_clock import wall_clock
from tests.support.recovery_files import RecoveryFiles
from tests.support.tansu import Tansu, tansu_fixture
from tests.support.waiting import PATIENCE

broker = tansu_fixture
SOURCE = "onboarding.messages"


def saved(data: Path, snapshots: dict[str, Any]) -> None:
    """Let a job have written these snapshots of its source."""
    store = RecoveryFiles(DataDir.create(data).state)
    for key, snapshot in snapshots.items():
        change = pickle.dumps(snapshot)
        store.parts[0].execute("INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) VALUES (?, ?, 1, ?)", [SOURCE, key, change])
    store.close()


def produce(broker: Tansu, topic: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": broker.brokers, "log_level": 0})
    for _ in range(count):
        producer.produce(topic, b"x", b"u")
    assert producer.flush(PATIENCE) == 0


def test_positions_in_a_topic_that_was_created_again_are_no_lag_of_zero(broker: Tansu, tmp_path: Path) -> None:
    topic = broker.new_topic()
    settings = load_settings(kafka_brokers=broker.brokers, kafka_topic=topic, data_dir=tmp_path / "data")
    produce(broker, topic, 3)
    now = wall_clock()
    saved(tmp_path / "data", {f"{topic}:0": (1, 3, now, 6, now, "topic:before"), f"{topic}:1": None})
    with pytest.raises(OffsetGapError, match=r"created again.*ONRAMP_KAFKA_ACCEPT_GAP=true"):
        measure_lag(settings)


def test_an_archive_of_a_topic_that_was_created_again_has_no_lag_of_zero(broker: Tansu, tmp_path: Path) -> None:
    topic = broker.new_topic()
    settings = load_settings(kafka_brokers=broker.brokers, kafka_topic=topic, data_dir=tmp_path / "data")
    produce(broker, topic, 3)
    run_archive(settings, lambda: False, once=True)
    found = measure_archive_lag(settings)
    assert found is not None
    assert [each.messages for each in found.backlogs] == [0]
    broker.create_again(topic)
    produce(broker, topic, 3)
    with pytest.raises(ArchiveError, match="created again; archive the new one in another directory"):
        measure_archive_lag(settings)


def test_positions_in_an_event_log_that_was_removed_are_no_lag_of_zero(tmp_path: Path) -> None:
    settings = load_settings(event_log=tmp_path / "log", data_dir=tmp_path / "data")
    with EventLog(tmp_path / "log", partitions=1, retention=None) as log:
        log.append([Record(b"u", b"x")] * 3)
        log_id, now = id_of(tmp_path / "log"), wall_clock()
    saved(tmp_path / "data", {"event-log:0": (1, 2, now, 6, now, log_id, now)})
    assert [each.messages for each in measure_lag(settings).backlogs] == [1]
    (tmp_path / "log").rename(tmp_path / "before")
    with EventLog(tmp_path / "log", partitions=1, retention=None) as log:
        log.append([Record(b"u", b"x")] * 9)
    with pytest.raises(OffsetGapError, match="removed and created again"):
        measure_lag(settings)


def test_with_a_recovery_store_without_positions_nothing_was_read_whatever_the_group_committed(broker: Tansu, tmp_path: Path) -> None:
    """The job would begin at the earliest message."""
    topic = broker.new_topic()
    settings = load_settings(kafka_brokers=broker.brokers, kafka_topic=topic, kafka_group=topic, data_dir=tmp_path / "data")
    produce(broker, topic, 3)
    consumer = Consumer({"bootstrap.servers": broker.brokers, "group.id": topic, "log_level": 0})
    consumer.commit(offsets=[TopicPartition(topic, 0, 2)], asynchronous=False)
    consumer.close()
    found = measure_lag(settings)
    assert ([each.messages for each in found.backlogs], found.positions) == ([1], f"the consumer group {topic}")
    saved(tmp_path / "data", {})
    found = measure_lag(settings)
    assert ([each.messages for each in found.backlogs], found.positions) == ([3], "the newest snapshot")
