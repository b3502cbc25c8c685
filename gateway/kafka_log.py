"""Writes events to a Kafka topic with an idempotent producer, and acknowledges what all in-sync replicas have."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicCollection
from confluent_kafka.admin import AdminClient

from gateway.log import OversizeError, Record, UnavailableError
from gateway.recent_answer import RecentAnswer

_LOG = logging.getLogger(__name__)

_BUSY_SECONDS: Final = 0.002
"""Between two looks for delivery reports while requests wait for them: `python -m benchmarks.gateway --log broker` chose it."""
_IDLE_SECONDS: Final = 0.1
_CLOSE_SECONDS: Final = 5.0
_PROBE_SECONDS: Final = 2.0
_RENEW_SECONDS: Final = 5.0
"""Pause before the next producer after one that ended: what ended it, such as a missing permission, may last."""
_WARN_SECONDS: Final = 10.0
_MESSAGE_BYTES: Final = 2_097_152
"""What the client sends. Twice the largest event: whether one is too large is for the topic to say."""
_LARGE: Final = 65_536
"""Bytes. Twice a payload: where the broker finds a smaller event too large, it means the batch that the event was in."""


class KafkaSettingsError(Exception):
    """librdkafka refuses the settings. The text is one sentence for the operator."""


class KafkaLog:
    """One producer. Use it on one event loop, which takes the delivery reports too.

    A thread of its own for them would fight with the loop for the interpreter over every single report.
    """

    def __init__(
        self,
        client_config: Mapping[str, Any],
        topic: str,
        *,
        acknowledge_seconds: float,
        renew_seconds: float = _RENEW_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the producer; it connects in the background. Raises ``KafkaSettingsError``.

        ``client_config`` holds brokers and credentials. A request waits for at most ``acknowledge_seconds``. ``clock`` is in seconds.
        """
        self._config: dict[str, Any] = {
            "client.id": "onramp-gateway",
            "linger.ms": 5,  # requests that come together share a produce request
            "compression.type": "lz4",
            "partitioner": "murmur2_random",  # that of Java clients: events of one user meet in one partition, whoever sends them
            "queue.buffering.max.kbytes": 65_536,
            "message.max.bytes": _MESSAGE_BYTES,
            "log_level": 2,  # error_cb reports all that matters
            **client_config,
            "acks": "all",
            "enable.idempotence": True,
            "allow.auto.create.topics": False,  # a mistyped or deleted one would be made with the default number of partitions
            "delivery.timeout.ms": max(1000, round(acknowledge_seconds * 1000)),
            "error_cb": lambda error: self._warn(error.str()),
        }
        self._renew_seconds = renew_seconds
        self._clock = clock
        self._warned_at = float("-inf")
        self._unsaid = 0
        self._fatal: str | None = None
        try:
            self._producer = Producer(self._config)
            self._admin = AdminClient({"log_level": 2, **client_config})
        except KafkaException as error:
            raise KafkaSettingsError(f"The Kafka client rejects ONRAMP_KAFKA_CONFIG ({error.args[0].str()}); correct it.") from error
        self._topic = topic
        self._acknowledge_seconds = acknowledge_seconds
        self._probed = RecentAnswer(self._probe_in_thread)
        self._open: deque[_Delivery] = deque()  # the oldest come first
        self._next_look: asyncio.TimerHandle | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._closed = False

    async def append(self, records: Sequence[Record]) -> None:
        """Return when the brokers have all records.

        Raises ``UnavailableError``, when some of the records may be stored, and ``OversizeError`` when all others are.
        """
        try:
            await self._append(records)
        except UnavailableError as error:
            self._warn(str(error))
            raise

    async def _append(self, records: Sequence[Record]) -> None:
        if not records:
            return
        self._look_within(_BUSY_SECONDS)
        if self._fatal is not None:
            raise UnavailableError(self._fatal, retry_after=math.ceil(self._renew_seconds))
        delivery = _Delivery(len(records), self._acknowledge_seconds)
        self._open.append(delivery)
        for number, record in enumerate(records):
            headers: list[tuple[str, str | bytes | None]] = list(record.headers)
            try:
                self._producer.produce(self._topic, record.value, record.key, headers=headers or None, on_delivery=delivery.report)
            except BufferError:
                delivery.give_up(len(records) - number)
                raise UnavailableError("Kafka is slower than its input", retry_after=2) from None
            except KafkaException as error:
                if error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    delivery.refuse(record.value)
                    continue
                delivery.give_up(len(records) - number)
                raise UnavailableError(f"Kafka did not take the events ({error.args[0].str()})", retry_after=5) from error
        error_text = await delivery.stored
        if error_text:
            raise UnavailableError(f"Kafka did not store the events ({error_text})", retry_after=2)
        if delivery.too_large:
            raise OversizeError(delivery.too_large)

    async def fault(self) -> str | None:
        """Return why the producer ended, if it did. Else ask the brokers for the topic; return the sentence where they do not have it, or
        do not answer in two seconds. They are asked every two seconds at most.
        """
        self._look_within(_IDLE_SECONDS)
        return self._fatal if self._fatal is not None else await self._probed.answer()

    async def close(self) -> None:
        """Wait some seconds for what is under way."""
        self._closed = True
        if self._next_look is not None:
            self._next_look.cancel()
        if self._renewing is not None:
            self._renewing.cancel()
        with suppress(KafkaException):  # of a producer that has ended
            await asyncio.get_running_loop().run_in_executor(None, self._producer.flush, _CLOSE_SECONDS)
        self._give_up(math.inf)

    def _look_within(self, seconds: float) -> None:
        """Take delivery reports in ``seconds`` at the latest, and again and again from then on."""
        loop = asyncio.get_running_loop()
        planned = self._next_look
        if self._closed or self._renewing is not None or (planned is not None and planned.when() <= loop.time() + seconds):
            return
        if planned is not None:
            planned.cancel()
        self._next_look = loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._next_look = None
        try:
            self._producer.poll(0)
        except KafkaException as problem:  # the client raises here what ends an idempotent producer for good
            self._renewing = asyncio.create_task(self._renew(problem.args[0]))
            return
        except Exception:  # noqa: BLE001 - a bug; without the next look no request would ever be answered again
            _LOG.exception("a delivery report could not be taken")
        self._give_up(asyncio.get_running_loop().time())
        self._look_within(_BUSY_SECONDS if self._open else _IDLE_SECONDS)

    def _give_up(self, now: float) -> None:
        """Answer the requests whose time is over; what they sent may still be stored. One timer for each would cost more than this look."""
        while self._open and ((oldest := self._open[0]).stored.done() or oldest.deadline <= now):
            self._open.popleft()
            if not oldest.stored.done():
                sentence = f"Kafka did not acknowledge within {self._acknowledge_seconds:g} seconds"
                oldest.stored.set_exception(UnavailableError(sentence, retry_after=2))

    async def _renew(self, error: KafkaError) -> None:
        """Replace a producer that has ended. What it had not sent is answered with 503, and sent again with the same ids."""
        self._fatal = f"Kafka ended the producer ({error.str()}); check its permissions and the brokers"
        _LOG.error("%s; a new one is made every %g s until it works, and requests are answered with 503", self._fatal, self._renew_seconds)
        with suppress(KafkaException):
            self._producer.purge()
        with suppress(KafkaException):
            await asyncio.get_running_loop().run_in_executor(None, self._producer.flush, _IDLE_SECONDS)
        while self._fatal is not None:
            await asyncio.sleep(self._renew_seconds)
            try:
                self._producer = Producer(self._config)
            except KafkaException as problem:  # a file that the settings name may be in the middle of its replacement
                said = problem.args[0].str()
                sentence = f"Kafka's client makes no new producer ({said}); correct ONRAMP_KAFKA_CONFIG, or the files that it names"
                if sentence != self._fatal:
                    _LOG.error("%s", sentence)
                self._fatal = sentence
            else:
                self._fatal = None
        self._renewing = None
        self._look_within(_IDLE_SECONDS)

    async def _probe_in_thread(self) -> str | None:
        return await asyncio.get_running_loop().run_in_executor(None, self._probe)

    def _probe(self) -> str | None:
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

    def _warn(self, text: str) -> None:
        """Say why events are not stored, every ``_WARN_SECONDS`` at most."""
        now = self._clock()
        if now - self._warned_at < _WARN_SECONDS:
            self._unsaid += 1
            return
        more = f" ({self._unsaid} more failures since the last line)" if self._unsaid else ""
        self._warned_at, self._unsaid = now, 0
        _LOG.warning("%s; requests are answered with 503 until it is back%s", text, more)


class _Delivery:
    """Counts the delivery reports of one request. ``stored`` gets the first error's text, empty for none.

    Reports come on the event loop, as all else; but when a producer is flushed, they come on another thread. There is no lock, which would
    cost more than the report: appending is atomic, only the loop changes ``_expected``, and whoever comes last sees both.
    """

    def __init__(self, records: int, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.deadline = self._loop.time() + seconds
        self._thread = threading.get_ident()
        self.stored: asyncio.Future[str] = self._loop.create_future()
        self._expected = records
        self._reports: list[None] = []
        self._error = ""
        self.too_large: list[bytes] = []

    def report(self, error: KafkaError | None, message: Message) -> None:
        """Take one report. Any thread may call it."""
        if error is not None:
            value = message.value() or b""
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE and len(value) > _LARGE:
                self.too_large.append(value)
            elif not self._error:
                self._error = error.str()
        self._reports.append(None)
        if len(self._reports) == self._expected:
            if threading.get_ident() == self._thread:
                self._end()
            else:
                self._loop.call_soon_threadsafe(self._end)

    def refuse(self, value: bytes) -> None:
        """Expect no report of one record, which is larger than the client sends."""
        self.too_large.append(value)
        self._expected -= 1
        if len(self._reports) == self._expected:
            self._loop.call_soon(self._end)

    def give_up(self, records: int) -> None:
        """Expect no reports of the last ``records``, which were not given to the producer."""
        self._expected -= records
        self.stored.cancel()

    def _end(self) -> None:
        if not self.stored.done():
            self.stored.set_result(self._error)
