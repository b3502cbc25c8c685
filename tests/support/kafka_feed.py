"""Produces the events of a population to a topic, and watches how far a job has come with them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

PATIENCE = 180.0  # seconds until a wait is given up; what is waited for takes a few on an idle machine


_SOUND = re.compile(rb'"userId":"(p\d+)".*"timestamp":"([^"]+)"')
"""An event of simulated people; bad lines in a test look otherwise."""


class Broker(Protocol):
    """A broker of any kind."""

    @property
    def brokers(self) -> str:
        """The value for ``bootstrap.servers``."""
        ...


class Feed:
    """One topic. ``ends`` has what follows the last message of each partition, ``sent`` how many messages there are."""

    def __init__(self, broker: Broker, topic: str, partitions: int) -> None:
        self.topic = topic
        self.ends = dict.fromkeys(range(partitions), 0)
        self.sent = 0
        self.brokers = broker.brokers
        self._producer = Producer({"bootstrap.servers": broker.brokers, "linger.ms": 5, "log_level": 0})
        self._failed: list[KafkaError] = []

    def produce(self, lines: Iterable[bytes]) -> None:
        """Send events under their users' keys, stamped with their own time as a producer may; other lines with the event before."""
        key, stamp = "nobody", 0
        for line in lines:
            if (sound := _SOUND.search(line)) is not None:
                key, time = sound[1].decode(), datetime.fromisoformat(sound[2].decode())
                stamp = max(stamp, round(time.timestamp() * 1000))
            self.send(line, key, stamp)
        self.flush()

    def send(self, line: bytes, key: str, stamp: int) -> None:
        """Send one line, and do not wait for the broker."""
        self._producer.produce(self.topic, line, key, timestamp=stamp, on_delivery=self._delivered)
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until the broker has everything."""
        left = self._producer.flush(PATIENCE)
        assert left == 0
        assert not self._failed

    def committed(self, group: str) -> dict[int, int]:
        """Where the consumer group stands, by partition; 0 where it never committed."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": group, "log_level": 0})
        try:
            places = consumer.committed([TopicPartition(self.topic, partition) for partition in self.ends], timeout=10)
            return {place.partition: max(0, place.offset) for place in places}
        finally:
            consumer.close()

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed.append(error)
            return
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        self.ends[partition] = max(self.ends[partition], offset + 1)
        self.sent += 1
