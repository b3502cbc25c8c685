"""The Kafka side of the gateway, on a broker: what is acknowledged is in the topic, and nothing else is acknowledged."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.kafka_log import KafkaLog, KafkaSettingsError
from gateway.log import OversizeError, Record, UnavailableError
from tests.support.certificates import make_authority
from tests.support.refusing_kafka import CLUSTER_AUTHORIZATION_FAILED, MESSAGE_TOO_LARGE, run_refusing_kafka
from tests.support.tansu import Tansu, run_tansu, tansu_fixture
from tests.support.tls_proxy import tls_proxy
from tests.support.waiting import PATIENCE, run_async, until

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


def test_a_request_that_still_waits_at_the_end_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.kafka_log._CLOSE_SECONDS", 0.01)
    with run_tansu() as down:
        topic = down.new_topic()
        down.kill()

        async def write() -> None:
            log = KafkaLog({"bootstrap.servers": down.brokers}, topic, acknowledge_seconds=PATIENCE)
            waiting = asyncio.create_task(log.append([Record(b"u", b"event")]))
            await asyncio.sleep(0)
            await log.close()
            with pytest.raises(UnavailableError, match="did not acknowledge"):
                await waiting

        run_async(write())


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


def test_a_producer_that_has_ended_is_a_fault_and_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    """Without the permission to write idempotently; it is granted later."""
    with run_refusing_kafka() as kafka:
        kafka.no_id = CLUSTER_AUTHORIZATION_FAILED

        async def write() -> None:
            log = KafkaLog({"bootstrap.servers": kafka.brokers}, kafka.topic, acknowledge_seconds=PATIENCE, renew_seconds=0.05)
            with pytest.raises(UnavailableError):
                await log.append([Record(b"u", b"event")])

            async def told() -> bool:
                return "permissions" in str(await log.fault())

            await until(told, "the fault of the producer that ended")
            await until(lambda: kafka.ids > 2, "producers that are made anew")
            kafka.no_id = 0

            async def stored() -> bool:
                try:
                    await log.append([Record(b"u", b"event")])
                except UnavailableError:
                    return False
                return True

            await until(stored, "an event that is stored by a new producer")
            await log.close()

        run_async(write())
    assert "Kafka ended the producer" in caplog.text


def test_a_new_producer_is_made_as_soon_as_the_files_that_it_needs_are_there_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The producer ends while the file of the authorities is being replaced."""
    authority = make_authority(tmp_path)
    away = tmp_path / "away.pem"
    with run_refusing_kafka() as kafka, tls_proxy(kafka.port, authority.sign("broker")) as port:
        kafka.port = port
        kafka.no_id = CLUSTER_AUTHORIZATION_FAILED
        config = {"bootstrap.servers": kafka.brokers, "security.protocol": "SSL", "ssl.ca.location": str(authority.file)}

        async def write() -> None:
            log = KafkaLog(config, kafka.topic, acknowledge_seconds=PATIENCE, renew_seconds=0.05)
            authority.file.rename(away)

            async def stored() -> bool:
                try:
                    await log.append([Record(b"u", b"event")])
                except UnavailableError:
                    return False
                return True

            async def told() -> bool:
                assert not await stored()
                return "no new producer" in str(await log.fault())

            await until(told, "the fault of the producer that cannot be made")
            kafka.no_id = 0
            away.rename(authority.file)
            await until(stored, "an event that is stored by a new producer")
            await log.close()

        run_async(write())
    assert "no new producer" in caplog.text


def test_an_event_that_the_topic_never_takes_is_named_and_the_others_are_stored(caplog: pytest.LogCaptureFixture) -> None:
    small, large = Record(b"u", b"x" * 100), Record(b"u", b"y" * 100_000)
    huge = Record(b"u", b"z" * 3_000_000)
    with run_refusing_kafka() as kafka:

        async def write() -> None:
            log = KafkaLog({"bootstrap.servers": kafka.brokers}, kafka.topic, acknowledge_seconds=PATIENCE)
            with pytest.raises(OversizeError) as caught:  # the client refuses it
                await log.append([small, huge, large])
            assert caught.value.values == {huge.value}
            with pytest.raises(OversizeError):
                await log.append([huge])
            await log.append([Record(b"u", b"x" * 1_048_576)])  # the largest event
            kafka.no_message = MESSAGE_TOO_LARGE
            with pytest.raises(OversizeError) as caught:  # the broker refuses it
                await log.append([large])
            assert caught.value.values == {large.value}
            with pytest.raises(UnavailableError):  # nothing of it is too large; its batch was
                await log.append([small])
            await log.close()

        run_async(write())
    assert [record.levelname for record in caplog.records if record.name == "gateway.kafka_log"] == ["WARNING"]


def test_failures_are_said_every_ten_seconds_with_their_number(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    with run_refusing_kafka() as kafka:
        kafka.no_message = MESSAGE_TOO_LARGE

        async def write() -> None:
            log = KafkaLog({"bootstrap.servers": kafka.brokers}, kafka.topic, acknowledge_seconds=PATIENCE, clock=lambda: now[0])
            for moment in (100.0, 101.0, 109.9, 110.0):
                now[0] = moment
                with pytest.raises(UnavailableError):
                    await log.append([Record(b"u", b"event")])
            await log.close()

        run_async(write())
    said = [record.getMessage() for record in caplog.records if record.name == "gateway.kafka_log"]
    assert len(said) == 2
    assert "did not store the events" in said[0]
    assert "2 more failures" in said[1]
