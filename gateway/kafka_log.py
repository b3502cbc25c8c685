"""Writes events to a Kafka topic with an idempotent producer, and acknowledges what all in-sync replicas have."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicCollection
from confluent_kafka.admin import AdminClient

from gateway.event_log import Record, UnavailableError

_LOG = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.1
_CLOSE_SECONDS: Final = 5.0
_PROBE_SECONDS: Final = 2.0


class KafkaSettingsError(Exception):
    """librdkafka refuses the settings. The text is one sentence for the operator."""


class KafkaLog:
    """One producer, and one thread that takes its delivery reports. Use it on one event loop."""

    def __init__(self, client_config: Mapping[str, Any], topic: str, *, acknowledge_seconds: float) -> None:
        """Create the producer; it connects in the background. Raises ``KafkaSettingsError``.

        ``client_config`` holds brokers and credentials. A request waits for at most ``acknowledge_seconds``.
        """
        config = {
            "client.id": "onramp-gateway",
            "linger.ms": 5,  # requests that come together share a produce request
            "compression.type": "lz4",
            "partitioner": "murmur2_random",  # that of Java clients: events of one user meet in one partition, whoever sends them
            "queue.buffering.max.kbytes": 65_536,
            "log_level": 2,  # error_cb reports all that matters
            **client_config,
            "acks": "all",
            "enable.idempotence": True,
            "delivery.timeout.ms": max(1000, round(acknowledge_seconds * 1000)),
            "error_cb": self._note,
        }
        self._fault: str | None = None
        try:
            self._producer = Producer(config)
            self._admin = AdminClient({"log_level": 2, **client_config})
        except KafkaException as error:
            raise KafkaSettingsError(f"The Kafka client rejects ONRAMP_KAFKA_CONFIG ({error.args[0].str()}); correct it.") from error
        self._topic = topic
        self._acknowledge_seconds = acknowledge_seconds
        self._stopping = threading.Event()
        self._reports = threading.Thread(target=self._poll, name="kafka-delivery", daemon=True)
        self._reports.start()

    async def append(self, records: Sequence[Record]) -> None:
        """Return when the brokers have all records. Raises ``UnavailableError``; some of the records may be stored then."""
        if not records:
            return
        delivery = _Delivery(len(records))
        for number, record in enumerate(records):
            try:
                self._producer.produce(self._topic, record.value, record.key, headers=list(record.headers), on_delivery=delivery.report)
            except BufferError:
                delivery.give_up(len(records) - number)
                raise UnavailableError("Kafka is slower than its input", retry_after=2) from None
            except KafkaException as error:
                delivery.give_up(len(records) - number)
                raise UnavailableError(f"Kafka did not take the events ({error.args[0].str()})", retry_after=5) from error
        done, _ = await asyncio.wait((delivery.stored,), timeout=self._acknowledge_seconds)
        if not done:
            delivery.stored.cancel()
            raise UnavailableError(f"Kafka did not acknowledge within {self._acknowledge_seconds:g} seconds", retry_after=2)
        error_text = delivery.stored.result()
        if error_text:
            self._fault = error_text
            raise UnavailableError(f"Kafka did not store the events ({error_text})", retry_after=2)
        self._fault = None

    async def fault(self) -> str | None:
        """Ask the brokers for the topic; return the sentence where they do not have it, or do not answer in two seconds."""
        return await asyncio.get_running_loop().run_in_executor(None, self._probe)

    async def close(self) -> None:
        """Wait some seconds for what is under way, and stop the thread."""
        await asyncio.get_running_loop().run_in_executor(None, self._producer.flush, _CLOSE_SECONDS)
        self._stopping.set()
        await asyncio.get_running_loop().run_in_executor(None, self._reports.join, _CLOSE_SECONDS)

    def _poll(self) -> None:
        while not self._stopping.is_set():
            self._producer.poll(_POLL_SECONDS)

    def _probe(self) -> str | None:
        # Not by the producer's own metadata request: a broker may create the topic that it asks for.
        found = self._admin.describe_topics(TopicCollection([self._topic]), request_timeout=_PROBE_SECONDS)
        try:
            found[self._topic].result(timeout=2 * _PROBE_SECONDS)
        except KafkaException as problem:
            error: KafkaError = problem.args[0]
            if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return f"Kafka has no topic {self._topic}; create it, or set ONRAMP_KAFKA_TOPIC to another one."
            return f"Kafka does not answer ({error.str()}); check the brokers in ONRAMP_KAFKA_BROKERS."
        except TimeoutError:
            return "Kafka does not answer; check the brokers in ONRAMP_KAFKA_BROKERS."
        return None

    def _note(self, error: KafkaError) -> None:
        text = error.str()
        if text != self._fault:
            self._fault = text
            _LOG.warning("Kafka: %s; requests are answered with 503 until it is back", text)


class _Delivery:
    """Counts the delivery reports of one request, on the producer's thread. ``stored`` gets the first error's text, empty for none."""

    def __init__(self, records: int) -> None:
        self._loop = asyncio.get_running_loop()
        self.stored: asyncio.Future[str] = self._loop.create_future()
        self._left = records
        self._error = ""
        self._lock = threading.Lock()

    def report(self, error: KafkaError | None, _message: Message) -> None:
        """Take one report. Runs on the producer's thread."""
        with self._lock:
            if error is not None and not self._error:
                self._error = error.str()
            self._left -= 1
            ended = self._left == 0
        if ended:
            self._loop.call_soon_threadsafe(self._end)

    def give_up(self, records: int) -> None:
        """Expect no reports of the last ``records``, which were not given to the producer."""
        with self._lock:
            self._left -= records
        self.stored.cancel()

    def _end(self) -> None:
        if not self.stored.done():
            self.stored.set_result(self._error)
