"""Measures the unread messages of a Kafka topic: those after the committed offsets of a group, or after positions that the caller knows."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, TypeVar

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import ConfigResource, ResourceType  # type: ignore[attr-defined]

from sources.backlog import Backlog
from sources.errors import UnreachableError
from sources.kafka.client import Cluster, ErrorHandler, request, unknown_topic
from sources.kafka.error_codes import ALLOW_CONFIG, CHECK_BROKERS, advice_for
from sources.kafka.record import time_of
from sources.positions import Position
from state.never import never

_LOG = logging.getLogger(__name__)
T = TypeVar("T")
_LOOK_S: Final = 3.0
"""How long to wait for an answer to the fetch of each partition. A healthy broker answers within a quarter of a second."""
_ASK_S: Final = 600.0
_ASK_AGAIN_S: Final = 60.0
_MS: Final = 1000


class KafkaBacklog:
    """A consumer of its own, which joins no group and commits nothing. For one thread."""

    def __init__(self, cluster: Cluster) -> None:
        """Connect in the background. Raises ``BrokerError`` if librdkafka rejects the settings."""
        self._cluster = cluster
        self._errors = ErrorHandler(cluster)
        few = {"queued.min.messages": 1, "queued.max.messages.kbytes": 1024, "fetch.max.bytes": 1_000_000}
        self._consumer: Consumer = cluster.connect(self._errors, **{"client.id": "onramp-lag", **few})
        self._retention: float | None = None
        self._ask_at = 0.0

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()

    def measure(self, positions: Mapping[int, Position] | None) -> list[Backlog]:
        """Measure what is unread of all partitions: after ``positions``, or without them after the offsets that the group committed.

        Blocks up to the time limit of the cluster for each of a few requests, and ``_LOOK_S`` for the ages. Raises ``SourceError``.
        """
        topic = self._cluster.topic
        partitions = self._partitions()
        offsets: dict[int, int | None] = dict.fromkeys(partitions)
        if positions is None:
            places = [TopicPartition(topic, partition) for partition in partitions]
            for place in self._request(lambda timeout: self._consumer.committed(places, timeout)):
                offsets[place.partition] = place.offset if place.offset > OFFSET_INVALID and place.offset >= 0 else None
        else:
            offsets.update({partition: each.offset for partition, each in positions.items() if partition in offsets})
        bounds = {partition: self._bounds(partition) for partition in partitions}
        starts = {}
        for partition, (low, _) in bounds.items():
            offset = offsets[partition]
            starts[partition] = max(low, low if offset is None else offset)
        since, ends = self._look(starts)
        times = {partition: each.log_time for partition, each in (positions or {}).items()}
        return [
            Backlog(
                partition,
                offsets[partition],
                low,
                ends.get(partition, end),
                since.get(partition),
                times.get(partition),
                self.retention(),
            )
            for partition, (low, end) in bounds.items()
        ]

    def retention(self) -> float | None:
        """Return how many seconds the topic keeps a message: infinite if it keeps all, None if the broker does not tell.

        The broker is asked every ten minutes, or every minute while it does not tell. A limit by size (``retention.bytes``) is not counted:
        how soon it is reached cannot be known from here.
        """
        if time.monotonic() >= self._ask_at:
            self._retention = retention_seconds(topic_config(self._cluster))
            self._ask_at = time.monotonic() + (_ASK_AGAIN_S if self._retention is None else _ASK_S)
        return self._retention

    def _partitions(self) -> list[int]:
        topic = self._cluster.topic
        metadata = self._request(lambda timeout: self._consumer.list_topics(topic, timeout=timeout))
        found = metadata.topics.get(topic)
        if found is None or found.error is not None or not found.partitions:
            raise unknown_topic(self._cluster)
        return sorted(found.partitions)

    def _bounds(self, partition: int) -> tuple[int, int]:
        place = TopicPartition(self._cluster.topic, partition)
        low, end = self._request(lambda timeout: self._consumer.get_watermark_offsets(place, timeout=timeout))
        return low, end

    def _look(self, starts: Mapping[int, int]) -> tuple[dict[int, int], dict[int, int]]:
        """Fetch at ``starts``. Return the append times (ms) of the messages there and the ends of the partitions, as far as known in time.

        The answer to a fetch has the true end; the test broker answers the question for the latest offset wrongly.
        """
        topic, since, ends, waiting = self._cluster.topic, dict[int, int](), dict[int, int](), set(starts)
        self._consumer.assign([TopicPartition(topic, partition, offset) for partition, offset in starts.items()])
        deadline = time.monotonic() + _LOOK_S
        while waiting and (left := deadline - time.monotonic()) > 0:
            record = self._consumer.poll(left)
            partition = None if record is None else record.partition()
            if record is None or partition not in waiting:
                continue
            waiting.discard(partition)
            place = TopicPartition(topic, partition)
            _, end = self._consumer.get_watermark_offsets(place, cached=True)
            if end >= 0:
                ends[partition] = end
            if record.error() is None and (at := time_of(record, _ignore)) is not None:
                since[partition] = at
            self._consumer.incremental_unassign([place])
        self._consumer.unassign()
        return since, ends

    def _request(self, call: Callable[[float], T | None]) -> T:
        def ask() -> T:
            found = call(self._cluster.request_s)
            if found is None:
                raise UnreachableError(f"Kafka at {self._cluster.brokers} did not answer; {self._cluster.unreachable_advice()}.")
            return found

        return request(ask, self._consumer, self._errors, never)


def _ignore(_record: object, _part: str, _error: Exception) -> None:
    """What cannot be read of a message does not matter here."""


def retention_seconds(config: Mapping[str, str]) -> float | None:
    """For how long a topic of this configuration keeps a message; infinite where it keeps all, None where that is not told."""
    text = config.get("retention.ms", "")
    if not text.lstrip("-").isdigit():
        return None
    return int(text) / _MS if int(text) >= 0 else math.inf


def topic_config(cluster: Cluster) -> dict[str, str]:
    """Return the configuration of the cluster's topic; empty where the broker does not tell it.

    Blocks up to the time limit of the cluster. Raises ``BrokerError`` if librdkafka rejects the settings. Each reason why it is not told
    is a warning once.
    """
    topic = cluster.topic
    admin = cluster.admin("onramp-lag")  # held until the answer is there: without it the question ends unanswered
    try:
        (future,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)], request_timeout=cluster.timeout_s).values()
        return {name: str(entry.value) for name, entry in future.result(cluster.timeout_s).items() if entry.value is not None}
    except KafkaException as problem:
        error: KafkaError = problem.args[0]
        refused = error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED)
        _warn(topic, error.str(), ALLOW_CONFIG if refused else advice_for(error))
    except (TimeoutError, ValueError) as problem:
        _warn(topic, type(problem).__name__, CHECK_BROKERS)
    return {}


@cache  # a job asks again and again, and a command over more than one connection
def _warn(topic: str, why: str, advice: str) -> None:
    """Warn, once in this process for each topic and reason."""
    _LOG.warning(
        "The configuration of the topic %s is not told (%s), so nobody knows when it deletes unread messages; %s.", topic, why, advice
    )
