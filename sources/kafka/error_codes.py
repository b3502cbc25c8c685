"""What the job does about each error of Kafka, by its code. No error is recognised by its text.

Codes below zero are librdkafka's own, the others are those of the Kafka protocol. A code that is not in the table (a newer broker may send
one) is retried if librdkafka calls it retriable, and otherwise ends the job.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from confluent_kafka import KafkaError


class Reaction(Enum):
    """What happens after an error."""

    RETRY = "try again; log it now and then"
    STOP = "end the job with a sentence: an operator must act"
    REJECT = "the message at this position cannot be read: it becomes a dead letter"
    GAP = "the position is not in the topic: end the job, or continue at the earliest message"
    END = "no error: the end of the partition"


class Rule(NamedTuple):
    """A line of the table. ``advice`` says what to do, without a full stop; it is empty where nothing is to be done."""

    reaction: Reaction
    advice: str = ""


CHECK_SECURITY: Final = "check the security settings in ONRAMP_KAFKA_CONFIG (user, password, mechanism)"
CHECK_TLS: Final = (
    "check the certificates in ONRAMP_KAFKA_CONFIG: ssl.ca.location must hold the authority that signed the brokers' certificates, the "
    "brokers must accept ssl.certificate.location, none may have expired, and the brokers' certificate must name the address that is used"
)
CHECK_PROTOCOL: Final = "if the brokers expect TLS, set security.protocol in ONRAMP_KAFKA_CONFIG"
ALLOW_TOPIC: Final = "give this user the right to read the topic ONRAMP_KAFKA_TOPIC and to write the topic ONRAMP_KAFKA_DEAD_LETTER_TOPIC"
ALLOW_CONFIG: Final = "give this user the right DESCRIBE_CONFIGS on the topic"
ALLOW_GROUP: Final = "give this user the right to read the consumer group ONRAMP_KAFKA_GROUP"
ALLOW_CLUSTER: Final = "give this user the right IDEMPOTENT_WRITE on the cluster"
CREATE_TOPIC: Final = "create the topic, or name another in ONRAMP_KAFKA_TOPIC or ONRAMP_KAFKA_DEAD_LETTER_TOPIC"
CORRECT_NAME: Final = "correct the name in ONRAMP_KAFKA_TOPIC, ONRAMP_KAFKA_DEAD_LETTER_TOPIC or ONRAMP_KAFKA_GROUP"
CORRECT_SETTINGS: Final = "correct ONRAMP_KAFKA_CONFIG"
CHECK_VERSION: Final = "check the version and the configuration of the brokers"
CHECK_BROKERS: Final = "check the brokers"
CHECK_ADDRESS: Final = "check the address, the network and whether the brokers run"
CHECK_TOPIC_CONFIG: Final = "check the configuration of the topic: a compacted topic takes no message without a key"
END_OTHER: Final = "end the other program that uses this consumer group, or set ONRAMP_KAFKA_GROUP to a group of its own"
_K = KafkaError

UNKNOWN_TOPIC: Final = frozenset({_K._UNKNOWN_TOPIC, _K._UNKNOWN_PARTITION, _K.UNKNOWN_TOPIC_OR_PART})

RULES: Final[dict[int, Rule]] = {
    _K._PARTITION_EOF: Rule(Reaction.END),
    _K.NO_ERROR: Rule(Reaction.END),
    **dict.fromkeys((_K._AUTO_OFFSET_RESET, _K.OFFSET_OUT_OF_RANGE, _K._LOG_TRUNCATION), Rule(Reaction.GAP)),
    **dict.fromkeys(
        (
            _K._BAD_MSG,
            _K._BAD_COMPRESSION,
            _K._UNDERFLOW,
            _K.INVALID_MSG,
            _K.INVALID_MSG_SIZE,
            _K.MSG_SIZE_TOO_LARGE,
            _K._KEY_DESERIALIZATION,
            _K._VALUE_DESERIALIZATION,
        ),
        Rule(Reaction.REJECT),
    ),
    **dict.fromkeys(UNKNOWN_TOPIC, Rule(Reaction.STOP, CREATE_TOPIC)),
    **dict.fromkeys((_K.TOPIC_EXCEPTION, _K.INVALID_GROUP_ID), Rule(Reaction.STOP, CORRECT_NAME)),
    **dict.fromkeys(
        (_K._AUTHENTICATION, _K.SASL_AUTHENTICATION_FAILED, _K.UNSUPPORTED_SASL_MECHANISM, _K.ILLEGAL_SASL_STATE),
        Rule(Reaction.STOP, CHECK_SECURITY),
    ),
    _K._SSL: Rule(Reaction.STOP, CHECK_TLS),
    _K.SECURITY_DISABLED: Rule(Reaction.STOP, CHECK_SECURITY),
    _K.TOPIC_AUTHORIZATION_FAILED: Rule(Reaction.STOP, ALLOW_TOPIC),
    _K.GROUP_AUTHORIZATION_FAILED: Rule(Reaction.STOP, ALLOW_GROUP),
    _K.CLUSTER_AUTHORIZATION_FAILED: Rule(Reaction.STOP, ALLOW_CLUSTER),
    _K.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: Rule(Reaction.STOP, ALLOW_CLUSTER),
    **dict.fromkeys((_K.POLICY_VIOLATION, _K.INVALID_RECORD, _K.INVALID_TIMESTAMP), Rule(Reaction.STOP, CHECK_TOPIC_CONFIG)),
    **dict.fromkeys((_K._INVALID_ARG, _K.INVALID_CONFIG, _K._CONFLICT), Rule(Reaction.STOP, CORRECT_SETTINGS)),
    **dict.fromkeys(
        (
            _K._UNSUPPORTED_FEATURE,
            _K._NOT_IMPLEMENTED,
            _K.UNSUPPORTED_VERSION,
            _K.UNSUPPORTED_FOR_MESSAGE_FORMAT,
            _K.UNSUPPORTED_COMPRESSION_TYPE,
            _K.INVALID_REQUEST,
            _K.INVALID_REQUIRED_ACKS,
        ),
        Rule(Reaction.STOP, CHECK_VERSION),
    ),
    **dict.fromkeys(
        (_K._FENCED, _K.FENCED_INSTANCE_ID, _K.UNKNOWN_MEMBER_ID, _K.ILLEGAL_GENERATION, _K.INVALID_PRODUCER_EPOCH, _K.PRODUCER_FENCED),
        Rule(Reaction.STOP, END_OTHER),
    ),
    **dict.fromkeys(
        (
            _K._FATAL,
            _K._FAIL,
            _K._CRIT_SYS_RESOURCE,
            _K._FS,
            _K.OUT_OF_ORDER_SEQUENCE_NUMBER,
            _K.UNKNOWN_PRODUCER_ID,
            _K.INVALID_PRODUCER_ID_MAPPING,
            _K.OFFSET_METADATA_TOO_LARGE,
            _K.INVALID_COMMIT_OFFSET_SIZE,
        ),
        Rule(Reaction.STOP, CHECK_BROKERS),
    ),
    **dict.fromkeys(
        (
            _K._TRANSPORT,
            _K._ALL_BROKERS_DOWN,
            _K._RESOLVE,
            _K._TIMED_OUT,
            _K._TIMED_OUT_QUEUE,
            _K._MSG_TIMED_OUT,
            _K._WAIT_COORD,
            _K._WAIT_CACHE,
            _K._RETRY,
            _K._IN_PROGRESS,
            _K._PREV_IN_PROGRESS,
            _K._NO_OFFSET,
            _K._OUTDATED,
            _K._MAX_POLL_EXCEEDED,
            _K._ISR_INSUFF,
            _K._NODE_UPDATE,
            _K._DESTROY_BROKER,
            _K.UNKNOWN,
            _K.LEADER_NOT_AVAILABLE,
            _K.NOT_LEADER_FOR_PARTITION,
            _K.REQUEST_TIMED_OUT,
            _K.BROKER_NOT_AVAILABLE,
            _K.REPLICA_NOT_AVAILABLE,
            _K.STALE_CTRL_EPOCH,
            _K.NETWORK_EXCEPTION,
            _K.COORDINATOR_LOAD_IN_PROGRESS,
            _K.COORDINATOR_NOT_AVAILABLE,
            _K.NOT_COORDINATOR,
            _K.NOT_ENOUGH_REPLICAS,
            _K.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            _K.NOT_CONTROLLER,
            _K.REBALANCE_IN_PROGRESS,
            _K.KAFKA_STORAGE_ERROR,
            _K.LOG_DIR_NOT_FOUND,
            _K.FETCH_SESSION_ID_NOT_FOUND,
            _K.INVALID_FETCH_SESSION_EPOCH,
            _K.LISTENER_NOT_FOUND,
            _K.FENCED_LEADER_EPOCH,
            _K.UNKNOWN_LEADER_EPOCH,
            _K.OFFSET_NOT_AVAILABLE,
            _K.PREFERRED_LEADER_NOT_AVAILABLE,
            _K.UNSTABLE_OFFSET_COMMIT,
            _K.THROTTLING_QUOTA_EXCEEDED,
            _K.CONCURRENT_TRANSACTIONS,
            _K.UNKNOWN_TOPIC_ID,
            _K.INCONSISTENT_TOPIC_ID,
            _K.REBOOTSTRAP_REQUIRED,
            _K._UNKNOWN_BROKER,
        ),
        Rule(Reaction.RETRY, CHECK_ADDRESS),
    ),
}


def rule_for(error: KafkaError) -> Rule:
    """Return what to do about ``error``."""
    rule = RULES.get(error.code())
    if error.fatal():
        return Rule(Reaction.STOP, CHECK_BROKERS if rule is None else rule.advice or CHECK_BROKERS)
    return rule or Rule(Reaction.RETRY if error.retriable() else Reaction.STOP, CHECK_BROKERS)


def advice_for(error: KafkaError) -> str:
    """Return what to do about an error that ended something: a part of a sentence."""
    return rule_for(error).advice or CHECK_BROKERS
