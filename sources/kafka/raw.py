"""A Kafka topic as it is, for the archive: a consumer with a group of its own, whose commits say to lag tools how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Record

from sources.errors import OffsetGapError, UnreachableError
from sources.kafka.client import REQUEST_S, Cluster, ErrorHandler, request
from sources.kafka.closing import ConsumerCloser
from sources.kafka.error_codes import Reaction, rule_for
from sources.kafka.partition_watch import WATCH_EVERY_S
from sources.kafka.record import DAMAGED, key_and_headers, time_of, value_of
from sources.log_ids import is_another
from sources.raw_log import UNREADABLE_HEADER, RawBatch, RawRow
from state.never import never

_AT_ONCE: Final = 1_000
_WAIT_S: Final = 0.5


class KafkaRawLog:
    """Reads all partitions of the cluster's topic, also those that are added later. ``accept``: the setting that accepts a gap."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        accept_gap: bool,
        accept: str,
        stopping: Callable[[], bool] = never,
        watch_every_s: float = WATCH_EVERY_S,
    ) -> None:
        self.name = cluster.topic
        self._cluster = cluster
        self._accept_gap = accept_gap
        self._accept = accept
        self._stopping = stopping
        self._watch_every_s = watch_every_s
        self._look_at = 0.0
        self._errors = ErrorHandler(cluster)
        self._consumer = cluster.connect(self._errors, on_commit=self._on_commit)
        self._id = ""
        self._checked = True
        self._next: dict[int, int] = {}
        self._skipped: dict[int, int] = {}

    @property
    def id(self) -> str:
        """The id of the topic. Blocks up to the time limit of the cluster while no broker answers. Raises ``SourceError``."""
        self._id = self._cluster.topic_id(self._stopping)
        return self._id

    def start(self, positions: Mapping[int, int]) -> list[int]:
        """Begin at these offsets. Blocks up to the time limit of the cluster while no broker answers."""
        for partition in self._cluster.partitions(self._stopping):
            low = self._earliest(partition)
            self._next[partition] = positions.get(partition, low)
            self._check(partition, low)
        self._look_at = time.monotonic() + self._watch_every_s
        self._assign()
        return list(self._next)

    def poll(self) -> list[RawBatch]:
        """Return what is new."""
        self._watch()
        rows: dict[int, list[RawRow]] = {}
        ends: set[int] = set()
        for record in self._consumer.consume(_AT_ONCE, _WAIT_S):
            self._take(record, rows, ends)
        self._errors.raise_if_refused()
        self._checked = self._checked and not rows
        concerned = sorted({*rows, *ends, *self._skipped})
        return [RawBatch(each, rows.get(each, ()), each in ends, self._skipped.pop(each, None)) for each in concerned]

    def check(self) -> None:
        """Ask for the id of the topic, once after each batch with messages."""
        while not self._checked:
            try:
                now = self._cluster.topic_id(self._stopping)
            except UnreachableError:
                if self._stopping():
                    raise
                continue
            if is_another(self._id, now):
                raise OffsetGapError(
                    f"The topic {self.name} was created again while it was archived ({self._id} before, {now} now); archive the new one in "
                    "another directory."
                )
            self._checked = True

    def look_again(self) -> None:
        """Fetch again from every position, which tells the end again."""
        self._assign()

    def commit(self, positions: Mapping[int, int]) -> None:
        """Commit offsets to the group, in the background."""
        places = [TopicPartition(self.name, partition, offset) for partition, offset in positions.items()]
        if places:
            self._consumer.commit(offsets=places, asynchronous=True)

    def close(self) -> None:
        """Close the consumer, once its commits were answered. Without a broker it waits for some seconds only."""
        ConsumerCloser(self.name).close(self._consumer)

    def _take(self, record: Record, rows: dict[int, list[RawRow]], ends: set[int]) -> None:
        error, partition, offset = record.error(), record.partition() or 0, record.offset() or 0
        if error is None:
            if offset >= self._next[partition]:
                ends.discard(partition)
                rows.setdefault(partition, []).append(self._row(record, offset))
                self._next[partition] = offset + 1
        elif error.code() == KafkaError._PARTITION_EOF:
            self._next[partition] = max(self._next[partition], offset)  # past control records of transactions
            ends.add(partition)
        elif rule_for(error).reaction is Reaction.GAP:
            if partition not in rows:  # else what was read before goes first; the error comes again
                self._check(partition, self._earliest(partition), missing=True)
            self._assign()
        elif rule_for(error).reaction is Reaction.REJECT and not self._beyond_end(record):
            offset = max(self._next[partition], offset)
            header = (UNREADABLE_HEADER, error.str().encode())
            rows.setdefault(partition, []).append(RawRow(offset, None, None, None, (header,)))
            self._next[partition] = offset + 1
            self._assign()  # the library may deliver the same error again, or go on behind a whole compressed batch
        else:
            self._errors.handle(error)

    def _row(self, record: Record, offset: int) -> RawRow:
        value, fault = value_of(record)
        key, headers = key_and_headers(record, self._complain)
        if fault is DAMAGED:
            headers = ((UNREADABLE_HEADER, DAMAGED[1].encode()), *headers)
        return RawRow(offset, time_of(record, self._complain), key, None if fault is not None else value, headers)

    def _check(self, partition: int, low: int, *, missing: bool = False) -> None:
        """Handle a position that is before ``low``, the earliest message, or after the end. ``missing``: the broker does not have it."""
        offset = self._next[partition]
        gap = f"{self.name}[{partition}] must be archived from offset {offset}, which is not in the topic (it starts at {low})"
        if offset < low:
            if not self._accept_gap:
                raise OffsetGapError(
                    f"{gap}: messages were deleted before they were archived. Set {self._accept}=true to go on at {low}; the archive then "
                    "has a gap."
                )
            self._next[partition] = self._skipped[partition] = low
        elif missing:
            raise OffsetGapError(f"{gap}: the topic was created again or restored. Archive it into another directory.")

    def _assign(self) -> None:
        self._consumer.assign([TopicPartition(self.name, partition, offset) for partition, offset in self._next.items()])

    def _watch(self) -> None:
        """Look for partitions that were added, now and then."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + self._watch_every_s
        with suppress(KafkaException):  # the broker may be down; what matters comes with the fetches
            found = self._consumer.list_topics(self.name, timeout=REQUEST_S).topics.get(self.name)
            if found is not None and (new := sorted(set(found.partitions) - set(self._next))):
                self._next.update(dict.fromkeys(new, 0))
                self._assign()

    def _earliest(self, partition: int) -> int:
        place = TopicPartition(self.name, partition)

        def bounds() -> int:
            found: tuple[int, int] | None = self._consumer.get_watermark_offsets(place, timeout=self._cluster.request_s)
            if found is None:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            return found[0]

        return request(bounds, self._consumer, self._errors, self._stopping)

    def _beyond_end(self, record: Record) -> bool:
        """Whether an error stands at a position where no message is: then no message caused it."""
        partition = record.partition() or 0
        _, end = self._consumer.get_watermark_offsets(TopicPartition(self.name, partition), cached=True)
        return 0 <= end <= max(self._next[partition], record.offset() or 0)

    def _complain(self, record: Record, part: str, error: Exception) -> None:
        what = "%s[%d], offset %d: the %s cannot be read (%s); the message is archived without"
        self._errors.log(what, self.name, record.partition(), record.offset(), part, type(error).__name__)

    def _on_commit(self, error: KafkaError | None, _offsets: list[TopicPartition]) -> None:
        if error is not None:
            self._errors.handle(error)
