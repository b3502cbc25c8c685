"""Quix Streams: a stateful ``apply`` with its RocksDB store, with or without changelog topics, as its documentation shows it."""

from __future__ import annotations

import os
import uuid
from typing import Any

from quixstreams import Application

from benchmarks.speed.contenders.task import Task, task
from benchmarks.speed.meter import Meter
from benchmarks.speed.small_fold import State, fold, label_of


def run(given: Task) -> None:
    meter = Meter(given.events, given.warm)
    app = Application(
        broker_address=given.brokers,
        consumer_group=f"quix-{uuid.uuid4().hex}",
        auto_offset_reset="earliest",
        state_dir=given.directory,
        use_changelog_topics=given.changelog,
        commit_interval=given.epoch,
        loglevel="WARNING",
    )

    def apply(event: dict[str, Any], state: Any) -> tuple[str, Any] | None:
        meter.read()
        known = State(**(state.get("user") or {}))
        change = fold(known, event["eventId"], event["eventType"], label_of(event), event["timestamp"])
        state.set("user", vars(known))
        return change

    def count(change: tuple[str, Any] | None, key: Any, _timestamp: int, _headers: Any) -> bool:
        if change is not None:
            meter.out(key.decode() if isinstance(key, bytes) else key, change)
        if meter.seen == meter.events:
            meter.processed()
            meter.print()
            os._exit(0)  # the process has nothing left to do, and takes long to leave its group
        return change is not None

    frame = app.dataframe(app.topic(given.topic, value_deserializer="json", key_deserializer="str"))
    frame.apply(apply, stateful=True).filter(count, metadata=True)
    app.run()


if __name__ == "__main__":
    run(task())
