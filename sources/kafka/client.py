"""Connects to a Kafka cluster: the configuration, the classification of errors, and retries while no broker answers."""

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
_TOPIC_GRACE_S = 5.0  # a starting cluster may not know its topics yet

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
_TRANSIENT = {
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
    """The address of a topic. ``settings`` are librdkafka properties (TLS, SASL, …) that override the defaults; they are never logged."""

    brokers: str
    topic: str
    group: str
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict, repr=False)
    timeout_s: float = 60.0
    """How long to retry while the cluster does not answer: longer than the restart of a broker takes."""

    def connect(self, errors: ErrorHandler, **more: Any) -> Consumer:
        """Return a consumer, which connects in the background. Raises ``BrokerError`` if librdkafka rejects the settings."""
        config: dict[str, Any] = {
            "bootstrap.servers": self.brokers,
            "group.id": self.group,
            "client.id": "onramp",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # a gap must be an error, not skipped
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 250,  # how often an idle partition shows that its broker is alive
            "queued.max.messages.kbytes": 16_384,  # read-ahead for each partition
            "reconnect.backoff.max.ms": 2_000,
            "allow.auto.create.topics": False,
            "log_level": 2,  # error_cb reports all that matters
            "error_cb": errors.handle,
            **self.settings,
            **more,
        }
        try:
            return Consumer(config)
        except KafkaException as error:
            raise BrokerError(f"The Kafka settings are not valid: {error.args[0].str()}.") from error

    def partitions(self, stopping: Callable[[], bool]) -> list[int]:
        """Return the partitions of the topic. Blocks up to ``timeout_s`` while no broker answers. Raises ``SourceError``."""
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
    """Classifies what librdkafka reports. It logs, at a limited rate, what librdkafka retries, and raises what an operator must fix."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._refusal: BrokerError | None = None
        self._logged_at = float("-inf")
        self._unlogged = 0

    def handle(self, error: KafkaError) -> None:
        """Record an error. Does not raise, because librdkafka calls it inside ``consume``."""
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
        """Raise the ``BrokerError`` that ``handle`` recorded, if any."""
        if self._refusal is not None:
            raise self._refusal

    def log(self, message: str, *args: object) -> None:
        """Log a warning, at most once in ``_LOG_EVERY_S``."""
        now = time.monotonic()
        if now - self._logged_at < _LOG_EVERY_S:
            self._unlogged += 1
            return
        _LOG.warning(message + " (%d similar errors since the last line)", *args, self._unlogged)
        self._logged_at, self._unlogged = now, 0


def request(call: Callable[[], T], consumer: Consumer, errors: ErrorHandler, stopping: Callable[[], bool]) -> T:
    """Return what ``call`` returns, and retry it while no broker answers. Blocks up to ``timeout_s``.

    Raises ``UnreachableError`` after that time or when ``stopping`` is true, ``BrokerError`` for an error that a retry does not fix.
    """
    cluster = errors._cluster
    deadline = time.monotonic() + cluster.timeout_s
    while True:
        try:
            return call()
        except KafkaException as problem:
            error: KafkaError = problem.args[0]
            errors.handle(error)
            consumer.poll(0)  # calls error_cb: only there a rejected login is visible; here it looks like a timeout
            errors.raise_if_refused()
            if not (error.retriable() or error.code() in _TRANSIENT):
                raise BrokerError(f"Kafka at {cluster.brokers} answered: {error.str()}.") from problem
            if time.monotonic() > deadline or stopping():
                raise UnreachableError(
                    f"Kafka at {cluster.brokers} did not answer for {cluster.timeout_s:.0f} s ({error.str()}); check the address, the "
                    "network and whether the brokers run."
                ) from problem
        time.sleep(_RETRY_S)


def unknown_topic(cluster: Cluster) -> BrokerError:
    """Return the error for a topic that the cluster does not have."""
    return BrokerError(f"Kafka at {cluster.brokers} has no topic {cluster.topic}; create it, or set ONRAMP_KAFKA_TOPIC to another one.")
