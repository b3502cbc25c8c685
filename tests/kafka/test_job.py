"""The whole job on a real Apache Kafka."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from tests.kafka.cluster import (
    LONG,
    committed,
    delete_all,
    event,
    job,
    produce,
)
from tests.support.apache_kafka import ApacheKafka
from tests.support.waiting import wait_until

pytestmark = pytest.mark.kafka


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
