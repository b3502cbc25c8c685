"""The two logs as the archive reads them: every byte, from the positions that the caller kept, and never past a gap in silence."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from sources.errors import BrokerError, OffsetGapError, UnreachableError
from sources.kafka.client import Cluster
from sources.kafka.raw import KafkaRawLog
from sources.local_log.erase import ERASED_HEADER, erase
from sources.local_log.log import EventLog, Record
from sources.local_log.raw import LocalRawLog
from sources.raw_log import UNREADABLE_HEADER, RawLog, RawRow
from tests.support.log_retention import delete_old
from tests.support.scripted_kafka import Raises, ScriptedCluster, ScriptedRecord
from tests.support.tansu import Tansu, tansu_fixture
from tests.support.waiting import PATIENCE, wait_until

broker = tansu_fixture
NOW = 1_767_600_000_000


def read(log: RawLog, partitions: int) -> dict[int, list[RawRow]]:
    """Poll until every partition was at its end."""
    rows: dict[int, list[RawRow]] = {}
    ends: set[int] = set()

    def all_read() -> bool:
        for batch in log.poll():
            rows.setdefault(batch.partition, []).extend(batch.rows)
            (ends.add if batch.at_end else ends.discard)(batch.partition)
        return len(ends) == partitions

    wait_until(all_read, "the end of the log")
    return {partition: each for partition, each in rows.items() if each}


# --------------------------------------------------------------------------------------------------------------- the local log


@pytest.fixture
def events(tmp_path: Path) -> Iterator[EventLog]:
    with EventLog(tmp_path / "log", partitions=2, retention=None, now=lambda: NOW) as log:
        yield log


@pytest.fixture
def local(tmp_path: Path, events: EventLog) -> Iterator[Callable[..., LocalRawLog]]:
    opened: list[LocalRawLog] = []

    def start(positions: dict[int, int] | None = None, *, accept_gap: bool = False) -> LocalRawLog:
        log = LocalRawLog(tmp_path / "log", accept_gap=accept_gap, accept="ONRAMP_X")
        opened.append(log)
        assert log.start(positions or {}) == [0, 1]
        return log

    yield start
    for each in opened:
        each.close()


def test_every_message_of_the_local_log_is_read_and_none_before_the_position(events: EventLog, local: Callable[..., LocalRawLog]) -> None:
    records = [Record(b"k%d" % number, b"\x00\xff%d" % number, (("traceparent", b"00-1"),)) for number in range(2_500)]
    events.append(records)
    expected: dict[int, list[RawRow]] = {0: [], 1: []}
    for record in records:
        mine = expected[events.partition_of(record.key)]
        mine.append(RawRow(len(mine), NOW, record.key, record.value, record.headers))
    assert read(local(), 2) == expected
    assert read(local({0: len(expected[0]), 1: 7}), 2) == {1: expected[1][7:]}


def test_an_erased_message_keeps_its_offset(tmp_path: Path, events: EventLog, local: Callable[..., LocalRawLog]) -> None:
    events.append_everywhere(b"x")
    erase(tmp_path / "log", lambda record: record.value == b"x")
    assert read(local(), 2)[0] == [RawRow(0, NOW, b"", b"", ((ERASED_HEADER, b""),))]


def test_a_position_that_the_local_log_deleted_is_a_gap(tmp_path: Path, events: EventLog, local: Callable[..., LocalRawLog]) -> None:
    events.append_everywhere(b"old")
    running = local({0: 0, 1: 0})
    events._now = lambda: NOW + 10_000
    events.append_everywhere(b"new")
    delete_old(tmp_path / "log", NOW + 10_000, max_age_ms=1_000)
    with pytest.raises(OffsetGapError, match=r"ONRAMP_X=true to go on at 1"):
        running.poll()
    with pytest.raises(OffsetGapError, match="deleted before they were archived"):
        local({0: 0, 1: 0})
    accepted = local({0: 0, 1: 1}, accept_gap=True)
    batches = {batch.partition: batch for batch in accepted.poll()}
    assert (batches[0].skipped_to, [row.offset for row in batches[0].rows]) == (1, [1])
    assert batches[1].skipped_to is None


def test_a_position_after_the_end_of_the_local_log_is_an_older_copy(local: Callable[..., LocalRawLog]) -> None:
    with pytest.raises(OffsetGapError, match="an older copy of it was put back"):
        local({0: 3}, accept_gap=True)


# ----------------------------------------------------------------------------------------------------------------------- Kafka


@pytest.mark.timing
def test_every_message_of_a_topic_is_read_with_what_only_kafka_has(broker: Tansu) -> None:
    topic, group = broker.new_topic(2), f"archive-{uuid.uuid4().hex}"
    producer = Producer({"bootstrap.servers": broker.brokers, "log_level": 0})
    rows = [
        RawRow(0, NOW, b"ann", b'{"a": 1}', (("traceparent", b"00-1"), ("none", None))),
        RawRow(1, NOW + 1, None, b"\x00\xff"),
        RawRow(2, NOW + 2, b"ann", None),
    ]
    for row in rows:
        producer.produce(topic, row.value, row.key, partition=0, timestamp=row.time or 0, headers=list(row.headers))
    producer.produce(topic, b"x", partition=1, timestamp=NOW)
    assert producer.flush(PATIENCE) == 0
    cluster = Cluster(broker.brokers, topic, group, timeout_s=PATIENCE)

    def opened() -> KafkaRawLog:
        return KafkaRawLog(cluster, accept_gap=False, accept="ONRAMP_X")

    log = opened()
    try:
        assert log.start({}) == [0, 1]
        found = read(log, 2)
        assert found == {0: rows, 1: [RawRow(0, NOW, None, b"x")]}
        log.commit({0: 3, 1: 1})
        log.look_again()
        assert read(log, 2) == {}, "the end is told again, and no message twice"
    finally:
        log.close()
    assert committed(broker, topic, group) == {0: 3, 1: 1}
    log = opened()
    try:
        log.start({0: 2, 1: 0})
        assert read(log, 2) == {0: rows[2:], 1: [RawRow(0, NOW, None, b"x")]}, "the caller's positions count, not those of the group"
    finally:
        log.close()


def committed(broker: Tansu, topic: str, group: str) -> dict[int, int]:
    consumer = Consumer({"bootstrap.servers": broker.brokers, "group.id": group, "log_level": 0})
    try:
        places = consumer.committed([TopicPartition(topic, 0), TopicPartition(topic, 1)], timeout=PATIENCE)
        return {place.partition: place.offset for place in places}
    finally:
        consumer.close()


@pytest.mark.timing
def test_a_partition_that_is_added_is_read_too(broker: Tansu) -> None:
    topic = broker.new_topic(1)
    log = KafkaRawLog(Cluster(broker.brokers, topic, "g", timeout_s=PATIENCE), accept_gap=False, accept="X", watch_every_s=0.0)
    try:
        assert log.start({}) == [0]
        assert read(log, 1) == {}
        log._next.pop(0)  # as if it were the one that was added: the test broker cannot grow a topic
        producer = Producer({"bootstrap.servers": broker.brokers, "log_level": 0})
        producer.produce(topic, b"x", partition=0, timestamp=NOW)
        assert producer.flush(PATIENCE) == 0
        assert read(log, 1) == {0: [RawRow(0, NOW, None, b"x")]}
    finally:
        log.close()


def scripted(*records: ScriptedRecord, accept_gap: bool = False, low: int = 0) -> KafkaRawLog:
    return KafkaRawLog(ScriptedCluster(records=list(records), end=9, low=low), accept_gap=accept_gap, accept="ONRAMP_X")


def test_a_message_is_archived_without_what_the_library_cannot_read(caplog: pytest.LogCaptureFixture) -> None:
    odd = Raises(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"))
    log = scripted(ScriptedRecord(0, b"a", headers=odd), ScriptedRecord(1, Raises(ValueError("x")), key=b"k"), ScriptedRecord(2, b"c"))
    log.start({})
    (batch,) = log.poll()
    damaged = ((UNREADABLE_HEADER, b"the client library cannot read the value of the message"),)
    assert [(row.offset, row.key, row.value, row.headers) for row in batch.rows] == [
        (0, None, b"a", ()),
        (1, b"k", None, damaged),
        (2, None, b"c", ()),
    ]
    assert batch.at_end
    assert "offset 0: the headers cannot be read" in caplog.text


def test_a_message_that_the_broker_cannot_deliver_keeps_its_place() -> None:
    log = scripted(ScriptedRecord(0, b"a"), ScriptedRecord(1, error=KafkaError._BAD_MSG), ScriptedRecord(2, b"c"))
    log.start({})
    rows = [row for _ in range(2) for batch in log.poll() for row in batch.rows]
    assert [(row.offset, row.value) for row in rows] == [(0, b"a"), (1, None), (2, b"c")]
    assert rows[1].headers[0][0] == UNREADABLE_HEADER


def test_control_records_are_passed_and_no_messages() -> None:
    log = scripted(ScriptedRecord(0, b"a"))
    log.start({})
    (batch,) = log.poll()
    assert ([row.offset for row in batch.rows], log._next) == ([0], {0: 9})


def test_a_position_before_the_earliest_message_of_a_topic_is_a_gap() -> None:
    with pytest.raises(OffsetGapError, match=r"events\[0\] .* offset 2.*ONRAMP_X=true to go on at 5"):
        scripted(low=5).start({0: 2})
    log = scripted(ScriptedRecord(5, b"f"), low=5, accept_gap=True)
    log.start({0: 2})
    (batch,) = log.poll()
    assert (batch.skipped_to, [row.offset for row in batch.rows]) == (5, [5])
    scripted(low=5).start({})  # the earliest message is no gap


@pytest.mark.parametrize("accept_gap", [False, True])
def test_a_gap_that_shows_while_it_reads_is_one_too(accept_gap: bool) -> None:
    log = scripted(ScriptedRecord(0, error=KafkaError._AUTO_OFFSET_RESET), accept_gap=accept_gap)
    log.start({})
    with pytest.raises(OffsetGapError, match="created again or restored"):
        log.poll()


def test_what_was_read_before_a_gap_goes_first() -> None:
    log, taken = scripted(), dict[int, list[RawRow]]()
    log.start({})
    for record in (ScriptedRecord(0, b"a"), ScriptedRecord(1, error=KafkaError._AUTO_OFFSET_RESET)):
        log._take(record, taken, set())  # type: ignore[arg-type]
    assert ([row.offset for row in taken[0]], log._next, log._skipped) == ([0], {0: 1}, {}), "the error comes again"


def test_messages_are_checked_to_be_of_the_topic_that_was_opened() -> None:
    cluster = ScriptedCluster(records=[ScriptedRecord(0, b"a")], end=1, id="topic:old")
    log = KafkaRawLog(cluster, accept_gap=True, accept="ONRAMP_X")
    assert log.id == "topic:old"
    log.start({})
    log.poll()
    log.check()
    cluster.created_again.append("topic:new")
    log.check()  # there is nothing new
    log._next[0] = 0
    log.look_again()
    log.poll()
    with pytest.raises(OffsetGapError, match=r"created again while it was archived \(topic:old before, topic:new now\)"):
        log.check()


def test_a_check_waits_for_the_brokers_until_the_archive_stops() -> None:
    class Silent(ScriptedCluster):
        def topic_id(self, stopping: Callable[[], bool]) -> str:
            asked.append(stopping())
            raise UnreachableError("nobody is there")

    asked: list[bool] = []
    log = KafkaRawLog(
        Silent(records=[ScriptedRecord(0, b"a")], end=1), accept_gap=False, accept="ONRAMP_X", stopping=lambda: len(asked) > 3
    )
    log.start({})
    log.poll()
    with pytest.raises(UnreachableError):
        log.check()
    assert asked == [False, False, False, False]


def test_an_error_that_an_operator_must_fix_ends_it() -> None:
    log = scripted(ScriptedRecord(0, error=KafkaError.TOPIC_AUTHORIZATION_FAILED))
    log.start({})
    with pytest.raises(BrokerError, match="refuses"):
        log.poll()
