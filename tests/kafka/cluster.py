"""What the tests on a real Apache Kafka share: messages, readings, the job as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from sources.batching import BatchPolicy
from sources.kafka.client import Cluster
from sources.kafka.partition import Partition
from sources.kafka.source import KafkaSource
from state.decode import decode
from state.event import Event
from state.messages import Message, Tick
from tests.sources.harness import LOOKAHEAD, drain
from tests.support.apache_kafka import ApacheKafka
from tests.support.job_runs import ROOT
from tests.support.waiting import PATIENCE, running, wait_until

LONG = 180.0  # seconds for what takes a few on an idle machine


def wall() -> int:
    return int(time.time() * 1_000)


def event(number: int, user: str = "u") -> bytes:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    fields = {"eventId": f"e{number}", "userId": user, "eventType": "page_view", "timestamp": stamp, "payload": {"path": "/"}}
    return json.dumps(fields).encode()


def produce(kafka: ApacheKafka, topic: str, values: list[bytes], partition: int = 0, options: dict[str, str] | None = None) -> None:
    producer = Producer({"bootstrap.servers": kafka.brokers, "log_level": 0, **(options or {})})
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(60) == 0


def source_of(cluster: Cluster, **more: Any) -> KafkaSource:
    policy = BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD, more.pop("batch_size", 100))
    return KafkaSource(cluster, policy, now=wall, **{"tail": False, **more})


def read(cluster: Cluster, partition: int = 0, resume: Any = None, **more: Any) -> tuple[list[Message], Any]:
    part = source_of(cluster, **more).build_part("input", f"{cluster.topic}:{partition}", resume)
    items: list[Message | Tick] = []
    try:
        assert drain(part, items.extend, seconds=60)
        return [item for item in items if isinstance(item, Message)], part.snapshot()
    finally:
        part.close()


def opened(source: KafkaSource) -> Partition:
    """The first partition."""
    part = source.build_part("input", f"{source.cluster.topic}:0", None)
    assert isinstance(part, Partition)
    return part


def ids(messages: list[Message]) -> list[str]:
    decoded = [decode(message) for message in messages]
    return [each.id if isinstance(each, Event) else each.reason for each in decoded]


def committed(kafka: ApacheKafka, topic: str, group: str, partitions: int) -> dict[int, int]:
    consumer = Consumer({"bootstrap.servers": kafka.brokers, "group.id": group, "log_level": 0})
    try:
        places = consumer.committed([TopicPartition(topic, index) for index in range(partitions)], timeout=10)
        return {place.partition: max(0, place.offset) for place in places}
    except KafkaException:  # the broker is down
        return {}
    finally:
        consumer.close()


def delete_all(kafka: ApacheKafka, topic: str, low: int) -> None:
    """Let the retention of the topic delete every message."""
    admin = kafka.admin()

    def retain(milliseconds: str) -> None:
        entry = ConfigEntry("retention.ms", milliseconds, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        for future in admin.incremental_alter_configs([resource]).values():
            future.result(timeout=PATIENCE)

    retain("1")
    consumer = Consumer({"bootstrap.servers": kafka.brokers, "group.id": "watermarks", "log_level": 0})
    try:
        place = TopicPartition(topic, 0)
        wait_until(lambda: consumer.get_watermark_offsets(place, timeout=10) == (low, low), "the retention", within=LONG, every=0.2)
    finally:
        consumer.close()
    retain("-1")


def environment_for(kafka: ApacheKafka, topic: str, data_dir: Path, **settings: str) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONRAMP_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    own = {
        "ONRAMP_KAFKA_BROKERS": kafka.brokers,
        "ONRAMP_KAFKA_TOPIC": topic,
        "ONRAMP_KAFKA_GROUP": topic,
        "ONRAMP_KAFKA_DEAD_LETTER_TOPIC": f"{topic}-dlq",
        "ONRAMP_CATALOG": "saas",
        "ONRAMP_SECRET": "a secret for the tests on Kafka",
        "ONRAMP_DATA_DIR": str(data_dir),
        "ONRAMP_EPOCH_SECONDS": "0.5",
    }
    return {**environment, **own, **settings}


@contextmanager
def job(kafka: ApacheKafka, topic: str, data_dir: Path, **settings: str) -> Iterator[subprocess.Popen[str]]:
    command, environment = [sys.executable, "-m", "cli", "run", "--json"], environment_for(kafka, topic, data_dir, **settings)
    with running(
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ) as process:
        yield process


def onramp(kafka: ApacheKafka, topic: str, data_dir: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the settings of ``job`` to its end."""
    environment = environment_for(kafka, topic, data_dir, **settings)
    command = [sys.executable, "-m", "cli", *words]
    return subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LONG)
