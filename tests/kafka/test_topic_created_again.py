"""A topic that is deleted and created again, on a real Apache Kafka."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from flows.archive import Archiver, RollRules
from sources.archive.archive import Archive
from sources.errors import OffsetGapError
from sources.kafka.client import Cluster
from sources.kafka.partition import Partition
from sources.kafka.raw import KafkaRawLog
from state.messages import Message
from tests.kafka.cluster import (
    LONG,
    committed,
    event,
    ids,
    job,
    opened,
    produce,
    source_of,
)
from tests.support.apache_kafka import ApacheKafka
from tests.support.waiting import suspend, wait_until

pytestmark = pytest.mark.kafka


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
        wait_until(lambda: self.poll(part, seen) and part._identity._metadata_age > 0, "statistics", within=LONG)
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
            suspend(process.pid)
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
