"""Onramp's Kafka source and batching, one decoding step, a keyed step with compact snapshots, recovery; without its own fold."""

from __future__ import annotations

import json
import resource
import tempfile
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.run import cli_main

from benchmarks.speed.contenders.task import Task, task
from benchmarks.speed.contenders.tuned import Event, State, decode_event, decode_state, encode_state
from benchmarks.speed.engine import CallingSink, Watch, WatchedSource, job_store
from benchmarks.speed.meter import Meter
from benchmarks.speed.small_fold import Change, fold
from flows.run import tuned_garbage_collector
from flows.settings import load_settings
from sources.batching import BatchPolicy
from sources.kafka.client import Cluster
from sources.kafka.source import KafkaSource
from state.duration import DAY
from state.messages import Message, Tick
from system.wall_clock import wall_clock

Item = tuple[str, Any]


class SmallLogic(StatefulBatchLogic[Event, tuple[str, Change], bytes]):
    """One user."""

    __slots__ = ("_state",)

    def __init__(self, resume_state: bytes | None) -> None:
        self._state = decode_state(resume_state) if resume_state is not None else State()

    def on_batch(self, values: list[Event]) -> tuple[list[tuple[str, Change]], bool]:
        state, out = self._state, []
        for event in values:
            label = event.name or event.payload.form
            change = fold(state, event.event_id, event.event_type, label, event.timestamp)
            if change is not None:
                out += [(event.user_id or event.anonymous_id, change)]
        return out, False

    def snapshot(self) -> bytes:
        return encode_state(self._state)


def small(meter: Meter) -> tuple[Callable[[list[Message | Tick]], list[Item]], Callable[[bytes | None], Any], Callable[[list[Any]], None]]:
    """Return the decoding step, the builder of the keyed step, and what the sink does."""

    def decode(batch: list[Message | Tick]) -> list[Item]:
        events = [decode_event(message.value) for message in batch if type(message) is Message]
        return [(event.user_id or event.anonymous_id, event) for event in events]

    def count(items: list[tuple[str, tuple[str, Change]]]) -> None:
        for _, (user, change) in items:
            meter.out(user, change)

    return decode, SmallLogic, count


def own(meter: Meter) -> tuple[Callable[[list[Message | Tick]], list[Item]], Callable[[bytes | None], Any], Callable[[list[Any]], None]]:
    from benchmarks.speed.contenders.own_fold import OwnFold  # noqa: PLC0415 - not part of the small contender

    folding = OwnFold()

    class Logic(StatefulBatchLogic[Any, int, bytes]):
        __slots__ = ("_person",)

        def __init__(self, resume_state: bytes | None) -> None:
            self._person = folding.decode_person(resume_state) if resume_state is not None else None

        def on_batch(self, values: list[Any]) -> tuple[list[int], bool]:
            total = 0
            for event in values:
                key = folding.keys.stream_key(event.tenant, event.user) if self._person is None else ""
                self._person, outputs = folding.apply(key, self._person, event)
                total += outputs
            return [total] if total else [], self._person is None

        def snapshot(self) -> bytes:
            assert self._person is not None
            return folding.encode_person(self._person)

    def decode(batch: list[Message | Tick]) -> list[Item]:
        decoded = (folding.decode(message) for message in batch if type(message) is Message)
        return [each for each in decoded if each is not None]

    def count(items: list[tuple[str, int]]) -> None:
        meter.outputs += sum(outputs for _, outputs in items)

    return decode, Logic, count


def run(given: Task) -> dict[str, Any]:
    meter = Meter(given.events, given.warm)
    decode, logic, count = (own if given.fold == "own" else small)(meter)
    policy = BatchPolicy(lambda *_: None, lambda _at: DAY, load_settings().batch_size)
    source = KafkaSource(Cluster(given.brokers, given.topic, f"onramp-{uuid.uuid4().hex}"), policy, now=wall_clock, tail=False)
    watch = Watch(meter, count=lambda batch: sum(type(item) is Message for item in batch))
    flow = Dataflow("core")
    items = op.flat_map_batch("decode", op.input("in", flow, WatchedSource(source, watch)), decode)
    op.output("out", op.stateful_batch("fold", items, logic), CallingSink(count))
    with (
        tempfile.TemporaryDirectory(dir=given.directory) as directory,
        job_store(Path(directory) / "state", given.recovery_partitions) as store,
        tuned_garbage_collector(),
    ):
        cli_main(flow, epoch_interval=timedelta(seconds=given.epoch), recovery_config=store)  # type: ignore[no-untyped-call]
    found = meter.measured(epochs=len(watch.pauses), longestPause=max(watch.pauses, default=0.0))
    beside = resource.getrusage(resource.RUSAGE_CHILDREN)  # the process that removes old snapshots
    found["cpuPerEvent"] += (beside.ru_utime + beside.ru_stime) / given.events
    return found


if __name__ == "__main__":
    print(json.dumps(run(task())))
