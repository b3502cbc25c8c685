"""Faust (faust-streaming): an agent and a table with a changelog topic, as its documentation shows it."""

from __future__ import annotations

import os
import sys
import uuid
from typing import Any

import faust

from benchmarks.speed.contenders.task import Task, task
from benchmarks.speed.meter import Meter
from benchmarks.speed.small_fold import State, fold, label_of, user_of


def run(given: Task) -> None:
    meter = Meter(given.events, given.warm)
    app = faust.App(
        f"faust-{uuid.uuid4().hex}",
        broker=f"kafka://{given.brokers}",
        store="memory://",
        datadir=given.directory,
        topic_partitions=given.partitions,
        topic_replication_factor=1,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=given.epoch,
        producer_linger=0.02,
        web_enabled=False,
    )
    users = app.Table("users", default=dict, partitions=given.partitions)

    async def process(stream: Any) -> None:
        async for event in stream:
            meter.read()
            user = user_of(event)
            known = State(**users[user])
            change = fold(known, event["eventId"], event["eventType"], label_of(event), event["timestamp"])
            users[user] = vars(known)
            if change is not None:
                meter.out(user, change)
            if meter.seen == meter.events:
                meter.processed()
                meter.print()
                sys.stdout.flush()
                os._exit(0)  # the process has nothing left to do, and a worker takes seconds to leave its group

    app.agent(app.topic(given.topic, key_type=str, value_type=bytes, value_serializer="json"))(process)
    app.finalize()
    worker = faust.Worker(app, loglevel="ERROR", redirect_stdouts=False)
    worker.execute_from_commandline()


if __name__ == "__main__":
    run(task())
