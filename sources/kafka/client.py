"""Connects to a Kafka cluster: the configuration, the classification of errors, and retries while no broker answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from sources.errors import BrokerError, OffsetGapError, UnknownTopicError, UnreachableError
from sources.kafka.error_codes import CHECK_ADDRESS, CHECK_BROKERS, CHECK_PROTOCOL, CHECK_TLS, UNKNOWN_TOPIC, Reaction, rule_for

_LOG = logging.getLogger(__name__)
_LOG_EVERY_S = 30.0  # librdkafka reports a dead broker about twenty times a second
_RETRY_S = 0.25
_TOPIC_GRACE_S = 5.0  # a starting cluster may not know its topics yet
REQUEST_S: Final = 5.0
"""The time limit of one attempt of a request. A healthy cluster answers in milliseconds."""

T = TypeVar("T")


@dataclass(frozen=True)
class Cluster:
    """The address of a topic. ``settings`` are librdkafka properties (TLS, SASL, …); they are never logged.

    They override defaults, and nothing on which a guarantee rests.
    """

    brokers: str
    topic: str
    group: str
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict, repr=False)
    timeout_s: float = 60.0
    """How long to retry while the cluster does not answer: longer than the restart of a broker takes."""

    @property
    def request_s(self) -> float:
        """The time limit of one attempt, within ``timeout_s``."""
        return min(REQUEST_S, self.timeout_s)

    def connect(self, errors: ErrorHandler, **more: Any) -> Consumer:
        """Return a consumer, which connects in the background. Raises ``BrokerError`` if librdkafka rejects the settings."""
        config: dict[str, Any] = {
            "client.id": "onramp",
            "fetch.wait.max.ms": 250,  # how often an idle partition shows that its broker is alive
            "queued.max.messages.kbytes": 16_384,  # read-ahead for each partition
            "reconnect.backoff.max.ms": 2_000,
            "log_level": 2,  # error_cb reports all that matters
            **self.settings,
            "bootstrap.servers": self.brokers,
            "group.id": self.group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # a gap must be an error, not skipped
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
            "error_cb": errors.handle,
            **more,
        }
        try:
            return Consumer(config)
        except KafkaException as error:
            raise BrokerError(f"The Kafka settings are not valid: {error.args[0].str()}.") from error

    def admin(self, client: str = "onramp") -> AdminClient:
        """Return a client for questions about the cluster, which connects in the background. Raises as ``connect``."""
        config: dict[str, Any] = {
            "client.id": client,
            "log_level": 2,
            **self.settings,
            "bootstrap.servers": self.brokers,
            "allow.auto.create.topics": False,  # to librdkafka it is a producer, for which brokers create the topic that it asks for
        }
        try:
            return AdminClient(config)
        except KafkaException as error:
            raise BrokerError(f"The Kafka settings are not valid: {error.args[0].str()}.") from error

    def unreachable_advice(self) -> str:
        """Return what to check where no broker answers. A broker that refuses a certificate just closes the connection."""
        encrypted = "ssl" in str(self.settings.get("security.protocol", "")).lower()
        return f"{CHECK_ADDRESS}; {CHECK_TLS if encrypted else CHECK_PROTOCOL}"

    def partitions(self, stopping: Callable[[], bool]) -> list[int]:
        """Return the partitions of the topic. Blocks up to ``timeout_s`` while no broker answers. Raises ``SourceError``."""
        errors = ErrorHandler(self)
        consumer = self.connect(errors)
        unknown_until = time.monotonic() + _TOPIC_GRACE_S
        try:
            while True:
                metadata = request(lambda: consumer.list_topics(self.topic, timeout=self.request_s), consumer, errors, stopping)
                topic = metadata.topics.get(self.topic)
                if topic is not None and topic.error is None and topic.partitions:
                    return sorted(topic.partitions)
                if topic is not None and topic.error is not None and topic.error.code() not in UNKNOWN_TOPIC:
                    errors.handle(topic.error)
                    errors.raise_if_refused()
                if time.monotonic() > unknown_until or stopping():
                    raise unknown_topic(self)
                time.sleep(_RETRY_S)
        finally:
            consumer.close()

    def topic_id(self, stopping: Callable[[], bool]) -> str:
        """Return what tells this topic from one of the same name that was created later, or on another cluster.

        ``topic:ID``; ``cluster:ID`` where the brokers have no ids of topics, as before Kafka 2.8; empty where they tell neither. Blocks up
        to ``timeout_s`` while no broker answers. Raises ``SourceError``.
        """
        errors = ErrorHandler(self)
        consumer, admin = self.connect(errors), self.admin()
        try:
            return request(lambda: self.ask_topic_id(consumer, admin), consumer, errors, stopping)
        finally:
            consumer.close()

    def ask_topic_id(self, consumer: Consumer, admin: AdminClient) -> str:
        """Ask once for what ``topic_id`` returns. Blocks for some seconds at most. Raises ``KafkaException``."""
        timeout = self.request_s
        # The question goes to the controller that the client last heard of, and that broker may be down by now.
        admin.list_topics(self.topic, timeout=timeout)
        (future,) = admin.describe_topics(TopicCollection([self.topic]), request_timeout=timeout).values()
        topic = ""
        try:
            topic = str(future.result(timeout + 1).topic_id or "")
        except TimeoutError:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None
        except KafkaException as problem:
            if rule_for(problem.args[0]).reaction is Reaction.RETRY:
                raise
            # This broker does not tell it; what else is wrong with the topic comes with the next request.
        if topic.strip("A"):  # an id of zeros stands for none
            return f"topic:{topic}"
        cluster = consumer.list_topics(self.topic, timeout=timeout).cluster_id
        return f"cluster:{cluster}" if cluster else ""


class ErrorHandler:
    """Classifies what librdkafka reports. It logs, at a limited rate, what librdkafka retries, and raises what an operator must fix."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.last: KafkaError | None = None
        """The last error of the connection, which says more than that of a request that got no answer."""
        self._refusal: BrokerError | None = None
        self._logged_at = float("-inf")
        self._unlogged = 0

    def handle(self, error: KafkaError) -> None:
        """Record an error. Does not raise, because librdkafka calls it inside ``consume``."""
        rule = rule_for(error)
        if rule.reaction is Reaction.RETRY:
            if error.code() != KafkaError._ALL_BROKERS_DOWN:
                self.last = error
            self.log("Kafka at %s: %s; trying again", self.cluster.brokers, error.str())
        elif error.code() in UNKNOWN_TOPIC:
            self._refusal = unknown_topic(self.cluster)
        elif rule.reaction is Reaction.STOP:
            self._refusal = BrokerError(f"Kafka at {self.cluster.brokers} refuses this job ({error.str()}); {rule.advice}.")

    def raise_if_refused(self) -> None:
        """Raise the ``BrokerError`` that ``handle`` recorded, if any."""
        if self._refusal is not None:
            raise self._refusal

    def forget_refusal(self) -> None:
        """What was refused is expected for a moment, and asked for again."""
        self._refusal = None

    def log(self, message: str, *args: object) -> None:
        """Log a warning, at most once in ``_LOG_EVERY_S``."""
        now = time.monotonic()
        if now - self._logged_at < _LOG_EVERY_S:
            self._unlogged += 1
            return
        _LOG.warning(message + " (%d similar errors since the last line)", *args, self._unlogged)
        self._logged_at, self._unlogged = now, 0


def request(
    call: Callable[[], T], consumer: Consumer, errors: ErrorHandler, stopping: Callable[[], bool], *, timeout_s: float | None = None
) -> T:
    """Return what ``call`` returns, and retry it while no broker answers. Blocks up to ``timeout_s``, that of the cluster by default.

    Raises ``UnreachableError`` after that time or when ``stopping`` is true, ``BrokerError`` for an error that a retry does not fix.
    """
    cluster = errors.cluster
    timeout_s = cluster.timeout_s if timeout_s is None else timeout_s
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return call()
        except KafkaException as problem:
            error: KafkaError = problem.args[0]
            errors.handle(error)
            # Calls error_cb: only there a rejected login is visible, and a missing right only as a message; here both look like a timeout.
            message = consumer.poll(0)
            if message is not None and (reported := message.error()) is not None:
                errors.handle(reported)
            errors.raise_if_refused()
            rule = rule_for(error)
            if rule.reaction is not Reaction.RETRY:
                raise BrokerError(f"Kafka at {cluster.brokers} answered: {error.str()}; {rule.advice or CHECK_BROKERS}.") from problem
            if time.monotonic() > deadline or stopping():
                detail = (errors.last or error).str()
                raise UnreachableError(
                    f"Kafka at {cluster.brokers} did not answer for {timeout_s:.0f} s ({detail}); {cluster.unreachable_advice()}."
                ) from problem
        time.sleep(_RETRY_S)


def another_topic(cluster: Cluster, known: str, now: str, accept: str) -> OffsetGapError:
    """Return the error for a topic that has the name of the one that was read before, and another id. ``accept``: the setting."""
    return OffsetGapError(
        f"The topic {cluster.topic} is not the one that this data directory has read: it was created again, or it is that of another "
        f"cluster ({known} before, {now} now). Set ONRAMP_KAFKA_BROKERS to the right cluster, or begin with an empty data directory "
        f"(docs/runbook.md, 'Lost volume'). {accept}=true keeps the users and reads this topic from its earliest message."
    )


def unknown_topic(cluster: Cluster) -> UnknownTopicError:
    """Return the error for a topic that the cluster does not have."""
    return UnknownTopicError(
        f"Kafka at {cluster.brokers} has no topic {cluster.topic}; create it, or set ONRAMP_KAFKA_TOPIC to another one."
    )
