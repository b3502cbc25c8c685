"""One process of ``scale``: the whole graph with sinks that discard, alone or as one of a cluster. It prints one line of JSON."""

from __future__ import annotations

import json
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bytewax.run import cli_main

from benchmarks.speed.engine import CallingSink, Watch, WatchedSource, nothing
from benchmarks.speed.seeding import keys
from flows.catalogs import load_catalog
from flows.onboarding import FlowParts, SideChannels, build
from flows.run import tuned_garbage_collector
from flows.settings import load_settings
from sources.kafka.client import Cluster
from sources.kafka.source import KafkaSource
from sources.local_log.source import LocalLogSource
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.messages import Message
from system.wall_clock import wall_clock


@dataclass(frozen=True)
class Task:
    """``log`` is the directory of an event log; without one the topic of the brokers is read. ``addresses`` has one for each process."""

    process: int
    addresses: list[str]
    log: str = ""
    brokers: str = ""
    topic: str = ""


class CountingWatch(Watch):
    """Counts events, and notes the wall clock and the CPU time from the first batch to the last."""

    def __init__(self) -> None:
        super().__init__(count=lambda batch: sum(type(item) is Message for item in batch))
        self.events = 0
        self.begun = self.ended = self.cpu_begun = 0.0

    def asked(self, *, after_data: bool) -> None:
        super().asked(after_data=after_data)
        self.ended = time.time() if after_data else self.ended
        if not self.begun:
            self.begun, self.cpu_begun = time.time(), time.process_time()

    def gave(self, batch: list[Any]) -> None:
        self.events += self._count(batch)


def run(task: Task) -> dict[str, Any]:
    settings, plan, side, watch = load_settings(), Plan(load_catalog("saas")), SideChannels(), CountingWatch()
    policy = side.batch_policy((plan,), settings.batch_size)
    source: KafkaSource | LocalLogSource
    if task.log:
        source = LocalLogSource(Path(task.log), policy, now=wall_clock, tail=False)
    else:
        source = KafkaSource(Cluster(task.brokers, task.topic, f"scale-{uuid.uuid4().hex}"), policy, now=wall_clock, tail=False)
    discard, processes = CallingSink(nothing), len(task.addresses)
    flow = build(FlowParts(WatchedSource(source, watch), discard, discard, discard, ByTenant(plan), keys(), side, workers=processes))
    cluster: dict[str, Any] = {"process_id": task.process, "addresses": task.addresses} if processes > 1 else {}
    with tuned_garbage_collector():
        cli_main(flow, **cluster)  # type: ignore[no-untyped-call]
    return {"events": watch.events, "begun": watch.begun, "ended": watch.ended, "cpu": time.process_time() - watch.cpu_begun}


if __name__ == "__main__":
    print(json.dumps(run(Task(**json.loads(sys.argv[1])))))
