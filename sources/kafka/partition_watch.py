"""Finds partitions that are added to the topic while the job runs.

Bytewax fixes the list of partitions at the start. So the source lists more than the topic has; the spare ones wait until their partition
appears. Partitions beyond the spare ones are read after a restart. Until then they count as lag, and a warning names them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from sources.errors import SourceError
from sources.kafka.client import Cluster, ErrorHandler

_LOG = logging.getLogger(__name__)

WATCH_EVERY_S: Final = 10.0
"""How often the list of partitions is read. One small request for each process."""
LEAST_SPARE: Final = 8
_LOOK_S: Final = 0.5  # between two looks at the stop request
_REQUEST_S: Final = 5.0


def with_spares(partitions: list[int]) -> int:
    """Return how many partitions the source lists for a topic that has ``partitions``: enough for twice as many."""
    count = partitions[-1] + 1
    return count + max(count, LEAST_SPARE)


class PartitionWatch:
    """Reads the list of partitions in a thread, once in ``every_s``, until ``stopping()`` is true or ``stop`` is called.

    ``present`` holds the partitions that exist and have had a leader: without one, nothing can be read. ``lag`` gets an entry for each one
    from ``listed`` on, which nothing reads.
    """

    def __init__(
        self, cluster: Cluster, listed: int, present: list[int], lag: dict[int, int], *, stopping: Callable[[], bool], every_s: float
    ) -> None:
        self.present = frozenset(present)
        self._cluster = cluster
        self._listed = listed
        self._lag = lag
        self._stopping = stopping
        self._every_s = every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kafka-partitions", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Tell the thread to end. Does not wait for it: it may be in a request to a broker that is down."""
        self._ended.set()

    def _run(self) -> None:
        try:
            # The partitions' own consumers report errors of the connection.
            consumer = self._cluster.connect(ErrorHandler(self._cluster), error_cb=lambda _error: None)
        except SourceError:
            return  # nor could they connect, and the job ends for it
        try:
            step, waited = min(_LOOK_S, self._every_s), 0.0
            while not self._ended.wait(step) and not self._stopping():
                waited += step
                if waited >= self._every_s:
                    waited = 0.0
                    try:
                        self._look(consumer)
                    except Exception as error:  # noqa: BLE001 - without this thread no new partition is found, and nobody would know
                        _LOG.warning("The partitions of %s cannot be listed now (%r); trying again", self._cluster.topic, error)
        finally:
            consumer.close()

    def _look(self, consumer: Consumer) -> None:
        topic = self._cluster.topic
        try:
            found = consumer.list_topics(topic, timeout=_REQUEST_S).topics[topic]
            if found.error is not None:
                return
            ready = {index for index, partition in found.partitions.items() if partition.leader >= 0}
            new = sorted(ready - self.present)
            if new:
                self._announce(new)
            self.present |= set(new)
            for index in sorted(self.present):
                if index >= self._listed:
                    bounds: tuple[int, int] | None = consumer.get_watermark_offsets(TopicPartition(topic, index), timeout=_REQUEST_S)
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
