"""Writes dead letters to a Kafka topic. Items are ``(key, [letter, …])``.

A letter keeps the original value, key and headers. The sink adds the headers ``onramp-reason``, ``onramp-detail``, ``onramp-topic``,
``onramp-partition``, ``onramp-offset``, ``onramp-log-time`` and ``onramp-attempts``, which ``letter_of`` reads. ``onramp dlq replay`` sends
a letter again. After a crash a letter may be in the topic twice; topic, partition and offset identify duplicates (``DeadLetter.id``).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from state.never import never
from state.quantity import count
from state.records.dead_letter import OWN_PREFIX, DeadLetter, Header
from state.times import milliseconds_of, rfc3339_or_none

_LOG = logging.getLogger(__name__)
_EXCERPT: Final = 65_536  # bytes that are kept of a value that is too large for the topic; its position leads to the original
_POLL_SECONDS: Final = 0.5  # between two polls of ``stopping``
_SHORTEST: Final = 2

_TOO_LARGE: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_MSG_SIZE})

Advise = Callable[[KafkaError], str]


def _no_advice(_error: KafkaError) -> str:
    return "check the brokers"


class DeadLetterTopicError(Exception):
    """The topic did not accept all letters. The text is one sentence for the operator. The resumed job writes them again."""


class DeadLetterTopicSink(FixedPartitionedSink[list[DeadLetter], None]):
    """Writes at least once: an epoch becomes durable only after the brokers acknowledged all its letters."""

    def __init__(
        self,
        client_config: Mapping[str, Any],
        topic: str,
        *,
        give_up_seconds: float = 300.0,
        stopping: Callable[[], bool] = never,
        advise: Advise = _no_advice,
    ) -> None:
        """Open no connection yet.

        ``client_config`` is for librdkafka and contains the brokers and credentials. ``give_up_seconds`` is the longest wait for the
        acknowledgement of a letter.
        ``advise`` returns what to do about an error, as a part of a sentence.
        """
        self._config = {
            "linger.ms": 20,  # letters come in bursts, and no reader needs one at once
            "compression.type": "lz4",  # the original may just fit, and the sink adds headers
            "message.max.bytes": 64_000_000,  # the broker checks the size, not the client
            **client_config,
            "acks": "all",
            "enable.idempotence": True,
            "delivery.timeout.ms": max(100, round(give_up_seconds * 1000)),  # it must be larger than linger.ms
        }
        self._topic = topic
        self._give_up_seconds = give_up_seconds
        self._stopping = stopping
        self._advise = advise

    def list_parts(self) -> list[str]:
        """Return the one partition. The engine assigns it to a worker."""
        return ["0"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> DeadLetterTopic:  # noqa: ARG002 - the engine's signature
        """Create a producer. Raises ``DeadLetterTopicError`` if librdkafka rejects the configuration."""
        try:
            producer = Producer(self._config, logger=_LOG)
        except KafkaException as error:
            raise DeadLetterTopicError(f"The Kafka client rejects ONRAMP_KAFKA_CONFIG ({error.args[0].str()}); correct it.") from error
        return DeadLetterTopic(producer, self._topic, self._give_up_seconds, self._stopping, self._advise)


class DeadLetterTopic(StatefulSinkPartition[list[DeadLetter], None]):
    """One producer. A letter that is too large is written again with the beginning of its value, and then without key and headers.

    Its position leads to the original.
    """

    def __init__(
        self,
        producer: Producer,
        topic: str,
        give_up_seconds: float,
        stopping: Callable[[], bool] = never,
        advise: Advise = _no_advice,
    ) -> None:
        """Use and own ``producer``. ``give_up_seconds`` is in seconds."""
        self._producer = producer
        self._topic = topic
        self._give_up_seconds = give_up_seconds
        self._stopping = stopping
        self._advise = advise
        self._failure: KafkaError | None = None
        self._failed = 0
        self._too_large: list[tuple[DeadLetter, int]] = []

    def write_batch(self, values: list[list[DeadLetter]]) -> None:
        """Give all letters to the producer. Blocks only while its queue is full. Raises ``DeadLetterTopicError``."""
        for letters in values:
            for letter in letters:
                self._produce(letter)
        self._producer.poll(0)
        self._check()

    def snapshot(self) -> None:
        """Return when the brokers have all letters. Blocks while they are down. Raises ``DeadLetterTopicError`` if one was refused."""
        self._flush()
        while self._too_large:
            too_large, self._too_large = self._too_large, []
            for letter, shortened in too_large:
                self._produce(letter, shortened + 1)
            self._flush()
        self._check()

    def close(self) -> None:
        """Do nothing: after the last epoch no letter is pending."""

    def _flush(self) -> None:
        deadline = time.monotonic() + self._give_up_seconds + _POLL_SECONDS  # the producer gives up first and reports the reason
        while self._producer.flush(_POLL_SECONDS):
            self._check()
            if self._stopping() or time.monotonic() >= deadline:
                raise self._error(
                    f"{count(len(self._producer), 'letter was', 'letters were')} not acknowledged", "check that the brokers can be reached"
                )

    def _produce(self, letter: DeadLetter, shortened: int = 0) -> None:
        """Give a letter to the producer. ``shortened``: 0 whole, 1 with the beginning of its value, 2 also without key and headers."""
        value = letter.raw[:_EXCERPT] if shortened else letter.raw
        key = letter.key if shortened < _SHORTEST else None
        headers = _headers(letter, shortened)
        deadline = time.monotonic() + self._give_up_seconds
        while True:
            try:
                self._producer.produce(self._topic, value, key, headers=headers, on_delivery=self._report(letter, shortened))
            except BufferError:  # the queue is full; acknowledgements free it
                self._producer.poll(_POLL_SECONDS)
                self._check()
                if self._stopping() or time.monotonic() >= deadline:
                    raise self._error("the queue of the producer is full", "check that the brokers can be reached") from None
            except KafkaException as error:
                self._handle_failure(error.args[0], letter, shortened)
                return
            else:
                return

    def _report(self, letter: DeadLetter, shortened: int) -> Callable[[KafkaError | None, Message], None]:
        def on_delivery(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                self._handle_failure(error, letter, shortened)

        return on_delivery

    def _handle_failure(self, error: KafkaError, letter: DeadLetter, shortened: int) -> None:
        if error.code() in _TOO_LARGE and shortened < _SHORTEST:
            self._too_large.append((letter, shortened))
        else:
            self._failure = self._failure or error
            self._failed += 1

    def _check(self) -> None:
        if self._failure is not None:
            raise self._error(f"{count(self._failed, 'letter')} failed, the first with: {self._failure.str()}", self._advise(self._failure))

    def _error(self, what: str, advice: str) -> DeadLetterTopicError:
        return DeadLetterTopicError(
            f"The dead-letter topic {self._topic} did not accept all letters ({what}); {advice} and restart the job, it resumes by itself."
        )


def _headers(letter: DeadLetter, shortened: int) -> list[tuple[str, str | bytes | None]]:
    """Return the original headers and those of the sink. Original ones with the sink's prefix are dropped: they would mislead a replay."""
    own = {
        "reason": letter.reason,
        "detail": letter.detail,
        "topic": letter.topic,
        "partition": str(letter.partition),
        "offset": str(letter.offset),
        "log-time": rfc3339_or_none(letter.log_time) or "",
        "attempts": str(letter.attempts),
    }
    if shortened:
        own["shortened-from-bytes"] = str(len(letter.raw))
    kept = letter.headers if shortened < _SHORTEST else ()
    original: list[tuple[str, str | bytes | None]] = [(name, value) for name, value in kept if not name.startswith(OWN_PREFIX)]
    return [*original, *((OWN_PREFIX + name, text.encode()) for name, text in own.items())]


def letter_of(value: bytes | None, key: bytes | None, headers: tuple[Header, ...]) -> DeadLetter:
    """Read a message of the topic. Raises ``ValueError`` for one that this sink did not write."""
    own = {name.removeprefix(OWN_PREFIX): (text or b"").decode("utf-8", "replace") for name, text in headers if name.startswith(OWN_PREFIX)}
    try:
        return DeadLetter(
            reason=own["reason"],
            detail=own["detail"],
            raw=value or b"",
            topic=own["topic"],
            partition=int(own["partition"]),
            offset=int(own["offset"]),
            log_time=milliseconds_of(own["log-time"]) if own["log-time"] else -1,
            key=key,
            headers=tuple(header for header in headers if not header[0].startswith(OWN_PREFIX)),
            attempts=int(own.get("attempts", "1")),
            whole_bytes=int(own.get("shortened-from-bytes", "0")),
        )
    except KeyError as error:
        raise ValueError(f"not a dead letter: it has no header {OWN_PREFIX}{error.args[0]}") from error
