"""Reads events from a Kafka topic, with one Bytewax partition for each Kafka partition. Log time comes from the broker's timestamps.

No content of a message ends the job. What cannot be read (``sources/kafka/record.py``), decoded (``sources/kafka/schema_registry.py``) or
fetched becomes a message with a ``fault``, and thus a dead letter with its position.

Delivery: at least once. A snapshot holds the offset, so a resume is exact. Without one a partition starts at the earliest message, because
state needs the whole history. The source commits an offset to the consumer group only after the epoch of that offset is durable, and does
not wait for the commit. It is for lag tools: a job never starts there, since a data directory that was lost took the state with it.

Log time follows the broker's timestamps, and the wall clock while a partition is idle and its broker confirms that it was read to the end
(``sources/log_time.py``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from bytewax.inputs import FixedPartitionedSource
from typing_extensions import override

from sources.alignment import PartitionAlignment
from sources.batching import BatchPolicy
from sources.kafka.client import Cluster, another_topic
from sources.kafka.closing import ConsumerCloser
from sources.kafka.partition import ACCEPT_GAP_SETTING, Partition
from sources.kafka.partition_watch import WATCH_EVERY_S, PartitionWatch, with_spares
from sources.kafka.schema_registry import SchemaRegistry
from sources.kafka.snapshot import Snapshot, dump
from sources.kafka.spare_partition import SparePartition
from sources.log_ids import is_another
from sources.log_time import IDLE_MARGIN_MS, TimeState
from sources.positions import Positions
from state.messages import Message, Tick
from state.never import never


class KafkaSource(FixedPartitionedSource[Message | Tick, Snapshot | None]):
    """Reads all partitions of the cluster's topic.

    Partitions of this process are kept in step (``sources/alignment.py``); ``in_order``: their messages come in the order of log time,
    which makes batches small.

    ``now`` returns wall-clock milliseconds. ``accept_gap``: if the position is no longer in the topic, or is that of another topic with the
    same name, continue at the earliest message instead of raising ``OffsetGapError``. ``tail=False`` ends each partition at its end. While
    ``paused()`` is true nothing is read. Once ``stopping()`` is true every partition ends, which gives a final snapshot. ``lag`` is the
    number of messages behind, for each partition of this process; ``positions`` says how far it is. Partitions that are new since the
    last run start like those of a new job, and so do those that appear while the job runs (``sources/kafka/partition_watch.py``).
    ``known``: the partitions that the recovery store has. The topic may have fewer, if it was created again: of those that are gone only
    the time goes on. ``registry`` decodes messages with the framing of a schema registry, None rejects them. Raises ``SourceError``.
    """

    def __init__(
        self,
        cluster: Cluster,
        policy: BatchPolicy,
        *,
        now: Callable[[], int],
        accept_gap: bool = False,
        tail: bool = True,
        in_order: bool = False,
        stopping: Callable[[], bool] = never,
        paused: Callable[[], bool] = never,
        registry: SchemaRegistry | None = None,
        known: Collection[int] = (),
        watch_every_s: float = WATCH_EVERY_S,
    ) -> None:
        self.cluster = cluster
        self.policy = policy
        self.now = now
        self.accept_gap = accept_gap
        self.tail = tail
        self.stopping = stopping
        self.paused = paused
        self.registry = registry
        self.known = known
        self.watch_every_s = watch_every_s
        self.closer = ConsumerCloser(cluster.topic)
        self.lag: dict[int, int] = {}
        self.positions = Positions()
        self.alignment = PartitionAlignment(now=None, most_ahead_ms=0) if in_order else PartitionAlignment(now=now)
        self.opened: set[int] = set()
        """The partitions of the topic that this process reads."""
        self._present: list[int] = []
        self._listed = 0
        self.watch: PartitionWatch | None = None
        """Asks about the topic while the job runs; None for a source that ends where the topic does."""
        self._lock = threading.Lock()
        self._topic_id: str | None = None

    @override
    def list_parts(self) -> list[str]:
        """Return the partitions of the cluster's topic, spare ones that may appear later, and those that are gone.

        Blocks up to ``cluster.timeout_s``.
        """
        self._present = self.cluster.partitions(self.stopping)
        self._listed = max(with_spares(self._present), max(self.known, default=-1) + 1) if self.tail else 0
        indices = range(self._listed) if self.tail else self._present
        return [f"{self.cluster.topic}:{index}" for index in indices]

    @property
    def topic_id(self) -> str:
        """The id of the topic that was seen last. The first time it blocks up to ``cluster.timeout_s``. Raises ``SourceError``."""
        if self._topic_id is None:
            with self._lock:
                if self._topic_id is None:
                    self._topic_id = self.cluster.topic_id(self.stopping)
        return self._topic_id

    def is_in_another_topic(self, known: str) -> bool:
        """Whether a position in the topic with the id ``known`` is in another one than this, which ``accept_gap`` accepts.

        Blocks as ``topic_id``. Raises ``OffsetGapError`` where it is not accepted.
        """
        if not is_another(known, self.topic_id):
            return False
        if not self.accept_gap:
            raise another_topic(self.cluster, known, self.topic_id, ACCEPT_GAP_SETTING)
        return True

    def time_passed(self) -> int | None:
        """The log time (ms) that all partitions of the topic have reached, of those that this process reads; None if it is not known yet.

        A process that reads none goes by its clock: the store of a job is in one process, which may read spare partitions only.
        """
        opened, of = tuple(self.opened), self.positions.of
        if not opened:
            return self.now() - IDLE_MARGIN_MS
        return min(of[index].log_time for index in opened) if all(index in of for index in opened) else None

    def snapshot_at(self, offset: int, time: TimeState, *, log_id: str, stamp: int) -> Snapshot:  # noqa: ARG002 - as of the local log
        """Return a snapshot with which a partition begins at ``offset`` of the topic with the id ``log_id``."""
        return dump(offset, time, log_id)

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: Snapshot | None) -> Partition | SparePartition:
        """Open a partition at its position. Blocks up to ``cluster.timeout_s``."""
        index = int(for_part.rpartition(":")[2])
        with self._lock:  # workers build their partitions at the same time
            if self.watch is None and self._listed:
                self.watch = PartitionWatch(
                    self.cluster, self._listed, self._present, self.lag, self._saw, stopping=self.stopping, every_s=self.watch_every_s
                )
                self.watch.start()
        if self.watch is None or index >= self._listed or index in self._present:  # a caller may build a partition that it has not listed
            return Partition(self, index, resume_state)
        return SparePartition(self, self.watch, index, resume_state)

    def _saw(self, topic_id: str) -> None:
        if is_another(self.topic_id, topic_id):
            self._topic_id = topic_id
