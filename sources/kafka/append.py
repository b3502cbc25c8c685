"""Appends messages to the topic, for commands: to the partitions of their users, or to every partition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from sources.errors import BrokerError, UnreachableError
from sources.files.sent_file import Sent
from sources.kafka.client import Cluster
from state.never import never

_SECONDS: Final = 30.0


def append(cluster: Cluster, messages: Sequence[Sent]) -> None:
    """Append messages, in order for each partition, and return once all in-sync replicas have them.

    A message goes to its partition, where it names one that the topic has; else its key decides, as in Java clients. Blocks up to
    ``_SECONDS`` after the partitions are known. Raises ``SourceError``; some of the messages may be stored then.
    """
    partitions = set(cluster.partitions(never))
    _produce(
        cluster,
        (
            {"value": each.value, "key": each.key, "headers": list(each.headers)}
            | ({"partition": each.partition} if each.partition in partitions else {})
            for each in messages
        ),
    )


def append_everywhere(cluster: Cluster, value: bytes, now: int) -> int:
    """Append ``value`` to all partitions with the time ``now`` (ms), and return their number once all in-sync replicas have it.

    What concerns everybody must reach the log time of each partition. Blocks and raises as ``append``.
    """
    partitions = cluster.partitions(never)
    _produce(cluster, ({"value": value, "partition": partition, "timestamp": now} for partition in partitions))
    return len(partitions)


def _produce(cluster: Cluster, messages: Iterable[dict[str, Any]]) -> None:
    """Produce messages, given by the arguments of ``Producer.produce``, and wait until all are stored."""
    refused: list[KafkaError] = []

    def report(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            refused.append(error)

    try:
        producer = Producer(
            {
                "client.id": "onramp-command",
                "log_level": 2,
                "partitioner": "murmur2_random",
                "message.max.bytes": 64_000_000,  # the broker checks the size, not the client
                **cluster.settings,
                "bootstrap.servers": cluster.brokers,
                "acks": "all",
                "enable.idempotence": True,
                "delivery.timeout.ms": round(_SECONDS * 1000),
            }
        )
        for each in messages:
            producer.produce(cluster.topic, on_delivery=report, **each)
        left = producer.flush(_SECONDS)
    except (KafkaException, BufferError) as problem:
        raise BrokerError(f"Kafka at {cluster.brokers} did not take the messages ({problem}); repeat the command.") from problem
    if refused or left:
        why = refused[0].str() if refused else f"no answer within {_SECONDS:.0f} s"
        raise UnreachableError(
            f"Kafka at {cluster.brokers} has not stored every message ({why}); {cluster.unreachable_advice()}, then repeat the command: "
            "doing it twice does no harm."
        )
