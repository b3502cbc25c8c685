"""Events from a Kafka topic, one Bytewax partition for each Kafka partition. Time is that of the broker's timestamps.

Delivery: at least once. A snapshot holds the offset, so that a resume is exact; the consumer group is committed to only after the epoch of
that offset is durable, without waiting: lag tools see true figures, and a job that lost its data directory goes on from there rather than
from the start. A group that never committed starts at the earliest message: state is built from the whole history.

How time passes. ``log_time`` is the largest broker timestamp so far. Ticks come on a grid of a second and stay ``LAG_MS`` behind, so that
on several workers a timer does not overtake an event; before a message that would pass a due timer the batch ends (``policy.py``), so
that working off a backlog gives what the live run gives. No batch goes on across a boundary at which learned parameters change. While the
partition is caught up and idle, and its broker says so, the wall clock less ``IDLE_MARGIN_MS`` moves it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import cast

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Record
from typing_extensions import override

from sources.batching import BatchAction, BatchPlanner, BatchPolicy
from sources.errors import OffsetGapError, SourceError
from sources.kafka.client import Cluster, ErrorHandler, request
from sources.kafka.liveness import INTERVAL_MS, Liveness
from state.messages import Message, Tick

_LOG = logging.getLogger(__name__)

GRID_MS = 1_000
LAG_MS = 1_000
IDLE_MARGIN_MS = 2_000
"""More than brokers' and our clocks differ, and a message takes to arrive."""
MAX_AHEAD_MS = 300_000
"""A broker timestamp further than this past our clock was set by a producer whose clock is wrong; it moves nothing."""
MIN_TIME = 946_684_800_000
ACCEPT_GAP_SETTING = "ONRAMP_KAFKA_ACCEPT_GAP"
_IDLE = timedelta(milliseconds=5)
_REQUEST_S = 5.0
_SHRUNK_FOR = 5  # statistics in a row: right after a change of leader the end may stand back for a moment
_VERSION = 1

Snapshot = tuple[int, int, int, int, int]
"""(version, next offset, log time, seq, time of the last tick)"""


def never() -> bool:
    return False


class KafkaSource(FixedPartitionedSource[Message | Tick, Snapshot]):
    """Reads all partitions of the cluster's topic.

    ``now`` gives wall-clock milliseconds. ``accept_gap``: go on at the earliest message when the position is no longer in the topic,
    instead of raising ``OffsetGapError``. ``tail=False`` ends at what was the end of each partition. While ``paused()`` nothing is read;
    once ``stopping()`` every partition ends, which gives a final snapshot. ``lag`` has the messages behind, by partition of this process.
    Partitions that are new since the last run start like those of a new job; those that are gone are left alone. Raises ``SourceError``.
    """

    def __init__(
        self,
        cluster: Cluster,
        policy: BatchPolicy,
        *,
        now: Callable[[], int],
        accept_gap: bool = False,
        tail: bool = True,
        stopping: Callable[[], bool] = never,
        paused: Callable[[], bool] = never,
    ) -> None:
        self.cluster = cluster
        self.policy = policy
        self.now = now
        self.accept_gap = accept_gap
        self.tail = tail
        self.stopping = stopping
        self.paused = paused
        self.lag: dict[int, int] = {}

    @override
    def list_parts(self) -> list[str]:
        """Ask the cluster. Blocks up to ``cluster.patience_s``."""
        return [f"{self.cluster.topic}:{index}" for index in self.cluster.partitions(self.stopping)]

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: Snapshot | None) -> _Partition:
        """Find the position to start at. Blocks up to ``cluster.patience_s``."""
        return _Partition(self, int(for_part.rpartition(":")[2]), resume_state)


class _Partition(StatefulSourcePartition[Message | Tick, Snapshot]):
    def __init__(self, source: KafkaSource, index: int, resume: Snapshot | None) -> None:
        self._source = source
        self._topic = source.cluster.topic
        self._index = index
        self._errors = ErrorHandler(source.cluster)
        self._liveness = Liveness(self._topic, index)
        self._consumer = source.cluster.connect(
            self._errors,
            **{"statistics.interval.ms": INTERVAL_MS, "stats_cb": self._on_statistics, "on_commit": self._on_commit},
        )
        offset = None
        self._log_time, self._seq, ticked = MIN_TIME, 0, MIN_TIME
        if resume is not None:
            version, offset, self._log_time, self._seq, ticked = resume
            if version != _VERSION:
                raise SourceError(
                    f"The data directory was written by another version of Onramp (position {version}, here {_VERSION}); use that one."
                )
        self._offset = 0
        self._shrunk = 0
        self._gap_seen = False
        self._records: list[Record] = []
        self._next = 0
        self._start(offset)
        self._planner = BatchPlanner(source.policy, index, ticked)
        self._trusted_until = 0
        self._at_end = False
        self._was_empty = False
        self._durable_next: int | None = None
        self._idle_time = MIN_TIME

    @override
    def next_batch(self) -> list[Message | Tick]:
        self._commit()  # a call after snapshot() means that its epoch is durable
        if self._source.stopping() or (self._at_end and not self._source.tail):
            raise StopIteration
        self._errors.raise_if_refused()
        if self._gap_seen:
            self._skip_gap(self._earliest())
        self._was_empty = True
        if self._source.paused():
            return []
        at = self._log_time // GRID_MS * GRID_MS - LAG_MS
        if at > self._planner.ticked:
            self._planner.mark(at)
            return self._tick(at)
        if self._next == len(self._records):
            self._records, self._next = self._consumer.consume(self._source.policy.batch_size, 0), 0  # never waits inside the worker loop
        batch = self._take() if self._records else []
        if batch:
            self._was_empty = False
        elif self._next == len(self._records):
            self._records, self._next = [], 0
            return self._idle()
        return batch

    @override
    def next_awake(self) -> datetime | None:
        """While nothing comes look again after ``_IDLE``; Bytewax would after a millisecond, and six idle partitions burn a CPU's tenth."""
        return datetime.now(UTC) + _IDLE if self._was_empty else None

    @override
    def snapshot(self) -> Snapshot:
        self._durable_next = self._offset
        self._log_time = max(self._log_time, self._idle_time)
        return (_VERSION, self._offset, self._log_time, self._seq, self._planner.ticked)

    @override
    def close(self) -> None:
        """Commit the last snapshot and leave. Its epoch may not be durable yet: the group only guides a job without a data directory."""
        self._commit()
        self._consumer.close()

    def _take(self) -> list[Message | Tick]:
        """Turn records at hand into a batch, up to its end or the end of the records."""
        batch: list[Message | Tick] = []
        horizon: int | None = None
        records, topic, index = self._records, self._topic, self._index
        log_time, seq = self._log_time, self._seq
        slot_end = log_time // GRID_MS * GRID_MS + GRID_MS
        for place in range(self._next, len(records)):
            record = records[place]
            error = record.error()
            if error is not None:
                self._next = place + 1
                self._log_time, self._seq = log_time, seq
                if error.code() == KafkaError._PARTITION_EOF:
                    self._offset = max(self._offset, record.offset() or 0)  # past control records of transactions
                    self._at_end = True
                    if self._source.tail:
                        continue
                    break
                self._handle_error(error)
                if self._records is not records:  # started anew
                    break
                continue
            time = max(log_time, self._timestamp(record))
            if horizon is not None and time >= horizon:
                self._next = place
                break
            if time >= slot_end:
                start = time // GRID_MS * GRID_MS - LAG_MS
                action = self._planner.at(start, horizon) if start >= self._planner.ticked else BatchAction.APPEND
                if action is BatchAction.TICK:
                    self._next = place
                    return self._tick(self._planner.ticked)
                if action is BatchAction.END_BATCH:
                    self._next = place
                    break
                slot_end = start + LAG_MS + GRID_MS
            if horizon is None:
                horizon = self._planner.horizon_of(time)
            log_time = time
            seq += 2
            offset = record.offset()
            assert offset is not None
            key, value = record.key(), record.value()
            reference = log_time if log_time > MIN_TIME else self._source.now()
            batch.append(Message(value or b"", key, topic, index, offset, log_time, reference, seq, _traceparent(record)))
            self._offset = offset + 1
            self._next = place + 1
        self._log_time, self._seq = log_time, seq
        self._measure_lag()
        return batch

    def _tick(self, at: int) -> list[Message | Tick]:
        return [Tick(self._index, at, self._seq + 1)]

    def _idle(self) -> list[Message | Tick]:
        """Let the wall clock move time, if the partition is known to have nothing more: from the next snapshot on.

        What the wall clock says is in no message. Were its tick sent at once, a crash could undo it although the app had already seen what
        it brought about, and the messages of the next life would come before it. So it is written down, and sent when that is durable.
        """
        seen_until = self._liveness.seen_until(self._offset)
        if seen_until is None:
            return []
        at = (seen_until - IDLE_MARGIN_MS) // GRID_MS * GRID_MS
        if at <= self._planner.ticked or at < self._log_time:
            return []
        self._idle_time = max(self._idle_time, at)
        return []

    def _timestamp(self, record: Record) -> int:
        """Return the broker's timestamp (ms), our clock's if there is none, 0 if it cannot be true."""
        kind, time = record.timestamp()
        if kind == TIMESTAMP_NOT_AVAILABLE:
            return self._source.now()
        if time > self._trusted_until:
            self._trusted_until = self._source.now() + MAX_AHEAD_MS
            if time > self._trusted_until:
                return 0
        return time

    def _handle_error(self, error: KafkaError) -> None:
        """Deal with an error that came in the place of a message."""
        code = error.code()
        if code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            self._skip_gap(self._earliest())
        else:
            self._errors.handle(error)
            self._errors.raise_if_refused()
            if not error.retriable():
                raise SourceError(f"{self._topic}[{self._index}] cannot be read after offset {self._offset}: {error.str()}.")

    def _start(self, offset: int | None) -> None:
        """Go on at ``offset``; without one where the group stood, else at the earliest message. Raises ``OffsetGapError``."""
        low = self._earliest()
        if offset is None:
            place = TopicPartition(self._topic, self._index)
            group = request(lambda: self._consumer.committed([place], _REQUEST_S), self._consumer, self._errors, self._source.stopping)[0]
            offset = group.offset if group.offset >= 0 else low
        self._offset = offset
        if offset < low:
            self._skip_gap(low)
        else:
            self._assign()

    def _skip_gap(self, low: int) -> None:
        """The position is not in the topic: refuse, or go on at the earliest message."""
        gap = (
            f"{self._topic}[{self._index}] was to go on at offset {self._offset}, which the topic does not hold (it starts at {low}): "
            "messages were deleted before they were read, or the topic was made anew."
        )
        if not self._source.accept_gap:
            raise OffsetGapError(f"{gap} Restore them, or set {ACCEPT_GAP_SETTING}=true to go on at {low}.")
        _LOG.warning("%s Going on at %d.", gap, low)
        self._offset = low
        self._assign()

    def _assign(self) -> None:
        self._shrunk, self._gap_seen = 0, False
        self._records, self._next = [], 0
        self._consumer.assign([TopicPartition(self._topic, self._index, self._offset)])

    def _earliest(self) -> int:
        """Ask for the earliest offset. Not for the latest: the test broker answers that wrongly, a fetch tells it rightly."""
        place = TopicPartition(self._topic, self._index)

        def bounds() -> tuple[int, int]:
            found: tuple[int, int] | None = self._consumer.get_watermark_offsets(place, timeout=_REQUEST_S)
            if found is None:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            return found

        return request(bounds, self._consumer, self._errors, self._source.stopping)[0]

    def _on_statistics(self, statistics: str) -> None:
        """Hear what librdkafka knows; notice a topic that has shrunk below us, which some brokers do not report as an error."""
        self._liveness.handle(statistics)
        end = self._liveness.end
        if end is not None:
            self._source.lag[self._index] = max(0, end - self._offset)
        self._shrunk = self._shrunk + 1 if end is not None and end < self._offset else 0
        if self._shrunk >= _SHRUNK_FOR:
            self._gap_seen = True

    def _commit(self) -> None:
        if self._durable_next is not None:
            self._consumer.commit(offsets=[TopicPartition(self._topic, self._index, self._durable_next)], asynchronous=True)
            self._durable_next = None

    def _on_commit(self, error: KafkaError | None, _offsets: list[TopicPartition]) -> None:
        if error is not None:
            self._errors.handle(error)

    def _measure_lag(self) -> None:
        _, end = self._consumer.get_watermark_offsets(TopicPartition(self._topic, self._index), cached=True)
        if end >= 0:
            self._source.lag[self._index] = max(0, end - self._offset)


def _traceparent(record: Record) -> str:
    headers = cast(list[tuple[str, str | bytes | None]] | None, record.headers())
    for name, value in headers or ():
        if name == "traceparent" and value is not None:
            return value if isinstance(value, str) else value.decode("ascii", "replace")
    return ""
