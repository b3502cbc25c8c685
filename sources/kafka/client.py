"""Talking to a Kafka cluster: configuration, what its errors mean, and patience while nobody answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException

from sources.errors import BrokerError, UnreachableError

_LOG = logging.getLogger(__name__)
_LOG_EVERY_S = 30.0  # librdkafka reports a dead broker about twenty times a second
_REQUEST_S = 5.0  # one attempt; a healthy cluster answers in milliseconds
_RETRY_S = 0.25
_TOPIC_GRACE_S = 5.0  # a cluster that is just starting may not know its topics yet

_REFUSED = {
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError.ILLEGAL_SASL_STATE,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}
_UNKNOWN = {
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.TOPIC_EXCEPTION,
}
_WAIT = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._RESOLVE,
    KafkaError._WAIT_COORD,
}

T = TypeVar("T")


@dataclass(frozen=True)
class Cluster:
    """Where a topic lives. ``settings`` are librdkafka properties (TLS, SASL, …) that override ours; they are never logged."""

    brokers: str
    topic: str
    group: str
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict, repr=False)
    timeout_s: float = 60.0
    """How long to wait for a cluster that does not answer at start: longer than the restart of a broker."""

    def connect(self, errors: ErrorHandler, **more: Any) -> Consumer:
        """Return a consumer; it connects in the background. Raises ``BrokerError`` if librdkafka does not accept the settings."""
        config: dict[str, Any] = {
            "bootstrap.servers": self.brokers,
            "group.id": self.group,
            "client.id": "onramp",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # a gap must be seen, not jumped over
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 250,  # an idle partition proves at this rate that its broker is alive
            "queued.max.messages.kbytes": 16_384,  # read ahead, for each partition
            "reconnect.backoff.max.ms": 2_000,
            "allow.auto.create.topics": False,
            "log_level": 2,  # what matters arrives through error_cb
            "error_cb": errors.handle,
            **self.settings,
            **more,
        }
        try:
            return Consumer(config)
        except KafkaException as error:
            raise BrokerError(f"The Kafka settings are not valid: {error.args[0].str()}.") from error

    def partitions(self, stopping: Callable[[], bool]) -> list[int]:
        """Return the partitions of the topic. Blocks up to ``timeout_s`` while nobody answers. Raises ``SourceError``."""
        errors = ErrorHandler(self)
        consumer = self.connect(errors)
        timeout = min(_REQUEST_S, self.timeout_s)
        unknown_until = time.monotonic() + _TOPIC_GRACE_S
        try:
            while True:
                metadata = request(lambda: consumer.list_topics(self.topic, timeout=timeout), consumer, errors, stopping)
                topic = metadata.topics.get(self.topic)
                if topic is not None and topic.error is None and topic.partitions:
                    return sorted(topic.partitions)
                if topic is not None and topic.error is not None and topic.error.code() not in _UNKNOWN:
                    errors.handle(topic.error)
                    errors.raise_if_refused()
                if time.monotonic() > unknown_until or stopping():
                    raise unknown_topic(self)
                time.sleep(_RETRY_S)
        finally:
            consumer.close()


class ErrorHandler:
    """Sorts what librdkafka reports: what it retries by itself is logged now and then, what a person must mend is raised."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._refusal: BrokerError | None = None
        self._logged_at = float("-inf")
        self._unlogged = 0

    def handle(self, error: KafkaError) -> None:
        """Take note of an error; never raises, for librdkafka calls it in the middle of ``consume``."""
        code = error.code()
        if code in _UNKNOWN:
            self._refusal = unknown_topic(self._cluster)
        elif code in _REFUSED or error.fatal():
            self._refusal = BrokerError(
                f"Kafka at {self._cluster.brokers} refuses this job ({error.str()}); check the security settings and the rights of the "
                f"user on topic {self._cluster.topic} and group {self._cluster.group}."
            )
        else:
            self.log("Kafka at %s: %s; trying again", self._cluster.brokers, error.str())

    def raise_if_refused(self) -> None:
        """Raise the ``BrokerError`` that was heard, if any."""
        if self._refusal is not None:
            raise self._refusal

    def log(self, message: str, *args: object) -> None:
        """Warn, at most once in ``_LOG_EVERY_S``."""
        now = time.monotonic()
        if now - self._logged_at < _LOG_EVERY_S:
            self._unlogged += 1
            return
        _LOG.warning(message + " (%d more like this since the last line)", *args, self._unlogged)
        self._logged_at, self._unlogged = now, 0


def request(question: Callable[[], T], consumer: Consumer, errors: ErrorHandler, stopping: Callable[[], bool]) -> T:
    """Return what ``question`` returns, asking again while nobody answers. Blocks. Raises ``UnreachableError`` when patience ends."""
    cluster = errors._cluster
    deadline = time.monotonic() + cluster.timeout_s
    while True:
        try:
            return question()
        except KafkaException as problem:
            error: KafkaError = problem.args[0]
            errors.handle(error)
            consumer.poll(0)  # serves error_cb: a refused login shows up there, and here as nobody answering
            errors.raise_if_refused()
            if not (error.retriable() or error.code() in _WAIT):
                raise BrokerError(f"Kafka at {cluster.brokers} answered: {error.str()}.") from problem
            if time.monotonic() > deadline or stopping():
                raise UnreachableError(
                    f"Kafka at {cluster.brokers} did not answer for {cluster.patience_s:.0f} s ({error.str()}); check the address, the "
                    "network and whether the brokers run."
                ) from problem
        time.sleep(_RETRY_S)


def unknown_topic(cluster: Cluster) -> BrokerError:
    """Return what to raise when the cluster has no such topic."""
    return BrokerError(f"Kafka at {cluster.brokers} has no topic {cluster.topic}; create it, or name another one in the settings.")
