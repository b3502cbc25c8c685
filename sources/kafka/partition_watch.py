"""Finds partitions that are added to the topic while the job runs, and notices a topic that was created again.

Kafka goes on at the old offset in a topic that was deleted and created again, without a word. So the id of the topic is asked for again and
again, and at once when something may have happened (``topic_identity.py``).

Bytewax fixes the list of partitions at the start. So the source lists more than the topic has; the spare ones wait until their partition
appears. Partitions beyond the spare ones are read after a restart. Until then they count as lag, and a warning names them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from sources.errors import SourceError
from sources.kafka.client import REQUEST_S, Cluster, ErrorHandler
from sources.kafka.error_codes import Reaction, rule_for

_LOG = logging.getLogger(__name__)

WATCH_EVERY_S: Final = 10.0
"""How often the list of partitions and the id of the topic are read. Two small requests for each process."""
LEAST_SPARE: Final = 8
_LOOK_S: Final = 0.5  # between two looks at the stop request, and between two questions for the id while none was answered


def with_spares(partitions: list[int]) -> int:
    """Return how many partitions the source lists for a topic that has ``partitions``: enough for twice as many."""
    count = partitions[-1] + 1
    return count + max(count, LEAST_SPARE)


class PartitionWatch:
    """Asks about the topic in a thread, once in ``every_s``, until ``stopping()`` is true or ``stop`` is called.

    ``present`` holds the partitions that exist and have had a leader: without one, nothing can be read. ``lag`` gets an entry for each one
    from ``listed`` on, which nothing reads. ``saw`` gets the id of the topic, each time that it was asked for.
    """

    def __init__(
        self,
        cluster: Cluster,
        listed: int,
        present: list[int],
        lag: dict[int, int],
        saw: Callable[[str], None],
        *,
        stopping: Callable[[], bool],
        every_s: float,
    ) -> None:
        self.present = frozenset(present)
        self.confirmed_at = time.monotonic()
        """Everything that was read before this time (of ``time.monotonic``) is of the topic whose id ``saw`` got last."""
        self._cluster = cluster
        self._errors = ErrorHandler(cluster)
        self._reported: list[KafkaError] = []
        self._listed = listed
        self._lag = lag
        self._saw = saw
        self._stopping = stopping
        self._every_s = every_s
        self._asked_at = self.confirmed_at
        self._wake = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="kafka-partitions", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Tell the thread to end. Does not wait for it: it may be in a request to a broker that is down."""
        self._ended = True
        self._wake.set()

    def ask_again(self) -> float:
        """Let the id of the topic be asked for now. Does not block. Return the time that ``confirmed_at`` has then reached."""
        self._asked_at = time.monotonic()
        self._wake.set()
        return self._asked_at

    def _run(self) -> None:
        connected = self._connect()
        if connected is None:
            return
        consumer, admin = connected
        try:
            step, look_at = min(_LOOK_S, self._every_s), time.monotonic() + self._every_s
            while not self._ended and not self._stopping():
                self._wake.wait(step)
                self._wake.clear()
                now = time.monotonic()
                try:
                    if now >= look_at or self.confirmed_at < self._asked_at:
                        self._confirm(consumer, admin)
                    if now >= look_at:
                        look_at = now + self._every_s
                        self._look(consumer)
                except Exception as error:  # noqa: BLE001 - without this thread no new partition is found, and nobody would know
                    _LOG.warning("The partitions of %s cannot be listed now (%r); trying again", self._cluster.topic, error)
        finally:
            consumer.close()

    def _connect(self) -> tuple[Consumer, AdminClient] | None:
        """Connect, again and again while that fails: a file that the settings name may be in the middle of its replacement."""
        while not self._ended and not self._stopping():
            try:
                admin = self._cluster.admin()
                return self._cluster.connect(self._errors, error_cb=self._reported.append), admin
            except SourceError as error:
                self._errors.log("%s So nobody can ask whether %s is still the same topic; trying again", error, self._cluster.topic)
            self._wake.wait(_LOOK_S)
            self._wake.clear()
        return None

    def raise_if_refused(self) -> None:
        """Raise the ``BrokerError`` of a broker that refuses this job. Does not block. From any thread."""
        self._errors.raise_if_refused()

    def _confirm(self, consumer: Consumer, admin: AdminClient) -> None:
        began = time.monotonic()
        consumer.poll(0)  # calls error_cb: only there a refused login is visible
        self._reported.clear()  # of before this question; it may have passed
        try:
            self._saw(self._cluster.ask_topic_id(consumer, admin))
        except KafkaException as problem:
            consumer.poll(0)
            for error in self._reported:  # the partitions' own consumers report those that librdkafka retries
                if rule_for(error).reaction is Reaction.STOP:
                    self._errors.handle(error)
                elif error.code() != KafkaError._ALL_BROKERS_DOWN:
                    self._errors.last = error
            text = "%s does not tell whether it is still the same topic (%s)"
            self._errors.log(text, self._cluster.topic, (self._errors.last or problem.args[0]).str())
        else:
            self._errors.forget_refusal()
            self.confirmed_at, self._errors.last = began, None

    def _look(self, consumer: Consumer) -> None:
        topic = self._cluster.topic
        try:
            found = consumer.list_topics(topic, timeout=REQUEST_S).topics[topic]
            if found.error is not None:
                return
            ready = {index for index, partition in found.partitions.items() if partition.leader >= 0}
            new = sorted(ready - self.present)
            if new:
                self._announce(new)
            self.present |= set(new)
            for index in sorted(self.present):
                if index >= self._listed:
                    bounds: tuple[int, int] | None = consumer.get_watermark_offsets(TopicPartition(topic, index), timeout=REQUEST_S)
                    if bounds is not None:
                        self._lag[index] = max(0, bounds[1] - bounds[0])
        except (KafkaException, KeyError) as error:
            _LOG.debug("The partitions of %s cannot be listed now: %s", topic, error)

    def _announce(self, new: list[int]) -> None:
        topic = self._cluster.topic
        read = [index for index in new if index < self._listed]
        unread = [index for index in new if index >= self._listed]
        if read:
            _LOG.info("%s has new partitions; this job reads them from their beginning: %s", topic, _names(read))
        if unread:
            _LOG.warning(
                "%s has new partitions that this run cannot read; their messages count as lag. Restart the job to read them: %s",
                topic,
                _names(unread),
            )


def _names(partitions: list[int]) -> str:
    return ", ".join(map(str, partitions))
