"""The floor of a live job: a bare Bytewax flow on the same topic, people, epochs and recovery store, with empty logic.

A sign-up writes a record of the usual size to Redis and announces it; nothing else happens. Settings are those of ``onramp run``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.run import cli_main
from confluent_kafka import Consumer, TopicPartition
from redis import Redis

from benchmarks.speed.engine import CallingSink, recovery_store
from benchmarks.speed.live import TENANT
from benchmarks.speed.seeding import FLOW, STEP, keys
from flows.run import tuned_garbage_collector
from flows.settings import load_settings
from flows.stop import StopRequest
from state.records.recommendation import redis_key, updates_channel

_RECORD = b"x" * 700
_EVERY = timedelta(milliseconds=10)


class _Event(msgspec.Struct, gc=False):
    eventType: str  # noqa: N815 - the wire's name
    userId: str = ""  # noqa: N815 - the wire's name
    anonymousId: str = ""  # noqa: N815 - the wire's name


_decode = msgspec.json.Decoder(_Event).decode


class LeanSource(FixedPartitionedSource[bytes, int]):
    """Reads all partitions of a topic from where they were, and waits ten milliseconds where there is nothing."""

    def __init__(self, brokers: str, topic: str, stopping: Callable[[], bool]) -> None:
        self._brokers, self._topic, self._stopping = brokers, topic, stopping

    def list_parts(self) -> list[str]:
        consumer = Consumer({"bootstrap.servers": self._brokers, "group.id": "floor"})
        found = sorted(consumer.list_topics(self._topic, timeout=30).topics[self._topic].partitions)
        consumer.close()
        return [str(partition) for partition in found]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _LeanPartition:  # noqa: ARG002 - the engine's signature
        return _LeanPartition(self._brokers, self._topic, int(for_part), resume_state or 0, self._stopping)


class _LeanPartition(StatefulSourcePartition[bytes, int]):
    def __init__(self, brokers: str, topic: str, partition: int, offset: int, stopping: Callable[[], bool]) -> None:
        self._stopping = stopping
        self._consumer = Consumer(
            {"bootstrap.servers": brokers, "group.id": "floor", "enable.auto.commit": False, "fetch.wait.max.ms": 250, "log_level": 2}
        )
        self._consumer.assign([TopicPartition(topic, partition, offset)])
        self._offset, self._empty = offset, False

    def next_batch(self) -> list[bytes]:
        if self._stopping():
            raise StopIteration
        records = self._consumer.consume(1000, 0)
        self._empty = not records
        batch = [record.value() for record in records if record.error() is None]
        if batch:
            self._offset = (records[-1].offset() or 0) + 1
        return batch  # type: ignore[return-value]

    def next_awake(self) -> datetime | None:
        return datetime.now(UTC) + _EVERY if self._empty else None

    def snapshot(self) -> int:
        return self._offset

    def close(self) -> None:
        self._consumer.close()


class _Logic(StatefulBatchLogic[str, str, bytes]):
    __slots__ = ("_bytes",)

    def __init__(self, resume_state: bytes | None) -> None:
        self._bytes = resume_state if resume_state is not None else b"x" * 400

    def on_batch(self, values: list[str]) -> tuple[list[str], bool]:
        return [user for user in values if user], False

    def snapshot(self) -> bytes:
        return self._bytes


def main() -> None:
    """Run until SIGTERM, which ends the flow in order, or until the process is killed."""
    settings, key_of = load_settings(), keys().stream_key
    assert settings.kafka_brokers is not None
    assert settings.redis_url is not None
    redis = Redis.from_url(settings.redis_url.get_secret_value())
    channel = updates_channel(TENANT)

    def decode(batch: list[bytes]) -> list[tuple[str, str]]:
        events = map(_decode, batch)
        return [(key_of(TENANT, e.userId or e.anonymousId), e.userId if e.eventType == "signup" else "") for e in events]

    def write(items: list[tuple[str, Any]]) -> None:
        with redis.pipeline(transaction=False) as pipeline:
            for _, user in items:
                pipeline.set(redis_key(TENANT, user), _RECORD, ex=3600)
                pipeline.publish(channel, user)
            pipeline.execute()

    stop = StopRequest()
    source = LeanSource(settings.kafka_brokers, settings.kafka_topic, stop)
    flow = Dataflow(FLOW)
    items = op.flat_map_batch("decode", op.input("lean", flow, source), decode)
    op.output("redis", op.stateful_batch(STEP, items, _Logic), CallingSink(write))
    store = recovery_store(settings.data_dir / "state", settings.recovery_partitions)
    with stop.on_signals(), tuned_garbage_collector():
        cli_main(flow, epoch_interval=timedelta(seconds=settings.epoch_seconds), recovery_config=store)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
