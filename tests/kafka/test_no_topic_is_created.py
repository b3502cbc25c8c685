"""Who asks a real Apache Kafka for a topic that it does not have creates none: brokers do that for many clients by default."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from flows.doctor.input_checks import check_broker
from flows.settings import load_settings
from gateway.kafka_log import KafkaLog
from gateway.log import Record, UnavailableError
from sources.errors import UnknownTopicError
from sources.kafka.append import append, append_everywhere
from sources.kafka.backlog import KafkaBacklog, topic_config
from sources.kafka.client import Cluster
from sources.kafka.raw import KafkaRawLog
from sources.kafka.whole_topic import read_whole_topic
from tests.kafka.cluster import LONG, event, onramp, opened, produce, source_of
from tests.support.apache_kafka import ApacheKafka
from tests.support.waiting import PATIENCE, run_async, until, wait_until

pytestmark = pytest.mark.kafka


def topics(kafka: ApacheKafka) -> set[str]:
    return set(kafka.admin().list_topics(timeout=PATIENCE).topics)


def measure(cluster: Cluster) -> None:
    backlog = KafkaBacklog(cluster)
    try:
        backlog.measure(None)
    finally:
        backlog.close()


def archive(cluster: Cluster) -> None:
    log = KafkaRawLog(cluster, accept_gap=False, accept="ONRAMP_X")
    try:
        assert log.id
        log.start({})
    finally:
        log.close()


ASK: dict[str, Callable[[Cluster], object]] = {
    "the id": lambda cluster: cluster.topic_id(lambda: False),
    "the partitions": lambda cluster: cluster.partitions(lambda: False),
    "the messages": lambda cluster: list(read_whole_topic(cluster)),
    "the lag": measure,
    "the configuration": topic_config,
    "the archive": archive,
    "a command that appends": lambda cluster: append(cluster, []),
    "a command that appends everywhere": lambda cluster: append_everywhere(cluster, b"{}", 0),
    "the doctor": lambda cluster: check_broker(load_settings(kafka_brokers=cluster.brokers, kafka_topic=cluster.topic)),
}


@pytest.mark.parametrize("what", ASK)
def test_a_question_about_a_missing_topic_does_not_create_it(kafka: ApacheKafka, what: str) -> None:
    missing = f"mistyped-{uuid.uuid4().hex}"
    with suppress(UnknownTopicError):
        ASK[what](Cluster(kafka.brokers, missing, missing, timeout_s=8))
    assert missing not in topics(kafka)


def test_onramp_archive_with_a_mistyped_topic_says_so(kafka: ApacheKafka, tmp_path: Path) -> None:
    missing = f"mistyped-{uuid.uuid4().hex}"
    done = onramp(kafka, missing, tmp_path, "archive", "--once")
    assert done.returncode == 1, done.stderr
    assert f"has no topic {missing}; create it, or set ONRAMP_KAFKA_TOPIC to another one" in done.stderr
    assert missing not in topics(kafka)


def test_the_gateway_creates_no_topic_and_writes_to_it_once_it_is_there(kafka: ApacheKafka) -> None:
    missing = f"mistyped-{uuid.uuid4().hex}"

    async def run() -> None:
        log = KafkaLog({"bootstrap.servers": kafka.brokers}, missing, acknowledge_seconds=2)
        try:
            with pytest.raises(UnavailableError):
                await log.append([Record(b"u", event(0))])
            assert f"Kafka has no topic {missing}" in str(await log.fault())
            assert missing not in topics(kafka)
            kafka.new_topic(name=missing)

            async def stored() -> bool:
                try:
                    await log.append([Record(b"u", event(1))])
                except UnavailableError:
                    return False
                return True

            await until(stored, "the topic takes events", within=LONG)
        finally:
            await log.close()

    run_async(run())


def test_a_topic_that_is_deleted_while_it_is_read_stays_deleted(kafka: ApacheKafka) -> None:
    topic = kafka.new_topic()
    produce(kafka, topic, [event(0)])
    source = source_of(Cluster(kafka.brokers, topic, topic, timeout_s=8), tail=True, watch_every_s=0.1)
    source.list_parts()
    part = opened(source)
    wait_until(part.next_batch, "the message", within=LONG)
    admin = kafka.admin()
    for future in admin.delete_topics([topic]).values():
        future.result(timeout=PATIENCE)
    watch = source.watch
    assert watch is not None
    for _ in range(3):
        asked = watch.ask_again()
        wait_until(lambda asked=asked: watch.confirmed_at >= asked, "an answer to the watch", within=LONG)  # type: ignore[misc]
    part.close()
    assert topic not in topics(kafka)
