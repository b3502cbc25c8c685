"""How long a real Apache Kafka keeps messages, as the job and the commands know it."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest

from sources.kafka.backlog import topic_config
from sources.kafka.client import Cluster
from tests.kafka.cluster import (
    LONG,
    event,
    job,
    onramp,
    produce,
)
from tests.support.apache_kafka import ApacheKafka
from tests.support.ports import port_of, reserve
from tests.support.waiting import wait_until

pytestmark = pytest.mark.kafka


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
