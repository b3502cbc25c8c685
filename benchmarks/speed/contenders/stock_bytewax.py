"""The idioms of Bytewax's documentation: ``KafkaSource``, ``op.map``, ``op.key_on``, ``op.stateful_map``, recovery on."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow, Stream
from bytewax.run import cli_main

from benchmarks.speed.contenders.task import Task, task
from benchmarks.speed.engine import CallingSink, Watch, WatchedSource, recovery_store
from benchmarks.speed.meter import Meter
from benchmarks.speed.small_fold import State, fold, label_of, user_of


def small(messages: Stream[Any], meter: Meter) -> None:
    def decode(message: KafkaSourceMessage[bytes, bytes]) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(message.value)
        return event

    def apply(state: State | None, event: dict[str, Any]) -> tuple[State, tuple[str, Any] | None]:
        state = State() if state is None else state
        return state, fold(state, event["eventId"], event["eventType"], label_of(event), event["timestamp"])

    def count(items: list[tuple[str, tuple[str, Any]]]) -> None:
        for user, change in items:
            meter.out(user, change)

    events = op.map("decode", messages, decode)
    changes = op.stateful_map("fold", op.key_on("key", events, user_of), apply)
    op.output("out", op.filter_value("changed", changes, lambda change: change is not None), CallingSink(count))


def own(messages: Stream[Any], meter: Meter) -> None:
    from benchmarks.speed.contenders.own_fold import OwnFold  # noqa: PLC0415 - not part of the small contender
    from state.messages import Message  # noqa: PLC0415

    folding = OwnFold()
    seqs: dict[int, int] = {}

    def decode(message: KafkaSourceMessage[bytes, bytes]) -> Any:
        partition, offset, at = message.partition or 0, message.offset or 0, (message.timestamp or (0, 0))[1]
        seq = seqs[partition] = seqs.get(partition, 0) + 2
        return folding.decode(Message(message.value, message.key, message.topic or "", partition, offset, at, at, seq))

    def apply(person: bytes | None, event: Any) -> tuple[Any, int]:
        key = folding.keys.stream_key(event.tenant, event.user) if person is None else ""
        return folding.apply(key, person, event)  # type: ignore[arg-type]

    def count(items: list[tuple[str, int]]) -> None:
        meter.outputs += sum(outputs for _, outputs in items)

    events: Stream[Any] = op.filter("valid", op.map("decode", messages, decode), lambda decoded: decoded is not None)
    op.output("out", op.stateful_map("fold", events, apply), CallingSink(count))


def run(given: Task) -> dict[str, Any]:
    meter = Meter(given.events, given.warm)
    build: Callable[[Stream[Any], Meter], None] = own if given.fold == "own" else small
    watch = Watch(meter)
    flow = Dataflow("core")
    build(op.input("in", flow, WatchedSource(KafkaSource([given.brokers], [given.topic], tail=False), watch)), meter)
    with tempfile.TemporaryDirectory(dir=given.directory) as directory:
        store = recovery_store(Path(directory) / "state", given.recovery_partitions)
        cli_main(flow, epoch_interval=timedelta(seconds=given.epoch), recovery_config=store)  # type: ignore[no-untyped-call]
    return meter.measured(epochs=len(watch.pauses), longestPause=max(watch.pauses, default=0.0))


if __name__ == "__main__":
    print(json.dumps(run(task())))
