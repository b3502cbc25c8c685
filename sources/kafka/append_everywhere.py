"""Appends one message to every partition of the topic: what concerns everybody must reach the log time of each."""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from sources.errors import BrokerError, UnreachableError
from sources.kafka.client import Cluster
from state.never import never

_SECONDS: Final = 30.0


def append_everywhere(cluster: Cluster, value: bytes, now: int) -> int:
    """Append ``value`` to all partitions with the time ``now`` (ms), and return their number once all in-sync replicas have it.

    Blocks up to ``_SECONDS`` after the partitions are known. Raises ``SourceError``; some partitions may have the message then.
    """
    partitions = cluster.partitions(never)
    refused: list[KafkaError] = []

    def report(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            refused.append(error)

    try:
        producer = Producer(
            {
                "bootstrap.servers": cluster.brokers,
                "client.id": "onramp-guidance",
                "log_level": 2,
                **cluster.settings,
                "acks": "all",
                "enable.idempotence": True,
                "delivery.timeout.ms": round(_SECONDS * 1000),
            }
        )
        for partition in partitions:
            producer.produce(cluster.topic, value, partition=partition, timestamp=now, on_delivery=report)
        left = producer.flush(_SECONDS)
    except KafkaException as problem:
        raise BrokerError(f"Kafka at {cluster.brokers} did not take the message ({problem.args[0].str()}).") from problem
    if refused or left:
        why = refused[0].str() if refused else f"no answer within {_SECONDS:.0f} s"
        raise UnreachableError(
            f"Kafka at {cluster.brokers} has not stored the message in every partition ({why}); {cluster.unreachable_advice()}, then "
            "repeat the command."
        )
    return len(partitions)
