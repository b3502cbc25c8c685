"""The source, the dead letters and the whole job against a real Apache Kafka. `make real-kafka` runs these."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from flows.archive import Archiver, RollRules
from flows.doctor.input_checks import check_broker
from flows.settings import load_settings
from sinks.dead_letters.topic import DeadLetterTopicError, DeadLetterTopicSink
from sources.archive.archive import Archive
from sources.batching import BatchPolicy
from sources.errors import OffsetGapError, SourceError, UnreachableError
from sources.kafka.backlog import topic_config
from sources.kafka.client import Cluster
from sources.kafka.error_codes import advice_for
from sources.kafka.partition import Partition
from sources.kafka.raw import KafkaRawLog
from sources.kafka.source import KafkaSource
from state.events import Event, decode
from state.messages import Message, Tick
from state.records.dead_letter import DeadLetter
from tests.sources.harness import LOOKAHEAD, drain
from tests.support.apache_kafka import PASSWORD, USER, ApacheKafka, run_apache_kafka
from tests.support.certificates import make_authority
from tests.support.job_runs import ROOT
from tests.support.ports import port_of, reserve
from tests.support.raw_produce import RawRecord, produce_raw
from tests.support.waiting import PATIENCE, running, wait_until

pytestmark = pytest.mark.kafka

LONG = 180.0  # seconds for what takes a few on an idle machine


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    with run_apache_kafka(tmp_path_factory.mktemp("kafka") / "broker") as broker:
        yield broker


def wall() -> int:
    return int(time.time() * 1_000)


def event(number: int, user: str = "u") -> bytes:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    fields = {"eventId": f"e{number}", "userId": user, "eventType": "page_view", "timestamp": stamp, "payload": {"path": "/"}}
    return json.dumps(fields).encode()


def produce(kafka: ApacheKafka, topic: str, values: list[bytes], partition: int = 0, options: dict[str, str] | None = None) -> None:
    producer = Producer({"bootstrap.servers": kafka.brokers, "log_level": 0, **(options or {})})
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(60) == 0


def source_of(cluster: Cluster, **more: Any) -> KafkaSource:
    policy = BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD, more.pop("batch_size", 100))
    return KafkaSource(cluster, policy, now=wall, **{"tail": False, **more})


def read(cluster: Cluster, partition: int = 0, resume: Any = None, **more: Any) -> tuple[list[Message], Any]:
    part = source_of(cluster, **more).build_part("input", f"{cluster.topic}:{partition}", resume)
    items: list[Message | Tick] = []
    try:
        assert drain(part, items.extend, seconds=60)
        return [item for item in items if isinstance(item, Message)], part.snapshot()
    finally:
        part.close()


def opened(source: KafkaSource) -> Partition:
    """The first partition."""
    part = source.build_part("input", f"{source.cluster.topic}:0", None)
    assert isinstance(part, Partition)
    return part


def ids(messages: list[Message]) -> list[str]:
    decoded = [decode(message) for message in messages]
    return [each.id if isinstance(each, Event) else each.reason for each in decoded]


def committed(kafka: ApacheKafka, topic: str, group: str, partitions: int) -> dict[int, int]:
    consumer = Consumer({"bootstrap.servers": kafka.brokers, "group.id": group, "log_level": 0})
    try:
        places = consumer.committed([TopicPartition(topic, index) for index in range(partitions)], timeout=10)
        return {place.partition: max(0, place.offset) for place in places}
    except KafkaException:  # the broker is down
        return {}
    finally:
        consumer.close()


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


def delete_all(kafka: ApacheKafka, topic: str, low: int) -> None:
    """Let the retention of the topic delete every message."""
    admin = kafka.admin()

    def retain(milliseconds: str) -> None:
        entry = ConfigEntry("retention.ms", milliseconds, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        for future in admin.incremental_alter_configs([resource]).values():
            future.result(timeout=PATIENCE)

    retain("1")
    consumer = Consumer({"bootstrap.servers": kafka.brokers, "group.id": "watermarks", "log_level": 0})
    try:
        place = TopicPartition(topic, 0)
        wait_until(lambda: consumer.get_watermark_offsets(place, timeout=10) == (low, low), "the retention", within=LONG, every=0.2)
    finally:
        consumer.close()
    retain("-1")


def environment_for(kafka: ApacheKafka, topic: str, data_dir: Path, **settings: str) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONRAMP_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    own = {
        "ONRAMP_KAFKA_BROKERS": kafka.brokers,
        "ONRAMP_KAFKA_TOPIC": topic,
        "ONRAMP_KAFKA_GROUP": topic,
        "ONRAMP_KAFKA_DEAD_LETTER_TOPIC": f"{topic}-dlq",
        "ONRAMP_CATALOG": "saas",
        "ONRAMP_SECRET": "a secret for the tests on Kafka",
        "ONRAMP_DATA_DIR": str(data_dir),
        "ONRAMP_EPOCH_SECONDS": "0.5",
    }
    return {**environment, **own, **settings}


@contextmanager
def job(kafka: ApacheKafka, topic: str, data_dir: Path, **settings: str) -> Iterator[subprocess.Popen[str]]:
    command, environment = [sys.executable, "-m", "cli", "run", "--json"], environment_for(kafka, topic, data_dir, **settings)
    with running(
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ) as process:
        yield process


class TestJob:
    def test_partitions_added_and_a_broker_killed_in_the_middle_of_a_run(self, kafka: ApacheKafka, tmp_path: Path) -> None:
        topic = kafka.new_topic()
        ends = {0: 0, 1: 0, 2: 0}

        def send(partition: int, count: int) -> None:
            first = sum(ends.values())
            produce(kafka, topic, [event(first + number, f"u{first + number}") for number in range(count)], partition)
            ends[partition] += count

        send(0, 500)
        with job(kafka, topic, tmp_path / "data") as process:
            wait_until(lambda: committed(kafka, topic, topic, 1) == {0: 500}, "the first", within=LONG, every=0.3, process=process)
            kafka.grow(topic, 3)
            send(1, 300)
            send(2, 200)
            wait_until(lambda: committed(kafka, topic, topic, 3) == ends, "new partitions", within=LONG, every=0.3, process=process)
            send(0, 400)
            kafka.kill()
            kafka.start()
            send(1, 400)
            wait_until(lambda: committed(kafka, topic, topic, 3) == ends, "all after the kill", within=LONG, every=0.3, process=process)
            assert kafka.group_lag(topic) == {0: 0, 1: 0, 2: 0}
            process.send_signal(signal.SIGTERM)
            said, complained = process.communicate(timeout=LONG)
        assert process.returncode == 0, complained
        summary = json.loads(said)
        assert summary["eventsRead"] == sum(ends.values()) == 1_800
        assert summary["users"] == 1_800
        assert re.search(r"has new partitions; this job reads them from their beginning: 1, 2", complained)

    def test_the_job_ends_with_one_sentence_where_messages_are_gone(self, kafka: ApacheKafka, tmp_path: Path) -> None:
        topic = kafka.new_topic()
        produce(kafka, topic, [event(number) for number in range(10)])
        with job(kafka, topic, tmp_path / "data") as process:
            wait_until(lambda: committed(kafka, topic, topic, 1) == {0: 10}, "all", within=LONG, every=0.3, process=process)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=LONG)
        produce(kafka, topic, [event(10)])
        delete_all(kafka, topic, low=11)
        with job(kafka, topic, tmp_path / "data") as process:
            _, complained = process.communicate(timeout=LONG)
        assert process.returncode == 1
        assert "which is not in the topic (it starts at 11)" in complained
        assert "Traceback" not in complained


class TestTopicCreatedAgain:
    """It has more messages than were read, so the position is in it and no error comes."""

    def read_one_and_create_again(self, kafka: ApacheKafka, monkeypatch: pytest.MonkeyPatch, **more: Any) -> tuple[Partition, list[str]]:
        monkeypatch.setattr("sources.kafka.partition._STALL_S", 0.0)  # as if each pause were long
        topic = kafka.new_topic()
        produce(kafka, topic, [event(0)])
        source = source_of(Cluster(kafka.brokers, topic, topic), tail=True, **more)
        source.list_parts()
        part, seen = opened(source), list[str]()
        wait_until(lambda: self.poll(part, seen), "the first message", within=LONG)
        kafka.create_again(topic)
        produce(kafka, topic, [event(number) for number in range(10, 15)])
        return part, seen

    def poll(self, part: Partition, seen: list[str]) -> list[str]:
        seen += ids([item for item in part.next_batch() if isinstance(item, Message)])
        return seen

    def test_nothing_of_it_is_read(self, kafka: ApacheKafka, monkeypatch: pytest.MonkeyPatch) -> None:
        part, seen = self.read_one_and_create_again(kafka, monkeypatch)
        with pytest.raises(OffsetGapError, match="it was created again"):
            wait_until(lambda: len(self.poll(part, seen)) > 1, "no message", within=LONG)
        assert seen == ["e0"]
        part.close()

    def test_it_is_read_from_its_beginning_where_that_is_accepted(self, kafka: ApacheKafka, monkeypatch: pytest.MonkeyPatch) -> None:
        part, seen = self.read_one_and_create_again(kafka, monkeypatch, accept_gap=True)
        wait_until(lambda: "e14" in self.poll(part, seen), "the last message", within=LONG)
        assert seen == ["e0", "e10", "e11", "e12", "e13", "e14"]
        part.close()

    def test_new_metadata_shows_it_while_the_job_reads(self, kafka: ApacheKafka) -> None:
        topic = kafka.new_topic()
        produce(kafka, topic, [event(0)])
        source = source_of(Cluster(kafka.brokers, topic, topic), tail=True, watch_every_s=LONG)
        source.list_parts()
        part, seen = opened(source), list[str]()
        wait_until(lambda: self.poll(part, seen), "the first message", within=LONG)
        wait_until(lambda: self.poll(part, seen) and part._metadata_age > 0, "statistics", within=LONG)
        kafka.create_again(topic)
        produce(kafka, topic, [event(number) for number in range(10, 15)])

        def poll() -> bool:
            self.poll(part, seen)
            return False

        with pytest.raises(OffsetGapError, match="it was created again"):
            wait_until(poll, "the other topic", within=LONG / 3)
        part.close()

    def test_a_job_that_was_stopped_meanwhile_ends_with_a_sentence(self, kafka: ApacheKafka, tmp_path: Path) -> None:
        topic = kafka.new_topic()
        produce(kafka, topic, [event(number) for number in range(10)])
        with job(kafka, topic, tmp_path / "data") as process:
            wait_until(lambda: committed(kafka, topic, topic, 1) == {0: 10}, "all", within=LONG, every=0.3, process=process)
            process.send_signal(signal.SIGSTOP)
            kafka.create_again(topic)
            produce(kafka, topic, [event(number) for number in range(10, 40)])
            process.send_signal(signal.SIGCONT)
            _, complained = process.communicate(timeout=LONG)
        assert process.returncode == 1
        assert f"The topic {topic} is not the one that this data directory has read: it was created again" in complained
        assert "ONRAMP_KAFKA_ACCEPT_GAP=true keeps the users and reads this topic from its earliest message" in complained
        assert "Traceback" not in complained

    def test_the_archive_has_no_message_of_it(self, kafka: ApacheKafka, tmp_path: Path) -> None:
        topic = kafka.new_topic()
        log = KafkaRawLog(Cluster(kafka.brokers, topic, topic), accept_gap=True, accept="ONRAMP_X")
        archiver = Archiver(Archive(tmp_path / "archive"), log, RollRules(10**9, 0.0), stopping=lambda: False)

        def archived() -> int:
            archiver.step()
            return archiver.totals.messages

        archiver.archive.bind(log.name, log.id)
        with archiver.archive.appending():
            archiver._resume()
            for number in range(3):
                produce(kafka, topic, [event(number)])
            wait_until(lambda: archived() == 3, "the first messages", within=LONG)
            kafka.create_again(topic)
            produce(kafka, topic, [event(number) for number in range(10, 20)])
            with pytest.raises(OffsetGapError, match="created again while it was archived"):
                wait_until(lambda: archived() > 3, "no message", within=LONG)
        log.close()
        assert archiver.totals.messages == 3


def onramp(kafka: ApacheKafka, topic: str, data_dir: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the settings of ``job`` to its end."""
    environment = environment_for(kafka, topic, data_dir, **settings)
    command = [sys.executable, "-m", "cli", *words]
    return subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LONG)


class TestRetention:
    def test_the_job_and_the_commands_know_how_long_a_message_stays(self, kafka: ApacheKafka, tmp_path: Path) -> None:
        topic = kafka.new_topic(retention_ms="86400000")
        produce(kafka, topic, [event(0)])
        found = topic_config(Cluster(kafka.brokers, topic, "g"))
        assert (found["retention.ms"], found["cleanup.policy"]) == ("86400000", "delete")
        data = tmp_path / "data"
        with (
            reserve() as held,
            job(kafka, topic, data, ONRAMP_METRICS_ADDRESS=f"127.0.0.1:{port_of(held)}") as process,
        ):
            address = f"http://127.0.0.1:{port_of(held)}/metrics"
            known = re.compile(r'^onramp_retention_seconds\{.*partition="0".*\} 86400\.0$', re.MULTILINE)
            held.close()
            wait_until(lambda: known.search(scraped(address)), "the retention in the metrics", within=LONG, every=0.3, process=process)
            left = re.search(r"^onramp_time_to_data_loss_seconds\{.*\} (\d+\.\d+)$", scraped(address), re.MULTILINE)
            assert left is not None
            assert 86_000 < float(left[1]) <= 86_400
        shown = onramp(kafka, topic, data, "lag", "--json")
        (partition,) = json.loads(shown.stdout)["partitions"]
        assert 86_000 < partition["secondsToDataLoss"] <= 86_400
        assert shown.stderr == ""

    def test_a_compacted_topic_is_no_input(self, kafka: ApacheKafka, tmp_path: Path) -> None:
        topic = kafka.new_topic(cleanup_policy="compact")
        found = onramp(kafka, topic, tmp_path / "data", "doctor", "--json")
        assert "it is compacted" in found.stdout


def scraped(address: str) -> str:
    """What the address answers, empty while nobody does."""
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return str(answer.read(), "utf-8")
    except OSError:
        return ""


@pytest.fixture(scope="module")
def secured(kafka: ApacheKafka) -> tuple[str, str]:
    """A topic and its dead-letter topic, on which the user of SCRAM and the holder of the client certificate have all rights they need."""
    topic, letters = kafka.new_topic(), kafka.new_topic()
    for user in (f"User:{USER}", "User:CN=onramp-client"):
        allow(kafka, user, ResourceType.TOPIC, topic, AclOperation.READ)
        allow(kafka, user, ResourceType.TOPIC, letters, AclOperation.WRITE)
        allow(kafka, user, ResourceType.GROUP, "secured", AclOperation.READ)
    produce(kafka, topic, [event(0), b"{"])
    return topic, letters


def allow(kafka: ApacheKafka, user: str, kind: ResourceType, name: str, operation: AclOperation) -> None:
    binding = AclBinding(kind, name, ResourcePatternType.LITERAL, user, "*", operation, AclPermissionType.ALLOW)
    admin = kafka.admin()
    for future in admin.create_acls([binding]).values():
        future.result(timeout=PATIENCE)


def scram(kafka: ApacheKafka, **changes: str) -> dict[str, str]:
    options = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": USER,
        "sasl.password": PASSWORD,
        "ssl.ca.location": str(kafka.authority.file),
    }
    return {**options, **{name.replace("_", "."): value for name, value in changes.items()}}


def mtls(kafka: ApacheKafka, name: str = "client", *, expired: bool = False) -> dict[str, str]:
    made = kafka.authority.sign(name, host="onramp-client", expired=expired)
    return {
        "security.protocol": "SSL",
        "ssl.ca.location": str(kafka.authority.file),
        "ssl.certificate.location": str(made.certificate),
        "ssl.key.location": str(made.key),
    }


class TestSecurity:
    @pytest.mark.parametrize("listener", ["scram", "mtls"])
    def test_reading_committing_and_dead_letters_with_the_least_rights(
        self, kafka: ApacheKafka, secured: tuple[str, str], listener: str
    ) -> None:
        topic, letters = secured
        options = scram(kafka) if listener == "scram" else mtls(kafka)
        cluster = Cluster(kafka.address(listener), topic, "secured", options)
        assert cluster.partitions(lambda: False) == [0]
        messages, _ = read(cluster, resume=(1, 0, 0, 0, 0))
        good, bad = map(decode, messages)
        assert isinstance(good, Event)
        assert isinstance(bad, DeadLetter)
        config = {"bootstrap.servers": kafka.address(listener), **options}
        part = DeadLetterTopicSink(config, letters, give_up_seconds=60, advise=advice_for).build_part("out", "0", None)
        part.write_batch([[bad]])
        part.snapshot()
        assert part.written == 1

    def refusal(self, kafka: ApacheKafka, listener: str, options: dict[str, str], topic: str, group: str = "secured") -> str:
        cluster = Cluster(kafka.address(listener), topic, group, {**options, "log_level": "0"}, timeout_s=8)

        def start() -> None:
            cluster.partitions(lambda: False)
            read(cluster)

        with pytest.raises(SourceError) as raised:
            start()
        sentence = str(raised.value)
        assert PASSWORD not in sentence
        assert "\n" not in sentence
        return sentence

    def test_a_wrong_password(self, kafka: ApacheKafka, secured: tuple[str, str]) -> None:
        sentence = self.refusal(kafka, "scram", scram(kafka, sasl_password="wrong-horse"), secured[0])
        assert "check the security settings in ONRAMP_KAFKA_CONFIG (user, password, mechanism)" in sentence
        assert "wrong-horse" not in sentence

    def test_a_wrong_mechanism(self, kafka: ApacheKafka, secured: tuple[str, str]) -> None:
        sentence = self.refusal(kafka, "scram", scram(kafka, sasl_mechanism="PLAIN"), secured[0])
        assert "check the security settings in ONRAMP_KAFKA_CONFIG (user, password, mechanism)" in sentence

    def test_an_authority_that_did_not_sign_the_brokers_certificate(
        self, kafka: ApacheKafka, secured: tuple[str, str], tmp_path: Path
    ) -> None:
        other = make_authority(tmp_path)
        sentence = self.refusal(kafka, "scram", scram(kafka, ssl_ca_location=str(other.file)), secured[0])
        assert "ssl.ca.location must hold the authority" in sentence

    def test_a_brokers_certificate_that_has_expired(self, kafka: ApacheKafka, secured: tuple[str, str]) -> None:
        options = {"security.protocol": "SSL", "ssl.ca.location": str(kafka.authority.file)}
        sentence = self.refusal(kafka, "old", options, secured[0])
        assert "none may have expired" in sentence

    def test_a_client_certificate_that_has_expired(self, kafka: ApacheKafka, secured: tuple[str, str]) -> None:
        sentence = self.refusal(kafka, "mtls", mtls(kafka, "client-expired", expired=True), secured[0])
        assert "the brokers must accept ssl.certificate.location, none may have expired" in sentence

    def test_a_client_certificate_of_another_authority(self, kafka: ApacheKafka, secured: tuple[str, str], tmp_path: Path) -> None:
        stranger = make_authority(tmp_path).sign("stranger", host="onramp-client")
        options = {
            **mtls(kafka, "client-replaced"),
            "ssl.certificate.location": str(stranger.certificate),
            "ssl.key.location": str(stranger.key),
        }
        sentence = self.refusal(kafka, "mtls", options, secured[0])
        assert "the brokers must accept ssl.certificate.location" in sentence

    def test_no_client_certificate(self, kafka: ApacheKafka, secured: tuple[str, str]) -> None:
        options = {"security.protocol": "SSL", "ssl.ca.location": str(kafka.authority.file)}
        sentence = self.refusal(kafka, "mtls", options, secured[0])
        assert "the brokers must accept ssl.certificate.location" in sentence

    def test_a_topic_that_the_user_may_not_read(self, kafka: ApacheKafka) -> None:
        topic = kafka.new_topic()
        sentence = self.refusal(kafka, "scram", scram(kafka), topic)
        assert "give this user the right to read the topic ONRAMP_KAFKA_TOPIC" in sentence

    def test_a_group_that_the_user_may_not_read(self, kafka: ApacheKafka, secured: tuple[str, str]) -> None:
        sentence = self.refusal(kafka, "scram", scram(kafka), secured[0], group="another")
        assert "give this user the right to read the consumer group ONRAMP_KAFKA_GROUP" in sentence

    def test_a_dead_letter_topic_that_the_user_may_not_write(self, kafka: ApacheKafka, secured: tuple[str, str]) -> None:
        letter = decode(Message(b"{", None, secured[0], 0, 0, wall(), wall(), 2))
        assert isinstance(letter, DeadLetter)
        config = {"bootstrap.servers": kafka.address("scram"), **scram(kafka), "log_level": "0"}
        part = DeadLetterTopicSink(config, secured[0], give_up_seconds=20, advise=advice_for).build_part("out", "0", None)
        part.write_batch([[letter]])
        with pytest.raises(DeadLetterTopicError, match="to write the topic ONRAMP_KAFKA_DEAD_LETTER_TOPIC"):
            part.snapshot()

    def test_the_command_with_scram_and_a_wrong_password(self, kafka: ApacheKafka, secured: tuple[str, str], tmp_path: Path) -> None:
        options = json.dumps(scram(kafka, sasl_password="wrong-horse"))
        address = {"ONRAMP_KAFKA_BROKERS": kafka.address("scram"), "ONRAMP_KAFKA_CONFIG": options}
        with job(kafka, secured[0], tmp_path / "data", **address) as process:
            _, complained = process.communicate(timeout=LONG)
        assert process.returncode == 1
        assert "check the security settings in ONRAMP_KAFKA_CONFIG" in complained
        assert "Traceback" not in complained
        assert "wrong-horse" not in complained


@pytest.mark.parametrize("fault", ["password", "certificate"])
def test_the_doctor_says_what_the_broker_refuses(kafka: ApacheKafka, fault: str) -> None:
    listener, options, said, advice = {
        "password": (
            "scram",
            scram(kafka, sasl_password="wrong-horse"),
            "refuses this job",
            "Check the security settings in ONRAMP_KAFKA_CONFIG",
        ),
        "certificate": (
            "old",
            {"security.protocol": "SSL", "ssl.ca.location": str(kafka.authority.file)},
            "certificate verify failed",
            "Check the certificates in ONRAMP_KAFKA_CONFIG",
        ),
    }[fault]
    (found,) = check_broker(load_settings(kafka_brokers=kafka.address(listener), kafka_config=json.dumps(options)))
    assert (found.check, found.status) == ("broker", "fail")
    assert said in found.says
    assert found.advice.startswith(advice)
    assert found.advice.endswith(".")


def test_a_broker_that_speaks_plain_text_where_tls_is_expected(kafka: ApacheKafka) -> None:
    options = {"security.protocol": "SSL", "ssl.ca.location": str(kafka.authority.file), "log_level": "0"}
    with pytest.raises(UnreachableError, match=r"ssl\.ca\.location"):
        Cluster(kafka.brokers, "t", "g", options, timeout_s=10).partitions(lambda: False)


def test_brokers_that_expect_tls_where_plain_text_is_set(kafka: ApacheKafka) -> None:
    with pytest.raises(UnreachableError, match=r"set security\.protocol in ONRAMP_KAFKA_CONFIG"):
        Cluster(kafka.address("mtls"), "t", "g", {"log_level": "0"}, timeout_s=10).partitions(lambda: False)
