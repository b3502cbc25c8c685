"""The source, the job and the doctor on a real Apache Kafka with SASL_SSL and client certificates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from flows.doctor.input_checks import check_broker
from flows.settings import load_settings
from sinks.dead_letters.topic import DeadLetterTopicError, DeadLetterTopicSink
from sources.errors import SourceError, UnreachableError
from sources.kafka.client import Cluster
from sources.kafka.error_codes import advice_for
from state.decode import decode
from state.event import Event
from state.messages import Message
from state.records.dead_letter import DeadLetter
from tests.kafka.cluster import (
    LONG,
    event,
    job,
    produce,
    read,
    wall,
)
from tests.support.apache_kafka import PASSWORD, USER, ApacheKafka
from tests.support.certificates import make_authority
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.kafka


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
        stored, _ = read(Cluster(kafka.brokers, letters, "letters"))
        assert stored[-1].value == bad.raw

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
