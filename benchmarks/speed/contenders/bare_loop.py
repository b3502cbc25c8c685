"""The ceiling: librdkafka, decoder, a dict of states. No framework, no recovery, no partitioned state."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from benchmarks.speed.contenders.task import Task, task
from benchmarks.speed.contenders.tuned import State, decode_event
from benchmarks.speed.meter import Meter
from benchmarks.speed.small_fold import fold


def small(meter: Meter) -> Callable[[list[Any]], None]:
    states: dict[str, State] = {}

    def process(records: list[Any]) -> None:
        for record in records:
            event = decode_event(record.value())
            user = event.user_id or event.anonymous_id
            state = states.get(user)
            if state is None:
                state = states[user] = State()
            change = fold(state, event.event_id, event.event_type, event.name or event.payload.form, event.timestamp)
            if change is not None:
                meter.out(user, change)

    return process


def own(meter: Meter) -> Callable[[list[Any]], None]:
    from benchmarks.speed.contenders.own_fold import OwnFold  # noqa: PLC0415 - not part of the small contender
    from state.messages import Message  # noqa: PLC0415
    from state.person.person import Person  # noqa: PLC0415

    folding = OwnFold()
    people: dict[str, Person | None] = {}
    seqs: dict[int, int] = {}

    def process(records: list[Any]) -> None:
        for record in records:
            at, partition = record.timestamp()[1], record.partition()
            seq = seqs[partition] = seqs.get(partition, 0) + 2
            message = Message(record.value(), record.key(), record.topic(), partition, record.offset(), at, at, seq)
            decoded = folding.decode(message)
            if decoded is None:
                continue
            key, event = decoded
            people[key], outputs = folding.apply(key, people.get(key), event)
            meter.outputs += outputs

    return process


def run(given: Task) -> Meter:
    meter = Meter(given.events, given.warm)
    process = (own if given.fold == "own" else small)(meter)
    consumer = Consumer({"bootstrap.servers": given.brokers, "group.id": "bare-loop", "enable.auto.commit": False, "log_level": 2})
    consumer.assign([TopicPartition(given.topic, partition, 0) for partition in range(given.partitions)])
    gc.freeze()
    gc.set_threshold(200_000, 50, 1000)  # as this project's job does it
    while meter.seen < meter.events:
        records = consumer.consume(1000, 10)
        if not records:
            sys.exit(f"only {meter.seen} events came")
        if any(record.error() is not None for record in records):
            sys.exit("the broker reports an error")
        meter.read(len(records))
        process(records)
        meter.processed()
    consumer.close()
    return meter


if __name__ == "__main__":
    run(task()).print()
