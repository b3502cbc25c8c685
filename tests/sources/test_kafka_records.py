"""No content of a message ends the job: an event without its headers, a dead letter with its position, never an exception."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_NOT_AVAILABLE, KafkaError, Producer
from hypothesis import given
from hypothesis import strategies as st

from operators.decode import Decoder
from sinks.dead_letters.topic import DeadLetterTopicSink
from sources.batching import BatchPolicy
from sources.headers import MAX_TRACEPARENT
from sources.kafka.client import Cluster
from sources.kafka.source import KafkaSource
from state.decode import decode
from state.event import Event
from state.ids import Keys
from state.messages import Message, Tick
from state.records.dead_letter import DeadLetter
from tests.sources.harness import LOOKAHEAD, drain
from tests.support.raw_produce import RawRecord, produce_raw
from tests.support.scripted_kafka import START, Raises, ScriptedCluster, ScriptedRecord
from tests.support.tansu import Tansu, tansu_fixture

broker = tansu_fixture
NOW = START + 3_600_000
TRACEPARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def event(number: int) -> bytes:
    fields = {
        "eventId": f"e{number}",
        "userId": "u",
        "eventType": "page_view",
        "timestamp": "2023-11-14T22:13:20Z",
        "payload": {"path": "/"},
    }
    return json.dumps(fields).encode()


def read(cluster: Cluster) -> list[Message]:
    policy = BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD, 100)
    part = KafkaSource(cluster, policy, now=lambda: NOW, tail=False).build_part("input", f"{cluster.topic}:0", None)
    items: list[Message | Tick] = []
    try:
        assert drain(part, items.extend)
    finally:
        part.close()
    return [item for item in items if isinstance(item, Message)]


def of_scripted(*records: ScriptedRecord, end: int | None = None) -> list[Event | DeadLetter]:
    last = max((record.offset() or 0 for record in records), default=0) + 1
    return [decode(message) for message in read(ScriptedCluster(records=list(records), end=last if end is None else end))]


def of_broker(broker: Tansu, send: Callable[[str], Any]) -> list[Event | DeadLetter]:
    topic = broker.new_topic()
    send(topic)
    return [decode(message) for message in read(Cluster(broker.brokers, topic, "records"))]


def ids(decoded: list[Event | DeadLetter]) -> list[str]:
    return [each.id if isinstance(each, Event) else each.reason for each in decoded]


NOT_UTF8 = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


class TestOnAWire:
    def test_a_header_name_that_is_not_utf8_costs_the_headers_and_nothing_else(
        self, broker: Tansu, caplog: pytest.LogCaptureFixture
    ) -> None:
        poison = RawRecord(event(1), b"u", ((b"\xff\xfebad", b"v"), (b"traceparent", TRACEPARENT)))
        decoded = of_broker(broker, lambda topic: produce_raw(broker.brokers, topic, [RawRecord(event(0)), poison, RawRecord(event(2))]))
        assert ids(decoded) == ["e0", "e1", "e2"]
        assert "offset 1: the headers cannot be read" in caplog.text

    def test_it_costs_no_more_after_many_records_when_calls_are_specialised(self, broker: Tansu) -> None:
        poison = RawRecord(event(300), b"u", ((b"\xff\xfebad", b"v"), (b"traceparent", TRACEPARENT)))
        before = [RawRecord(event(number), b"u", ((b"a", b"1"),)) for number in range(300)]
        decoded = of_broker(broker, lambda topic: produce_raw(broker.brokers, topic, [*before, poison, poison, RawRecord(event(301))]))
        assert ids(decoded)[-3:] == ["e300", "e300", "e301"]

    def test_a_rejected_message_with_such_a_header_is_a_dead_letter_with_its_position(self, broker: Tansu) -> None:
        poison = RawRecord(b"{", b"u", ((b"\xff", b"v"),))
        (letter,) = of_broker(broker, lambda topic: produce_raw(broker.brokers, topic, [poison]))
        assert isinstance(letter, DeadLetter)
        assert (letter.reason, letter.offset, letter.raw, letter.key) == ("not_json", 0, b"{", b"u")

    def test_odd_headers_keys_and_tombstones(self, broker: Tansu) -> None:
        records = [
            RawRecord(event(0), None, ((b"", b""), (b"traceparent", b""), (b"traceparent", TRACEPARENT), (b"null", None))),
            RawRecord(event(1), b"\xff\xfe", ((b"traceparent", b"A" * 100_000),)),
            RawRecord(event(2), b"k" * 70_000),
            RawRecord(event(3), b"", ((b"traceparent", b"\xff\xfe\x00garbage"), (b"x-api-version", b"\xc3\x28"))),
            RawRecord(None, b"u-1"),
            RawRecord(b"", b"u-2"),
        ]
        decoded = of_broker(broker, lambda topic: produce_raw(broker.brokers, topic, records))
        assert ids(decoded) == ["e0", "e1", "e2", "e3", "not_json", "not_json"]
        assert [each.traceparent for each in decoded[:2] if isinstance(each, Event)] == [TRACEPARENT.decode(), ""]
        tombstone = decoded[4]
        assert isinstance(tombstone, DeadLetter)
        assert "tombstone" in tombstone.detail

    @pytest.mark.parametrize("stamp", [-1, 0, 1, 1_700_000_000, 1_700_000_000_000_000, 2**62, -5])
    def test_odd_timestamps(self, broker: Tansu, stamp: int) -> None:
        record = RawRecord(event(0), timestamp=stamp)
        (decoded,) = of_broker(broker, lambda topic: produce_raw(broker.brokers, topic, [record]))
        assert isinstance(decoded, Event)
        assert 0 < decoded.log_time <= NOW

    def test_a_damaged_batch_is_one_dead_letter_for_each_of_its_messages(self, broker: Tansu) -> None:
        def send(topic: str) -> None:
            produce_raw(broker.brokers, topic, [RawRecord(event(0))])
            produce_raw(broker.brokers, topic, [RawRecord(b"a"), RawRecord(b"b")], codec=2, body=b"\xff\xff\xff this is not snappy")
            produce_raw(broker.brokers, topic, [RawRecord(event(3))])

        decoded = of_broker(broker, send)
        assert ids(decoded) == ["e0", "unreadable", "unreadable", "e3"]
        assert [letter.offset for letter in decoded if isinstance(letter, DeadLetter)] == [1, 2]

    def test_headers_reach_the_dead_letter_topic_unchanged(self, broker: Tansu) -> None:
        topic, letters = broker.new_topic(), broker.new_topic()
        headers: list[tuple[str, bytes | None]] = [("a", b"1"), ("a", b"\xff"), ("", b""), ("null", None), ("traceparent", b"x" * 70_000)]
        producer = Producer({"bootstrap.servers": broker.brokers, "log_level": 0})
        producer.produce(topic, b"{", b"key", headers=list(headers))
        assert producer.flush(20) == 0
        (decoded,) = Decoder(Keys(b"a secret for tests"))(list(read(Cluster(broker.brokers, topic, "records"))))
        part = DeadLetterTopicSink({"bootstrap.servers": broker.brokers}, letters).build_part("out", "0", None)
        part.write_batch([decoded.rejected])
        part.snapshot()
        (message,) = broker.read_all(letters)
        kept = message.headers()
        assert isinstance(kept, list)
        assert [header for header in kept if not header[0].startswith("onramp-")] == headers
        assert message.key() == b"key"


class TestScripted:
    @pytest.mark.parametrize("error", [NOT_UTF8, SystemError("an exception set"), ValueError("?"), MemoryError()], ids=repr)
    @pytest.mark.parametrize("part", ["key", "headers", "time", "value"])
    def test_a_part_that_raises_ends_nothing(self, part: str, error: Exception) -> None:
        parts: dict[str, Any] = {"value": event(1), part: Raises(error)}
        broken = ScriptedRecord(1, **parts)
        decoded = of_scripted(ScriptedRecord(0, event(0)), broken, ScriptedRecord(2, event(2)))
        assert ids(decoded) == ["e0", "unreadable" if part == "value" else "e1", "e2"]
        if part == "value":
            assert isinstance(decoded[1], DeadLetter)
            assert decoded[1].offset == 1

    def test_one_that_raises_costs_no_other_part_and_no_other_record(self) -> None:
        def headers(number: int) -> list[tuple[str, bytes | None]]:
            return [("number", b"%d" % number)]

        records = [ScriptedRecord(number, event(number), key=b"u%d" % number, headers=headers(number)) for number in range(6)]
        records[1] = ScriptedRecord(1, event(1), key=b"u1", headers=Raises(NOT_UTF8))
        records[2] = ScriptedRecord(2, event(2), key=b"u2", headers=Raises(StopIteration()))
        records[3] = ScriptedRecord(3, event(3), key=b"u3", headers=headers(3), time=Raises(NOT_UTF8))
        records[4] = ScriptedRecord(4, key=b"u4", headers=headers(4), error=KafkaError._BAD_MSG)
        found = read(ScriptedCluster(records=records, end=6))
        assert [each.key for each in found] == [b"u0", b"u1", b"u2", b"u3", None, b"u5"]
        assert [dict(each.headers).get("number") for each in found] == [b"0", None, None, b"3", None, b"5"]

    def test_headers_that_raised_are_not_touched_again_although_a_tick_comes_first(self) -> None:
        headers = Raises(NOT_UTF8)
        later = (TIMESTAMP_CREATE_TIME, START + 3_000_000)  # a slot of its own: the source looks at the record twice
        decoded = of_scripted(ScriptedRecord(0, event(0)), ScriptedRecord(1, event(1), headers=headers, time=later))
        assert ids(decoded) == ["e0", "e1"]
        assert headers.calls == 1

    @pytest.mark.parametrize(
        "code",
        [
            *(KafkaError._BAD_MSG, KafkaError._BAD_COMPRESSION, KafkaError._UNDERFLOW, KafkaError.INVALID_MSG),
            *(KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE, KafkaError._KEY_DESERIALIZATION),
            KafkaError._VALUE_DESERIALIZATION,
        ],
    )
    def test_an_error_in_place_of_a_message_is_a_dead_letter(self, code: int) -> None:
        decoded = of_scripted(ScriptedRecord(0, event(0)), ScriptedRecord(1, error=code), ScriptedRecord(2, event(2)))
        assert ids(decoded) == ["e0", "unreadable", "e2"]
        assert isinstance(decoded[1], DeadLetter)
        assert decoded[1].offset == 1

    def test_an_error_at_the_end_of_the_partition_is_no_message(self) -> None:
        decoded = of_scripted(ScriptedRecord(0, event(0)), ScriptedRecord(-1, error=KafkaError.INVALID_MSG), end=1)
        assert ids(decoded) == ["e0"]

    def test_no_timestamp_is_the_jobs_clock(self) -> None:
        (decoded,) = of_scripted(ScriptedRecord(0, event(0), time=(TIMESTAMP_NOT_AVAILABLE, -1)))
        assert decoded.log_time == NOW

    @given(
        value=st.none() | st.binary(max_size=20) | st.just(event(0)),
        key=st.none() | st.binary(max_size=5) | st.builds(Raises, st.just(NOT_UTF8)),
        headers=st.none()
        | st.lists(st.tuples(st.text(max_size=5) | st.just("traceparent"), st.none() | st.binary(max_size=MAX_TRACEPARENT + 9)), max_size=4)
        | st.builds(Raises, st.just(NOT_UTF8)),
        stamp=st.integers(-(2**63), 2**63 - 1),
        kind=st.sampled_from([TIMESTAMP_NOT_AVAILABLE, TIMESTAMP_CREATE_TIME]),
        error=st.sampled_from([0, 0, 0, KafkaError._BAD_MSG, KafkaError._BAD_COMPRESSION, KafkaError._TRANSPORT]),
    )
    def test_anything(self, value: Any, key: Any, headers: Any, stamp: int, kind: int, error: int) -> None:
        odd = ScriptedRecord(0, value, key=key, headers=headers, time=(kind, stamp), error=error)
        decoded = of_scripted(odd, ScriptedRecord(1, event(1)))
        assert ids(decoded)[-1] == "e1"
        assert len(decoded) == (1 if error == KafkaError._TRANSPORT else 2)
        assert all(len(each.traceparent) <= MAX_TRACEPARENT for each in decoded if isinstance(each, Event))


def test_a_first_start_behind_deleted_messages_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Kafka deletes an imported history by the time of its messages, within seconds if ``retention.ms`` is shorter than it."""
    assert len(read(ScriptedCluster(records=[ScriptedRecord(0, event(0))], end=1))) == 1
    assert caplog.text == ""
    assert len(read(ScriptedCluster(records=[ScriptedRecord(5, event(5))], low=5, end=6))) == 1
    assert "events[0]: the messages before offset 5 were deleted before this job began" in caplog.text
    assert "retention.ms" in caplog.text
