"""The source on a real Apache Kafka."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition

from sources.errors import OffsetGapError
from sources.kafka.client import Cluster
from state.decode import decode
from state.messages import Message
from state.records.dead_letter import DeadLetter
from tests.kafka.cluster import (
    LONG,
    committed,
    delete_all,
    event,
    ids,
    opened,
    produce,
    read,
    source_of,
    wall,
)
from tests.sources.harness import drain
from tests.support.apache_kafka import ApacheKafka
from tests.support.raw_produce import RawRecord, produce_raw
from tests.support.waiting import wait_until

pytestmark = pytest.mark.kafka


class TestSource:
    def test_header_and_key_oddities_and_tombstones(self, kafka: ApacheKafka, caplog: pytest.LogCaptureFixture) -> None:
        topic = kafka.new_topic(message_timestamp_after_max_ms=str(2**63 - 1))
        records = [
            RawRecord(event(0), b"u", ((b"\xff\xfebad", b"v"), (b"traceparent", b"00-a-b-01")), wall()),
            RawRecord(event(1), b"\xff\xfe", ((b"traceparent", b"A" * 100_000),)),
            RawRecord(event(2), None, ((b"", b""), (b"null", None), (b"x-api-version", b"\xc3\x28"))),
            RawRecord(event(3), b"k" * 100_000),
            RawRecord(None, b"u-1"),
            RawRecord(b"", b"u-2"),
            RawRecord(b"\x00\x00\x00\x00\x07" + event(4), b"u"),
            RawRecord(event(5), timestamp=0),
            RawRecord(event(6), timestamp=1_700_000_000_000_000),
            RawRecord(event(7)),
        ]
        for record in records:
            produce_raw(kafka.brokers, topic, [record])
        messages, _ = read(Cluster(kafka.brokers, topic, "odd"))
        assert ids(messages) == ["e0", "e1", "e2", "e3", "not_json", "not_json", "schema_registry_framing", "e5", "e6", "e7"]
        assert "offset 0: the headers cannot be read" in caplog.text
        assert {message.traceparent for message in messages} == {""}
        letter = decode(messages[4])
        assert isinstance(letter, DeadLetter)
        assert (letter.offset, letter.key) == (4, b"u-1")

    def test_only_committed_transactions_are_read_and_the_end_is_the_end(self, kafka: ApacheKafka) -> None:
        topic = kafka.new_topic()
        producer = Producer({"bootstrap.servers": kafka.brokers, "transactional.id": topic, "log_level": 0})
        producer.init_transactions(60)
        for number, ending in enumerate([producer.commit_transaction, producer.abort_transaction, producer.commit_transaction]):
            producer.begin_transaction()
            producer.produce(topic, event(number))
            ending(60)
        source = source_of(Cluster(kafka.brokers, topic, "transactions"))
        part = source.build_part("input", f"{topic}:0", None)
        items: list[Any] = []
        assert drain(part, items.extend, seconds=60)
        part.snapshot()
        part.close()
        assert ids([item for item in items if isinstance(item, Message)]) == ["e0", "e2"]
        assert source.lag == {0: 0}
        wait_until(lambda: kafka.group_lag("transactions") == {0: 0}, "the commit", within=LONG, every=0.5)

    def test_the_lag_is_that_of_kafkas_own_tool(self, kafka: ApacheKafka) -> None:
        topic = kafka.new_topic()
        produce(kafka, topic, [event(number) for number in range(100)])
        source = source_of(Cluster(kafka.brokers, topic, "lag"), batch_size=40, tail=True)
        part = opened(source)
        seen = 0

        def first_batch() -> bool:
            nonlocal seen
            seen += sum(isinstance(item, Message) for item in part.next_batch())
            return seen > 0

        wait_until(first_batch, "the first batch", within=LONG)
        part.snapshot()
        part._commit()
        wait_until(lambda: committed(kafka, topic, "lag", 1) == {0: seen}, "the commit", within=LONG, every=0.2)
        assert source.lag == {0: 100 - seen}
        assert kafka.group_lag("lag") == source.lag
        part.close()

    def test_a_damaged_segment_costs_its_messages_and_no_others(self, kafka: ApacheKafka) -> None:
        topic = kafka.new_topic()
        produce(kafka, topic, [event(0)])
        together = {"compression.type": "gzip", "linger.ms": "500"}
        produce(kafka, topic, [b"x" * 5_000, b"y" * 5_000], options=together)
        produce(kafka, topic, [event(3)])
        log = kafka.directory / "logs" / f"{topic}-0" / f"{0:020}.log"
        data = bytearray(log.read_bytes())
        place = data.index(b"\x1f\x8b\x08")
        with log.open("r+b") as file:
            file.seek(place + 12)
            file.write(b"\xff" * 24)
        messages, _ = read(Cluster(kafka.brokers, topic, "damaged"))
        assert ids(messages) == ["e0", "unreadable", "unreadable", "e3"]
        assert [message.offset for message in messages] == [0, 1, 2, 3]

    def test_retention_that_passes_the_job_is_refused_until_accepted(self, kafka: ApacheKafka) -> None:
        topic = kafka.new_topic()
        produce(kafka, topic, [event(number) for number in range(10)])
        cluster = Cluster(kafka.brokers, topic, "gap")
        _, position = read(cluster)
        produce(kafka, topic, [event(number) for number in range(10, 15)])
        delete_all(kafka, topic, low=15)
        produce(kafka, topic, [event(15)])
        with pytest.raises(OffsetGapError, match=r"must resume at offset 10, which is not in the topic \(it starts at 15"):
            read(cluster, resume=position)
        messages, _ = read(cluster, resume=position, accept_gap=True)
        assert ids(messages) == ["e15"]

    @pytest.mark.parametrize("options", [{}, {"auto.offset.reset": "latest"}], ids=["", "whatever the settings say"])
    def test_retention_that_passes_a_running_job_is_noticed(self, kafka: ApacheKafka, options: dict[str, str]) -> None:
        topic = kafka.new_topic()
        produce(kafka, topic, [event(0)])
        paused = [False]
        source = source_of(
            Cluster(kafka.brokers, topic, "gap-running", {"fetch.queue.backoff.ms": "1", **options}), tail=True, paused=lambda: paused[0]
        )
        part = opened(source)
        wait_until(lambda: any(isinstance(item, Message) for item in part.next_batch()), "the first message", within=LONG)
        part._consumer.pause([TopicPartition(topic, 0)])  # as if the job were far behind
        paused[0] = True
        produce(kafka, topic, [event(number) for number in range(1, 10)])
        delete_all(kafka, topic, low=10)
        paused[0] = False
        part._consumer.resume([TopicPartition(topic, 0)])

        def poll() -> bool:
            part.next_batch()
            return False

        with pytest.raises(OffsetGapError, match="messages were deleted before they were read"):
            wait_until(poll, "the gap", within=LONG)
        part.close()

    def test_partitions_beyond_the_spare_ones_are_lag_and_a_warning(self, kafka: ApacheKafka, caplog: pytest.LogCaptureFixture) -> None:
        topic = kafka.new_topic()
        stopping = [False]
        source = source_of(Cluster(kafka.brokers, topic, "beyond"), tail=True, stopping=lambda: stopping[0], watch_every_s=0.2)
        listed = source.list_parts()
        assert len(listed) == 9
        parts = [source.build_part("input", name, None) for name in listed]
        kafka.grow(topic, 11)
        for partition in (8, 9, 10):
            produce(kafka, topic, [event(number) for number in range(partition)], partition)
        read_from: dict[int, int] = {}

        def all_seen() -> bool:
            for part in parts:
                for item in part.next_batch():
                    if isinstance(item, Message):
                        read_from[item.partition] = read_from.get(item.partition, 0) + 1
            return read_from == {8: 8} and source.lag.get(9) == 9 and source.lag.get(10) == 10

        wait_until(all_seen, "the last spare partition, and the lag of the others", within=LONG)
        assert "cannot read; their messages count as lag. Restart the job to read them: 9, 10" in caplog.text
        stopping[0] = True
        for part in parts:
            part.close()
