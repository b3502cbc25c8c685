"""Writes to a topic of a broker, and reads it as the job does."""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import Consumer as RawConsumer
from confluent_kafka import Producer, TopicPartition

from sources.batching import BatchPolicy
from sources.kafka.client import Cluster
from sources.kafka.source import KafkaSource
from tests.sources.harness import LOOKAHEAD
from tests.support.tansu import Tansu


def wall() -> int:
    return int(time.time() * 1_000)


def produce(broker: Tansu, topic: str, values: list[bytes], partition: int = 0, times: list[int] | None = None, **more: Any) -> None:
    producer = Producer({"bootstrap.servers": broker.brokers, "log_level": 0, "message.max.bytes": 10_000_000})
    for index, value in enumerate(values):
        producer.produce(topic, value, partition=partition, timestamp=times[index] if times else 0, **more)
    assert producer.flush(20) == 0


def source_of(broker: Tansu, topic: str, *, group: str = "onramp", **more: Any) -> KafkaSource:
    cluster = Cluster(broker.brokers, topic, group, timeout_s=more.pop("timeout_s", 60.0))
    policy = BatchPolicy(more.pop("peek", lambda *_: None), lambda _: LOOKAHEAD, more.pop("batch_size", 100))
    return KafkaSource(cluster, policy, now=wall, **{"tail": False, **more})


def group_offset(broker: Tansu, topic: str, group: str, partition: int = 0) -> int:
    consumer = RawConsumer({"bootstrap.servers": broker.brokers, "group.id": group, "log_level": 0})
    try:
        offset: int = consumer.committed([TopicPartition(topic, partition)], 5)[0].offset
        return offset
    finally:
        consumer.close()
