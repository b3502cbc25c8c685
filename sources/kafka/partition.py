"""One partition of the topic: read, decoded where it is framed, and given log time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from bytewax.inputs import StatefulSourcePartition
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Record
from typing_extensions import override

from sources.errors import OffsetGapError
from sources.headers import Header, traceparent_of
from sources.idle_polling import IdlePolling
from sources.kafka.client import REQUEST_S, ErrorHandler, request
from sources.kafka.error_codes import Reaction, rule_for
from sources.kafka.liveness import INTERVAL_MS, Liveness
from sources.kafka.record import headers_of, parts_of, time_of
from sources.kafka.schema_registry import FramingError, RegistryUnavailableError
from sources.kafka.snapshot import Snapshot, dump, load
from sources.kafka.topic_identity import TopicIdentity
from sources.log_time import BEGINNING, MIN_TIME, LogTime
from sources.positions import Position
from state.decode import may_switch
from state.messages import Message, Tick

if TYPE_CHECKING:
    from sources.kafka.source import KafkaSource

_LOG = logging.getLogger(__name__)
T = TypeVar("T")


ACCEPT_GAP_SETTING = "ONRAMP_KAFKA_ACCEPT_GAP"
_STALL_S = 2.0  # a longer pause between two fetches may hide that the topic was created again; usual pauses are far shorter
_SHRUNK_REPORTS = 5  # consecutive statistics: right after a change of leader the end may be lower for a moment


def _ignore(*_: object) -> None:
    """The message is complained about when it is read."""


class Partition(StatefulSourcePartition[Message | Tick, Snapshot | None]):
    """One partition and its consumer. Used from one worker; ``next_batch`` does not wait for messages."""

    def __init__(self, source: KafkaSource, index: int, resume: Snapshot | None, *, open_s: float | None = None) -> None:
        """Open the partition, for up to ``open_s``, by default the time limit of the cluster."""
        self._source = source
        self._timeout_s = source.cluster.timeout_s if open_s is None else open_s
        self._topic = source.cluster.topic
        self._index = index
        offset, time_state, known = (None, BEGINNING, "") if resume is None else load(resume)
        self._errors = ErrorHandler(source.cluster)
        self._identity = TopicIdentity(source, index, self._errors, known)
        self._liveness = Liveness(self._topic, index)
        self._consumer = source.cluster.connect(
            self._errors,
            **{"statistics.interval.ms": INTERVAL_MS, "stats_cb": self._on_statistics, "on_commit": self._on_commit},
        )
        self._offset = 0
        self._shrunk = 0
        self._gap_seen = False
        self._records: list[Record] = []
        self._headers: list[tuple[Header, ...]] = []
        self._next = 0
        self._fetched_at = time.monotonic()
        try:
            self._start(offset, known)
        except BaseException:
            self._consumer.close()  # nobody else knows it, and a spare partition tries again and again
            raise
        self._timeout_s = source.cluster.timeout_s
        self._time = LogTime(source.policy, index, time_state, now=source.now)
        self._at_end = False
        self._polling = IdlePolling(source.policy.while_idle)
        self._durable_next: int | None = None
        self._waits_for_schema = False
        source.opened.add(index)
        source.alignment.add(index)
        if offset is not None:
            source.positions.of[index] = Position(self._offset, time_state.log_time)

    @override
    def next_batch(self) -> list[Message | Tick]:
        self._commit()  # Bytewax calls this after snapshot() only once that epoch is durable
        if self._index in self._source.positions.clock.paused:
            self._source.positions.clock.resumed(self._index)
        if self._source.stopping() or (self._at_end and not self._source.tail):
            self._source.alignment.end(self._index)
            raise StopIteration
        self._errors.raise_if_refused()
        if self._gap_seen:
            self._skip_gap(self._earliest())
        self._polling.begin()
        if self._source.paused() or (self._waits_for_schema and self._source.registry is not None and self._source.registry.held):
            if self._waits_for_schema:
                self._tell_next()
            return []
        self._waits_for_schema = False
        if (tick := self._time.passed_tick()) is not None:
            if self._time.has_tick or self._next < len(self._records):
                self._polling.goes_on()
            self._source.alignment.ticks(self._index, self._time.log_time)
            return [tick]
        if self._next == len(self._records):
            self._fetch()
        if self._records and self._identity.is_in_doubt():
            return []
        if self._identity.has_changed():
            self._begin_in_another_topic()
            return []
        until = self._source.alignment.limit(self._index)
        batch = self._take(until) if until and self._next < len(self._records) else []
        if batch:
            self._polling.found()
        elif self._next < len(self._records):
            self._polling.waits()
        else:
            self._records, self._next = [], 0
            read_until = self._liveness.read_until(self._offset)
            if read_until is not None:
                self._time.advance_idle(min(read_until, until))
        self._tell_next(took=bool(batch))
        return batch

    @override
    def next_awake(self) -> datetime | None:
        return self._polling.next_awake()

    @override
    def snapshot(self) -> Snapshot:
        self._durable_next = self._offset
        self._time.commit_idle_time()
        self._source.positions.clock.snapshot(self._index)
        self._source.positions.of[self._index] = Position(self._offset, self._time.log_time)
        return dump(self._offset, self._time.state, self._identity.id)

    @override
    def close(self) -> None:
        """Commit the last snapshot. Its epoch may not be durable yet, but only lag tools read the commit."""
        self._source.alignment.end(self._index)
        self._commit()
        if self._source.watch is not None:
            self._source.watch.stop()
        self._source.closer.close(self._consumer)

    def _fetch(self) -> None:
        """Fetch the next records, if there are any now."""
        now = time.monotonic()
        if now - self._fetched_at > _STALL_S:
            self._identity.doubt()
        self._fetched_at = now
        self._records, self._next = self._consumer.consume(self._source.policy.batch_size, 0), 0  # 0: must not block
        self._headers = headers_of(self._records, self._complain)
        self._at_end &= not self._records

    def _begin_in_another_topic(self) -> None:
        """Go on at the earliest message of a topic that was just created again, once the client knows it."""
        low = self._identity.earliest_of_new(self._earliest)
        if low is not None:
            self._identity.begin_in_another(self._identity.id, low)
            self._offset = low
            self._assign()

    def _tell_next(self, *, took: bool = False) -> None:
        """Tell the other partitions what is the next message here. ``took``: there were messages, so there may be more."""
        if self._waits_for_schema:  # the others do not wait for the registry
            self._source.alignment.fetches(self._index, self._time.log_time)
        elif self._next < len(self._records):
            record = self._records[self._next]
            stamp = None if record.error() is not None else time_of(record, _ignore)
            self._source.alignment.has_next(self._index, self._time.expected(stamp))
        elif self._at_end:
            self._source.alignment.end(self._index)
        elif took:
            self._source.alignment.has_next(self._index, self._time.log_time)
        else:
            self._source.alignment.fetches(self._index, self._time.log_time)

    def _take(self, until: int) -> list[Message | Tick]:
        """Turn fetched records into a batch, up to the end of the batch or of the records, or to the log time ``until``."""
        batch: list[Message | Tick] = []
        log_time, records, topic, index, registry = self._time, self._records, self._topic, self._index, self._source.registry
        all_headers, complain = self._headers, self._complain
        log_time.begin_batch(until)
        for place in range(self._next, len(records)):
            record = records[place]
            error = record.error()
            stamp: int | None
            value, fault, original = b"", None, None
            key: bytes | None = None
            if error is None:
                stamp, value, fault, key = parts_of(record, complain)
            elif rule_for(error).reaction is Reaction.REJECT and not self._beyond_end(record):
                stamp = log_time.log_time
                fault = ("unreadable", f"Kafka cannot deliver the message: {error.str()}")
            else:
                self._next = place + 1
                if error.code() == KafkaError._PARTITION_EOF:
                    self._offset = max(self._offset, record.offset() or 0)  # skip control records of transactions
                    self._at_end = True
                    if self._source.tail:
                        continue
                    break
                self._handle_error(error)
                if self._records is not records:  # the partition was assigned again
                    break
                continue
            framing = registry if registry is not None and value[:1] == b"\x00" else None
            seq = log_time.take_next(stamp) if stamp is not None and framing is None else 0
            if not seq:
                at, action = log_time.admit(stamp)
                if action.ticks:
                    batch.append(log_time.tick())
                if action.ends:
                    self._next = place
                    break
                if framing is not None:  # not sooner: a message before which a batch ends comes again
                    try:
                        original, value = value, framing.decode(value)
                    except FramingError as problem:
                        fault = ("schema_registry_framing", str(problem))
                    except RegistryUnavailableError as problem:
                        self._errors.log("The schema registry does not answer (%s); nothing is read until it does", problem)
                        self._next, self._waits_for_schema = place, True
                        break
                seq = log_time.append(at)
            at = log_time.log_time
            offset, headers = record.offset() or 0, all_headers[place]
            if error is not None:
                offset, headers = max(self._offset, offset), ()
            reference = at if at > MIN_TIME else self._source.now()
            traceparent = traceparent_of(headers) if headers else ""
            batch.append(Message(value, key, topic, index, offset, at, reference, seq, traceparent, headers, fault, original))
            self._offset = offset + 1
            self._next = place + 1
            if error is not None:
                # The library may deliver the same error again, or go on behind a whole compressed batch. Ask for the next message itself.
                self._assign()
                break
            if not key and may_switch(value):  # events of users have keys, which saves the search
                break
        self._measure_lag()
        return batch

    def _complain(self, record: Record, part: str, error: Exception) -> None:
        """Tell that an event is read without a part of its message, which cannot be read."""
        what = "%s[%d], offset %d: the %s cannot be read (%s); the event is read without"
        self._errors.log(what, self._topic, self._index, record.offset() or 0, part, type(error).__name__)

    def _beyond_end(self, record: Record) -> bool:
        """Whether an error stands at a position where no message is: then no message caused it."""
        _, end = self._consumer.get_watermark_offsets(TopicPartition(self._topic, self._index), cached=True)
        return 0 <= end <= max(self._offset, record.offset() or 0)

    def _handle_error(self, error: KafkaError) -> None:
        """Handle an error that was delivered in place of a message, and that no message caused."""
        if rule_for(error).reaction is Reaction.GAP:
            self._skip_gap(self._earliest())
        elif rule_for(error).reaction is Reaction.REJECT:
            self._errors.log("%s[%d]: %s; trying again", self._topic, self._index, error.str())
        else:
            self._identity.doubt()
            self._errors.handle(error)
            self._errors.raise_if_refused()

    def _start(self, offset: int | None, known: str) -> None:
        """Start at ``offset`` of the topic ``known``, without one at the earliest message. Raises ``OffsetGapError``."""
        low = self._earliest()
        if offset is None:
            self._tell_of_another_life(low)
            offset = low
        elif self._source.is_in_another_topic(known):
            self._identity.begin_in_another(known, low)
            offset = low
        self._offset = offset
        if offset < low:
            self._skip_gap(low)
        else:
            self._assign()

    def _tell_of_another_life(self, low: int) -> None:
        """Warn if the group has a position, and the data directory none: the stores may have rows of what is read again now.

        Warn, too, if the topic has lost its beginning.
        """
        place = TopicPartition(self._topic, self._index)
        read_to = self._request(lambda timeout: self._consumer.committed([place], timeout))[0].offset
        if read_to > low:
            _LOG.warning(
                "%s[%d]: the consumer group %s has read it up to offset %d, and this data directory has no position in it. It is read from "
                "the earliest message, %d, because state needs the whole history. If the old directory is lost, see docs/runbook.md, 'Lost "
                "volume'.",
                self._topic,
                self._index,
                self._source.cluster.group,
                read_to,
                low,
            )
        elif low > 0:
            _LOG.warning(
                "%s[%d]: the messages before offset %d were deleted before this job began, so it does not know the beginning of its users. "
                "If it was an imported history, retention.ms is shorter than it; see docs/integrations.md, 'Into a live system'.",
                self._topic,
                self._index,
                low,
            )

    def _skip_gap(self, low: int) -> None:
        """Handle a position that is not in the topic: raise ``OffsetGapError``, or continue at ``low``, the earliest message."""
        gap = (
            f"{self._topic}[{self._index}] must resume at offset {self._offset}, which is not in the topic (it starts at {low}): "
            "messages were deleted before they were read, or the topic was created again."
        )
        if not self._source.accept_gap:
            raise OffsetGapError(f"{gap} Restore the messages, or set {ACCEPT_GAP_SETTING}=true to continue at {low}.")
        _LOG.warning("%s Continuing at %d.", gap, low)
        self._offset = low
        self._assign()

    def _assign(self) -> None:
        self._shrunk, self._gap_seen = 0, False
        self._records, self._next = [], 0
        self._consumer.assign([TopicPartition(self._topic, self._index, self._offset)])

    def _earliest(self) -> int:
        """Query the earliest offset. Not the latest: the test broker answers that query wrongly, while a fetch reports it correctly."""
        place = TopicPartition(self._topic, self._index)

        def bounds(timeout: float) -> tuple[int, int]:
            found: tuple[int, int] | None = self._consumer.get_watermark_offsets(place, timeout=timeout)
            if found is None:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            return found

        return self._request(bounds)[0]

    def _request(self, call: Callable[[float], T]) -> T:
        """Make a request, whose argument is the time limit of one attempt."""
        timeout_s = self._timeout_s
        attempt_s = min(REQUEST_S, timeout_s)
        return request(lambda: call(attempt_s), self._consumer, self._errors, self._source.stopping, timeout_s=timeout_s)

    def _on_statistics(self, statistics: str) -> None:
        """Read librdkafka's statistics. Detect a topic that ends before our position, which some brokers do not report as an error."""
        self._liveness.update(statistics)
        self._identity.saw_metadata(self._liveness.metadata_age)
        end = self._liveness.end
        if end is not None:
            self._source.lag[self._index] = max(0, end - self._offset)
        self._shrunk = self._shrunk + 1 if end is not None and end < self._offset else 0
        if self._shrunk >= _SHRUNK_REPORTS:
            self._gap_seen = True

    def _commit(self) -> None:
        if self._durable_next is not None:
            self._consumer.commit(offsets=[TopicPartition(self._topic, self._index, self._durable_next)], asynchronous=True)
            self._durable_next = None

    def _on_commit(self, error: KafkaError | None, _offsets: list[TopicPartition]) -> None:
        if error is not None:
            self._errors.handle(error)

    def _measure_lag(self) -> None:
        self._source.positions.of[self._index] = Position(self._offset, self._time.log_time)
        _, end = self._consumer.get_watermark_offsets(TopicPartition(self._topic, self._index), cached=True)
        if end >= 0:
            self._source.lag[self._index] = max(0, end - self._offset)
