"""Reads a topic from its beginning to its present end, for commands. Commits nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition
from confluent_kafka import Message as Record

from sources.errors import UnreachableError
from sources.kafka.client import Cluster, ErrorHandler
from state.never import never

_WAIT_S: Final = 1.0
_AT_ONCE: Final = 500


def read_whole_topic(cluster: Cluster) -> Iterator[Record]:
    """Yield all messages, partition by partition as they come, until each partition was read to its end.

    Blocks up to ``cluster.timeout_s`` while no broker answers. Raises ``SourceError``, and ``UnknownTopicError`` if there is no topic.
    """
    left = set(cluster.partitions(never))
    errors = ErrorHandler(cluster)
    consumer = cluster.connect(errors)
    try:
        consumer.assign([TopicPartition(cluster.topic, partition, OFFSET_BEGINNING) for partition in sorted(left)])
        deadline = time.monotonic() + cluster.timeout_s
        while left:
            records = consumer.consume(_AT_ONCE, _WAIT_S)
            if records:
                deadline = time.monotonic() + cluster.timeout_s
            elif time.monotonic() > deadline:
                raise UnreachableError(
                    f"Kafka at {cluster.brokers} did not send {cluster.topic} to its end; {cluster.unreachable_advice()}."
                )
            for record in records:
                error = record.error()
                if error is None:
                    yield record
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(record.partition())
                else:
                    errors.handle(error)
            errors.raise_if_refused()
    finally:
        consumer.close()
