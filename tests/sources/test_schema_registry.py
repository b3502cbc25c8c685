"""Messages with the framing of a schema registry: decoded with confluent-kafka's deserialisers, or rejected with a reason of its own."""

from __future__ import annotations

import base64
import io
import json
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer

from sources.batching import BatchPolicy
from sources.errors import SourceError
from sources.kafka.client import Cluster
from sources.kafka.schema_registry import FramingError, RegistryUnavailableError, SchemaRegistry
from sources.kafka.source import KafkaSource
from state.decode import decode
from state.event import Event
from state.messages import Message
from state.records.dead_letter import DeadLetter
from state.records.fact_builders import dead_letter_fact
from tests.sources.harness import LOOKAHEAD, drain
from tests.support.schema_registry import Registry, framed, run_registry
from tests.support.scripted_kafka import START, ScriptedCluster, ScriptedRecord
from tests.support.tansu import Tansu, tansu_fixture
from tests.support.waiting import PATIENCE, join, wait_until

broker = tansu_fixture

EVENT = {"eventId": "e1", "userId": "u", "eventType": "page_view", "timestamp": "2023-11-14T22:13:20.5Z", "payload": {"path": "/x"}}
JSON_SCHEMA = json.dumps({"type": "object", "required": ["eventId"], "properties": {"eventId": {"type": "string"}}})
AVRO_SCHEMA = json.dumps(
    {
        "type": "record",
        "name": "Event",
        "fields": [
            {"name": "eventId", "type": "string"},
            {"name": "userId", "type": ["null", "string"], "default": None},
            {"name": "anonymousId", "type": ["null", "string"], "default": None},
            {"name": "tenantId", "type": ["null", "string"], "default": None},
            {"name": "eventType", "type": "string"},
            {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "payload", "type": {"type": "map", "values": "string"}},
        ],
    }
)
JSON, AVRO, PROTOBUF, OTHER = 7, 8, 9, 10


def avro_bytes(**changes: Any) -> bytes:
    from fastavro import parse_schema, schemaless_writer

    out = io.BytesIO()
    record = {**EVENT, "timestamp": 1_700_000_000_500, **changes}
    schemaless_writer(out, parse_schema(json.loads(AVRO_SCHEMA)), record)
    return out.getvalue()


def protobuf_file() -> Any:
    """The descriptor of a file with two messages; the second one is the event, with a time and a structure of Google's."""
    from google.protobuf import descriptor_pb2

    file = descriptor_pb2.FileDescriptorProto(name="event.proto", package="product", syntax="proto3")
    file.dependency.extend(["google/protobuf/timestamp.proto", "google/protobuf/struct.proto"])
    file.message_type.add(name="Other")
    message = file.message_type.add(name="Event")
    text, nested = descriptor_pb2.FieldDescriptorProto.TYPE_STRING, descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
    for number, name in enumerate(("event_id", "user_id", "event_type"), start=1):
        message.field.add(name=name, number=number, type=text, label=1)
    message.field.add(name="timestamp", number=4, type=nested, label=1, type_name=".google.protobuf.Timestamp")
    message.field.add(name="payload", number=5, type=nested, label=1, type_name=".google.protobuf.Struct")
    return file


def protobuf_bytes() -> bytes:
    """An event, after the index of its message in the file: one number, 1, in zigzag."""
    from google.protobuf import descriptor_pool, message_factory, struct_pb2, timestamp_pb2

    pool = descriptor_pool.DescriptorPool()
    for known in (timestamp_pb2, struct_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(protobuf_file().SerializeToString())
    event = message_factory.GetMessageClass(pool.FindMessageTypeByName("product.Event"))()
    event.event_id, event.user_id, event.event_type = "e1", "u", "page_view"
    event.timestamp.FromMilliseconds(1_700_000_000_500)
    event.payload["path"] = "/x"
    return b"\x02\x02" + bytes(event.SerializeToString())


@pytest.fixture
def registry() -> Iterator[Registry]:
    with run_registry() as found:
        found.add(JSON, "JSON", JSON_SCHEMA)
        found.add(AVRO, "AVRO", AVRO_SCHEMA)
        found.add(PROTOBUF, "PROTOBUF", "message Event {}", serialized=base64.b64encode(protobuf_file().SerializeToString()).decode())
        found.add(OTHER, "THRIFT", "struct Event {}")
        yield found


def messages_of(kind: str) -> bytes:
    if kind == "JSON":
        return framed(JSON, json.dumps(EVENT).encode())
    return framed(AVRO, avro_bytes()) if kind == "AVRO" else framed(PROTOBUF, protobuf_bytes())


def read_one(value: bytes, decoder: SchemaRegistry | None) -> Event | DeadLetter:
    cluster = ScriptedCluster(records=[ScriptedRecord(0, value)], end=1)
    source = KafkaSource(cluster, BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD), now=lambda: START, tail=False, registry=decoder)
    part = source.build_part("input", "events:0", None)
    items: list[Any] = []
    assert drain(part, items.extend)
    (message,) = (item for item in items if isinstance(item, Message))
    return decode(message)


@pytest.mark.parametrize("kind", ["JSON", "AVRO", "PROTOBUF"])
def test_each_format_becomes_the_event(registry: Registry, kind: str) -> None:
    found = read_one(messages_of(kind), SchemaRegistry(registry.url))
    assert isinstance(found, Event), found
    assert (found.id, found.user, found.type, found.timestamp, found.payload) == ("e1", "u", "page_view", 1_700_000_000_500, {"path": "/x"})


def test_a_schema_is_asked_for_once(registry: Registry) -> None:
    decoder = SchemaRegistry(registry.url)
    for kind in ("JSON", "AVRO", "PROTOBUF"):
        decoder.decode(messages_of(kind))
    asked = registry.asked
    for kind in ("JSON", "AVRO", "PROTOBUF"):
        decoder.decode(messages_of(kind))
    assert registry.asked == asked


@pytest.mark.parametrize("kind", ["JSON", "AVRO", "PROTOBUF"])
def test_without_a_registry_the_dead_letter_says_what_it_is(kind: str) -> None:
    letter = read_one(messages_of(kind), None)
    assert isinstance(letter, DeadLetter)
    assert letter.reason == "schema_registry_framing"
    assert "set ONRAMP_SCHEMA_REGISTRY_URL" in letter.detail
    assert letter.raw == messages_of(kind)


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (framed(4_711, b"{}"), "does not know schema 4711"),
        (framed(JSON, b'{"eventId": 5}'), f"does not fit its schema {JSON} (JSON)"),
        (framed(JSON, b"{"), f"does not fit its schema {JSON} (JSON)"),
        (framed(AVRO, b"\xff"), f"does not fit its schema {AVRO} (AVRO)"),
        (framed(AVRO, b""), "too short"),
        (framed(PROTOBUF, b"\x02\x02\xff\xff"), f"does not fit its schema {PROTOBUF} (PROTOBUF)"),
        (framed(PROTOBUF, b"\x02\x14"), f"does not fit its schema {PROTOBUF} (PROTOBUF)"),
        (framed(OTHER, b"{}"), "kind THRIFT"),
        (b"\x00", "too short"),
    ],
)
def test_what_cannot_be_decoded_is_a_dead_letter_with_its_bytes(registry: Registry, value: bytes, detail: str) -> None:
    letter = read_one(value, SchemaRegistry(registry.url))
    assert isinstance(letter, DeadLetter)
    assert letter.reason == "schema_registry_framing"
    assert detail in letter.detail
    assert letter.raw == value


def test_an_event_that_the_contract_rejects_keeps_the_bytes_that_kafka_delivered(registry: Registry) -> None:
    value = framed(AVRO, avro_bytes(eventType="nonsense"))
    letter = read_one(value, SchemaRegistry(registry.url))
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.raw) == ("unknown_event_type", value)
    fact = dead_letter_fact(letter)
    assert "nonsense" in fact.raw
    assert fact.user_ids == (EVENT["userId"],), "a deletion finds the row"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_registry_that_is_busy_is_asked_again(registry: Registry, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.kafka.schema_registry._RETRY_S", 0.0)
    decoder = SchemaRegistry(registry.url)
    registry.status = status
    with pytest.raises(RegistryUnavailableError):
        decoder.decode(messages_of("AVRO"))
    registry.status = 200
    assert json.loads(decoder.decode(messages_of("AVRO")))["eventId"] == "e1"


def test_a_schema_that_nobody_knows_costs_one_request_for_all_its_messages(registry: Registry) -> None:
    decoder = SchemaRegistry(registry.url)
    late = framed(77, json.dumps(EVENT).encode())
    for _ in range(20):
        with pytest.raises(FramingError, match="does not know schema 77"):
            decoder.decode(late)
    assert registry.asked == 1


def test_what_was_unknown_is_asked_for_again_after_some_seconds(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.kafka.schema_registry._UNKNOWN_S", 0.0)
    decoder = SchemaRegistry(registry.url)
    late = framed(77, json.dumps(EVENT).encode())
    with pytest.raises(FramingError):
        decoder.decode(late)
    registry.add(77, "JSON", JSON_SCHEMA)
    assert json.loads(decoder.decode(late))["eventId"] == "e1"


def test_a_registry_that_failed_is_not_asked_for_each_partition(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.kafka.schema_registry._RETRY_S", 600.0)
    decoder = SchemaRegistry(registry.url)
    assert json.loads(decoder.decode(messages_of("AVRO")))["eventId"] == "e1"
    registry.status, asked = 503, registry.asked
    cluster = ScriptedCluster(records=[ScriptedRecord(0, messages_of("AVRO")), ScriptedRecord(1, messages_of("JSON"))], end=2)
    source = KafkaSource(cluster, BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD), now=lambda: START, tail=False, registry=decoder)
    parts = [source.build_part("input", f"events:{index}", None) for index in range(3)]
    seen = [item.offset for _ in range(10) for part in parts for item in part.next_batch() if isinstance(item, Message)]
    assert seen == [0, 0, 0]  # a schema that is known needs no registry
    assert registry.asked == asked + 1
    for part in parts:
        part.close()


def test_a_command_waits_for_a_registry_that_is_away_for_a_moment(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.kafka.schema_registry._RETRY_S", 0.0)
    registry.status = 503
    decoder, found = SchemaRegistry(registry.url, patience_s=PATIENCE), list[bytes]()
    waiting = threading.Thread(target=lambda: found.append(decoder.decode_patiently(messages_of("AVRO"))), daemon=True)
    waiting.start()
    wait_until(lambda: registry.asked > 2, "some tries")
    registry.status = 200
    join(waiting, "the decoded message")
    assert json.loads(found[0])["eventId"] == "e1"
    with pytest.raises(FramingError):
        decoder.decode_patiently(framed(77, b"{}"))


def test_a_command_ends_with_a_sentence_where_the_registry_stays_away(registry: Registry) -> None:
    registry.status = 503
    said = r"schema registry did not answer for 0 s \(HTTP status 503\).*ONRAMP_SCHEMA_REGISTRY_URL"
    with pytest.raises(SourceError, match=said):
        SchemaRegistry(registry.url, patience_s=0.0).decode_patiently(messages_of("AVRO"))


def test_a_registry_that_is_not_there_is_asked_again() -> None:
    with pytest.raises(RegistryUnavailableError):
        SchemaRegistry("http://127.0.0.1:1").decode(messages_of("JSON"))


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_is_a_sentence_without_the_password(registry: Registry, status: int) -> None:
    registry.status = status
    decoder = SchemaRegistry(registry.url.replace("//", "//user:hunter2@"))
    with pytest.raises(SourceError, match="check the user and the password in ONRAMP_SCHEMA_REGISTRY_URL") as raised:
        decoder.decode(messages_of("JSON"))
    assert "hunter2" not in str(raised.value)
    assert registry.authorization == "Basic " + base64.b64encode(b"user:hunter2").decode()


@pytest.mark.parametrize(("status", "body"), [(200, "<html>"), (404, "<html>"), (404, None), (400, None)])
def test_an_address_that_is_no_registry_is_a_sentence(registry: Registry, status: int, body: str | None) -> None:
    registry.status, registry.body = status, body
    with pytest.raises(SourceError, match="does not lead to a schema registry"):
        SchemaRegistry(registry.url).decode(messages_of("JSON"))


def test_without_the_packages_it_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka.schema_registry.avro", None)
    with pytest.raises(SourceError, match=r"install onramp\[schema-registry\]"):
        SchemaRegistry("http://127.0.0.1:1")


def test_while_the_registry_is_down_nothing_is_skipped(broker: Tansu, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.kafka.schema_registry._RETRY_S", 0.05)
    topic = broker.new_topic()
    producer = Producer({"bootstrap.servers": broker.brokers, "log_level": 0})
    for value in (json.dumps(EVENT).encode(), messages_of("AVRO"), messages_of("JSON")):
        producer.produce(topic, value, partition=0)
    assert producer.flush(20) == 0
    registry.status = 503
    cluster = Cluster(broker.brokers, topic, "registry")
    source = KafkaSource(
        cluster, BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD), now=lambda: START, tail=False, registry=SchemaRegistry(registry.url)
    )
    part = source.build_part("input", f"{topic}:0", None)
    seen: list[int] = []

    def take() -> None:
        seen.extend(item.offset for item in part.next_batch() if isinstance(item, Message))

    def asked(times: int) -> bool:
        take()
        return registry.asked >= times

    wait_until(lambda: asked(3), "the third try")
    assert seen == [0]
    assert source.lag == {0: 2}
    registry.status = 200

    def all_read() -> bool:
        take()
        return len(seen) == 3

    wait_until(all_read, "the messages behind the pause")
    part.close()
    assert seen == [0, 1, 2]
