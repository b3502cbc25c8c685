"""Every error code of Kafka in the table has its consequence: retried, a sentence with what to do, a dead letter, or a gap."""

from __future__ import annotations

import logging

import pytest
from confluent_kafka import KafkaError

from sources.errors import BrokerError, UnknownTopicError
from sources.kafka.client import Cluster, ErrorHandler
from sources.kafka.error_codes import RULES, Reaction, advice_for, rule_for

_K = KafkaError

STOPS: dict[int, str] = {
    _K._UNKNOWN_TOPIC: "has no topic events; create it, or set ONRAMP_KAFKA_TOPIC",
    _K._UNKNOWN_PARTITION: "has no topic events; create it, or set ONRAMP_KAFKA_TOPIC",
    _K.UNKNOWN_TOPIC_OR_PART: "has no topic events; create it, or set ONRAMP_KAFKA_TOPIC",
    _K.TOPIC_EXCEPTION: "correct the name in ONRAMP_KAFKA_TOPIC",
    _K.INVALID_GROUP_ID: "correct the name in ONRAMP_KAFKA_TOPIC, ONRAMP_KAFKA_DEAD_LETTER_TOPIC or ONRAMP_KAFKA_GROUP",
    _K._AUTHENTICATION: "user, password, mechanism",
    _K.SASL_AUTHENTICATION_FAILED: "user, password, mechanism",
    _K.UNSUPPORTED_SASL_MECHANISM: "user, password, mechanism",
    _K.ILLEGAL_SASL_STATE: "user, password, mechanism",
    _K.SECURITY_DISABLED: "check the security settings",
    _K._SSL: "ssl.ca.location",
    _K.TOPIC_AUTHORIZATION_FAILED: "right to read the topic ONRAMP_KAFKA_TOPIC",
    _K.GROUP_AUTHORIZATION_FAILED: "right to read the consumer group ONRAMP_KAFKA_GROUP",
    _K.CLUSTER_AUTHORIZATION_FAILED: "right IDEMPOTENT_WRITE on the cluster",
    _K.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "right IDEMPOTENT_WRITE on the cluster",
    _K.POLICY_VIOLATION: "configuration of the topic",
    _K.INVALID_RECORD: "a compacted topic takes no message without a key",
    _K.INVALID_TIMESTAMP: "configuration of the topic",
    _K._INVALID_ARG: "correct ONRAMP_KAFKA_CONFIG",
    _K.INVALID_CONFIG: "correct ONRAMP_KAFKA_CONFIG",
    _K._CONFLICT: "correct ONRAMP_KAFKA_CONFIG",
    _K._UNSUPPORTED_FEATURE: "check the version",
    _K._NOT_IMPLEMENTED: "check the version",
    _K.UNSUPPORTED_VERSION: "check the version",
    _K.UNSUPPORTED_FOR_MESSAGE_FORMAT: "check the version",
    _K.UNSUPPORTED_COMPRESSION_TYPE: "check the version",
    _K.INVALID_REQUEST: "check the version",
    _K.INVALID_REQUIRED_ACKS: "check the version",
    _K._FENCED: "end the other program that uses this consumer group",
    _K.FENCED_INSTANCE_ID: "end the other program that uses this consumer group",
    _K.UNKNOWN_MEMBER_ID: "end the other program that uses this consumer group",
    _K.ILLEGAL_GENERATION: "end the other program that uses this consumer group",
    _K.INVALID_PRODUCER_EPOCH: "end the other program",
    _K.PRODUCER_FENCED: "end the other program",
    _K._FATAL: "check the brokers",
    _K._FAIL: "check the brokers",
    _K._CRIT_SYS_RESOURCE: "check the brokers",
    _K._FS: "check the brokers",
    _K.OUT_OF_ORDER_SEQUENCE_NUMBER: "check the brokers",
    _K.UNKNOWN_PRODUCER_ID: "check the brokers",
    _K.INVALID_PRODUCER_ID_MAPPING: "check the brokers",
    _K.OFFSET_METADATA_TOO_LARGE: "check the brokers",
    _K.INVALID_COMMIT_OFFSET_SIZE: "check the brokers",
}
"""Codes that end the job, and what the sentence must tell."""

RETRIES = frozenset(
    {
        *(_K._TRANSPORT, _K._ALL_BROKERS_DOWN, _K._RESOLVE, _K._TIMED_OUT, _K._TIMED_OUT_QUEUE, _K._MSG_TIMED_OUT, _K._WAIT_COORD),
        *(_K._WAIT_CACHE, _K._RETRY, _K._IN_PROGRESS, _K._PREV_IN_PROGRESS, _K._NO_OFFSET, _K._OUTDATED, _K._MAX_POLL_EXCEEDED),
        *(_K._ISR_INSUFF, _K._NODE_UPDATE, _K._DESTROY_BROKER, _K._UNKNOWN_BROKER, _K.UNKNOWN, _K.LEADER_NOT_AVAILABLE),
        *(_K.NOT_LEADER_FOR_PARTITION, _K.REQUEST_TIMED_OUT, _K.BROKER_NOT_AVAILABLE, _K.REPLICA_NOT_AVAILABLE, _K.STALE_CTRL_EPOCH),
        *(_K.NETWORK_EXCEPTION, _K.COORDINATOR_LOAD_IN_PROGRESS, _K.COORDINATOR_NOT_AVAILABLE, _K.NOT_COORDINATOR),
        *(_K.NOT_ENOUGH_REPLICAS, _K.NOT_ENOUGH_REPLICAS_AFTER_APPEND, _K.NOT_CONTROLLER, _K.REBALANCE_IN_PROGRESS),
        *(_K.KAFKA_STORAGE_ERROR, _K.LOG_DIR_NOT_FOUND, _K.FETCH_SESSION_ID_NOT_FOUND, _K.INVALID_FETCH_SESSION_EPOCH),
        *(_K.LISTENER_NOT_FOUND, _K.FENCED_LEADER_EPOCH, _K.UNKNOWN_LEADER_EPOCH, _K.OFFSET_NOT_AVAILABLE),
        *(_K.PREFERRED_LEADER_NOT_AVAILABLE, _K.UNSTABLE_OFFSET_COMMIT, _K.THROTTLING_QUOTA_EXCEEDED, _K.CONCURRENT_TRANSACTIONS),
        *(_K.UNKNOWN_TOPIC_ID, _K.INCONSISTENT_TOPIC_ID, _K.REBOOTSTRAP_REQUIRED),
    }
)
REJECTS = frozenset(
    {
        *(_K._BAD_MSG, _K._BAD_COMPRESSION, _K._UNDERFLOW, _K.INVALID_MSG, _K.INVALID_MSG_SIZE, _K.MSG_SIZE_TOO_LARGE),
        *(_K._KEY_DESERIALIZATION, _K._VALUE_DESERIALIZATION),
    }
)
GAPS = frozenset({_K._AUTO_OFFSET_RESET, _K.OFFSET_OUT_OF_RANGE, _K._LOG_TRUNCATION})
"""``tests/sources/test_kafka_records.py`` shows what the source does with the last two kinds."""

CLUSTER = Cluster("broker:9092", "events", "onramp", settings={"sasl.password": "hunter2"})


def name(code: int) -> str:
    return str(KafkaError(code).name())


def test_every_code_of_the_table_has_a_test() -> None:
    assert {*STOPS, *RETRIES, *REJECTS, *GAPS, _K._PARTITION_EOF, _K.NO_ERROR} == set(RULES)


@pytest.mark.parametrize("code", STOPS, ids=name)
def test_an_error_that_an_operator_must_fix_is_a_sentence_that_says_how(code: int) -> None:
    errors = ErrorHandler(CLUSTER)
    errors.handle(KafkaError(code))
    with pytest.raises(BrokerError) as raised:
        errors.raise_if_refused()
    sentence = str(raised.value)
    assert STOPS[code] in sentence
    assert sentence.startswith("Kafka at broker:9092")
    assert sentence.endswith(".")
    assert "hunter2" not in sentence


@pytest.mark.parametrize("code", sorted(RETRIES), ids=name)
def test_an_error_that_passes_is_logged_and_ends_nothing(code: int, caplog: pytest.LogCaptureFixture) -> None:
    errors = ErrorHandler(CLUSTER)
    errors.handle(KafkaError(code))
    errors.raise_if_refused()
    assert "trying again" in caplog.text


@pytest.mark.parametrize("code", sorted(REJECTS), ids=name)
def test_an_error_of_one_message_ends_nothing(code: int) -> None:
    assert rule_for(KafkaError(code)).reaction is Reaction.REJECT
    errors = ErrorHandler(CLUSTER)
    errors.handle(KafkaError(code))
    errors.raise_if_refused()


@pytest.mark.parametrize("code", sorted(GAPS), ids=name)
def test_a_lost_position_is_a_gap(code: int) -> None:
    assert rule_for(KafkaError(code)).reaction is Reaction.GAP


def test_a_missing_topic_is_an_error_of_its_own() -> None:
    errors = ErrorHandler(CLUSTER)
    errors.handle(KafkaError(_K.UNKNOWN_TOPIC_OR_PART))
    with pytest.raises(UnknownTopicError):
        errors.raise_if_refused()


@pytest.mark.parametrize(("retriable", "fatal", "reaction"), [(True, False, Reaction.RETRY), (False, False, Reaction.STOP)])
def test_a_code_that_is_not_in_the_table_is_judged_by_its_flags(retriable: bool, fatal: bool, reaction: Reaction) -> None:
    unlisted = KafkaError(_K.INVALID_TXN_STATE, "news", fatal, retriable, False)
    assert unlisted.code() not in RULES
    assert rule_for(unlisted).reaction is reaction
    assert advice_for(unlisted) == "check the brokers"


def test_a_fatal_error_ends_the_job_whatever_its_code() -> None:
    fatal = KafkaError(_K._TRANSPORT, "the client cannot go on", True, False, False)
    assert rule_for(fatal).reaction is Reaction.STOP


def test_the_text_of_an_error_decides_nothing(caplog: pytest.LogCaptureFixture) -> None:
    errors = ErrorHandler(CLUSTER)
    with caplog.at_level(logging.WARNING):
        errors.handle(KafkaError(_K._TRANSPORT, "SASL authentication error: Authentication failed: certificate verify failed"))
    errors.raise_if_refused()
    assert "trying again" in caplog.text
