"""The Kafka side of the gateway, on a broker: what is acknowledged is in the topic, and nothing else is acknowledged."""

from __future__ import annotations

import pytest

from gateway.event_log import Record, UnavailableError
from gateway.kafka_log import KafkaLog, KafkaSettingsError
from tests.support.tansu import Tansu, run_tansu, tansu_fixture
from tests.support.waiting import run_async

broker = tansu_fixture


def test_acknowledged_records_are_in_the_topic_with_key_and_headers(broker: Tansu) -> None:
    topic = broker.new_topic(partitions=3)
    records = [Record(f"u{n % 5}".encode(), f"event {n}".encode(), (("traceparent", b"00-x"),) if n == 0 else ()) for n in range(200)]

    async def write() -> str | None:
        log = KafkaLog({"bootstrap.servers": broker.brokers}, topic, acknowledge_seconds=30)
        await log.append(records[:1])
        await log.append(records[1:])
        await log.append([])
        fault = await log.fault()
        await log.close()
        return fault

    assert run_async(write()) is None
    found = broker.read_all(topic)
    assert sorted((message.key(), message.value()) for message in found) == sorted((record.key, record.value) for record in records)
    assert [message.headers() for message in found if message.value() == b"event 0"] == [[("traceparent", b"00-x")]]
    places = {(message.key(), message.partition()) for message in found}
    assert len(places) == 5  # one partition a key


def test_without_a_broker_nothing_is_acknowledged(broker: Tansu) -> None:
    with run_tansu() as down:
        topic = down.new_topic()
        down.kill()

        async def write() -> str | None:
            log = KafkaLog({"bootstrap.servers": down.brokers, "reconnect.backoff.max.ms": 100}, topic, acknowledge_seconds=0.5)
            with pytest.raises(UnavailableError, match="did not acknowledge") as caught:
                await log.append([Record(b"u", b"event")])
            assert caught.value.retry_after >= 1
            fault = await log.fault()
            await log.close()
            return fault

        assert "check the brokers" in str(run_async(write()))


def test_a_topic_that_is_not_there_is_a_fault(broker: Tansu) -> None:
    async def look() -> str | None:
        log = KafkaLog({"bootstrap.servers": broker.brokers}, "no-such-topic", acknowledge_seconds=5)
        fault = await log.fault()
        await log.close()
        return fault

    assert "ONRAMP_KAFKA_TOPIC" in str(run_async(look()))


def test_settings_that_librdkafka_refuses_are_a_sentence() -> None:
    with pytest.raises(KafkaSettingsError, match="correct it"):
        KafkaLog({"bootstrap.servers": "127.0.0.1:1", "security.protocol": "nonsense"}, "t", acknowledge_seconds=5)
