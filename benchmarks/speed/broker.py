"""The Kafka-compatible broker that all contenders share, and the topic that they read."""

from __future__ import annotations

import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.speed.stream import Sent

_WAIT_S = 60.0
APACHE: Final = "apache"
"""Stands for a real Apache Kafka, started for the benchmark, in place of an address."""


@contextmanager
def broker(address: str | None) -> Iterator[str]:
    """Yield ``address``, or the address of a broker of the tests that lives as long as the block: a real Kafka for ``APACHE``."""
    if address == APACHE:
        from tests.support.apache_kafka import LIBS, run_apache_kafka  # noqa: PLC0415 - needs the packages for development

        if shutil.which("java") is None or not list(LIBS.glob("kafka_*.jar")):
            sys.exit("A real Apache Kafka needs Java 17 or newer and its jars: run `make real-kafka` first, which fetches them with Maven.")
        with tempfile.TemporaryDirectory(prefix="onramp-kafka-") as directory, run_apache_kafka(Path(directory)) as kafka:
            yield kafka.brokers
        return
    if address is not None:
        yield address
        return
    from tests.support.tansu import run_tansu  # noqa: PLC0415 - needs the packages for development

    with run_tansu() as running:
        yield running.brokers


def new_topic(brokers: str, partitions: int) -> str:
    """Create a topic with a new name and return it."""
    topic = f"speed-{uuid.uuid4().hex[:12]}"
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 0})
    for future in admin.create_topics(
        [NewTopic(topic, num_partitions=partitions, replication_factor=1, config={"retention.ms": "-1"})]
    ).values():
        future.result(timeout=_WAIT_S)
    return topic


def fill(brokers: str, topic: str, messages: Iterable[Sent]) -> int:
    """Produce all ``messages`` with their keys and times; return how many. Exits if one cannot be delivered."""
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failed.append(error)

    config: dict[str, str | int | float | bool] = {"linger.ms": 20, "queue.buffering.max.messages": 200_000, "log_level": 0}
    producer = Producer({"bootstrap.servers": brokers, **config})
    count = 0
    for sent in messages:
        while True:
            try:
                producer.produce(topic, sent.line, sent.key.encode(), timestamp=sent.at, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        count += 1
        if count % 1000 == 0:
            producer.poll(0)
    if producer.flush(_WAIT_S) or failed:
        sys.exit(f"the broker at {brokers} did not take all events: {failed[0] if failed else 'no answer'}")
    return count
