"""One process of ``growth``: ``python -m benchmarks.speed.growth_process '{"kind": "job", …}'``. It prints one line of JSON.

``seed`` fills a recovery store. ``job`` resumes the whole graph from a store, with sinks that discard, and reads a file. ``floor`` resumes
an empty flow from a store of the same people, and gives as many events a second to the same keys. ``fresh`` reads a file without a store
to resume from. ``job`` and ``floor`` end after some epochs, without the last snapshot of everybody that the end of an input makes.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.run import cli_main

from benchmarks.speed.engine import CallingSink, Watch, WatchedSource, job_store, nothing, recovery_store
from benchmarks.speed.live import children_of, cpu_seconds
from benchmarks.speed.meter import Meter
from benchmarks.speed.seeding import FLOW, PREFIX, STEP, KeptBytes, keys, seed_store, states
from benchmarks.speed.stream import People
from flows.catalogs import load_catalog
from flows.onboarding import FlowParts, SideChannels, build
from flows.run import tuned_garbage_collector
from flows.settings import load_settings
from sources.files.source import JsonlSource
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.decode import peek, peek_person
from state.messages import Message
from state.records.facts import Fact
from state.records.recommendation import Erase
from system.wall_clock import wall_clock

_BATCH = 1000


@dataclass(frozen=True)
class Task:
    """``store`` is a recovery store, ``end`` the time until which seeded people were active. ``rate`` is that of the floor, events/s."""

    kind: str
    store: str
    users: int
    recovery_partitions: int = 128
    input: str = ""
    events: int = 0
    epoch: float = 10.0
    epochs: int = 3
    rate: float = 0.0
    user_events: int = 20
    end: int = 0
    seed: int = 1


def resident_bytes() -> int:
    """Return the memory of this process that is in RAM."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


class Ending:
    """Ends the process with its result after ``epochs`` whole epochs, or when all events were processed."""

    def __init__(self, task: Task, watch: Watch, meter: Meter, more: Callable[[], dict[str, Any]]) -> None:
        self._task, self._watch, self._meter, self._more = task, watch, meter, more
        self._before = resident_bytes()
        self._resumed = 0
        self._skipped = 0
        self.begun = time.perf_counter()
        self._marks: list[tuple[float, float, int]] = []

    def __call__(self) -> None:
        """Called whenever the source is asked for a batch."""
        watch, meter = self._watch, self._meter
        if not self._resumed:
            self._resumed = resident_bytes()
        if not meter.seen:  # timers that were due while nothing ran come before the first event
            self._skipped = len(watch.pauses)
            return
        if not self._marks or len(watch.pauses) - self._skipped >= len(self._marks):
            self._mark()
        if len(watch.pauses) - self._skipped >= self._task.epochs or meter.seen >= meter.events:
            self._end()

    def _mark(self) -> None:
        """Note the beginning of the first epoch, or the end of one."""
        cpu = time.process_time() + sum(map(cpu_seconds, children_of(os.getpid())))  # old snapshots are removed by another process
        self._marks.append((time.perf_counter(), cpu, self._meter.seen))

    def _end(self) -> None:
        whole = len(self._marks) - 2  # epochs after the first
        if whole < 1:
            self._mark()
        (begun, cpu, before), (ended, cpu_end, after) = self._marks[1 if whole > 0 else 0], self._marks[-1]
        events, store = max(1, after - before), Path(self._task.store)
        result = {
            "eventsPerSecond": events / (ended - begun),
            "cpuPerEvent": (cpu_end - cpu) / events,
            "events": events,
            "wholeEpochs": max(0, whole),
            "resumeSeconds": (self._watch.first or 0.0) - self.begun,
            "bytesPerUser": (self._resumed - self._before) / self._task.users,
            "pauses": self._watch.pauses[self._skipped :],
            "storeBytesPerUser": sum(file.stat().st_size for file in store.glob("*")) / self._task.users,
            **self._more(),
        }
        print(json.dumps(result), flush=True)
        os._exit(0)


class EndingWatch(Watch):
    """A watch that calls an ``Ending``."""

    ending: Callable[[], None] = staticmethod(lambda: None)

    def asked(self, *, after_data: bool) -> None:
        super().asked(after_data=after_data)
        self.ending()


def job(task: Task, *, whole: bool = False) -> None:
    """Run the graph. ``whole``: to the end of the input, in a new store."""
    settings, plan, side = load_settings(), Plan(load_catalog("saas")), SideChannels()
    policy = side.batch_policy((plan,), settings.batch_size)
    source = JsonlSource(task.input, peek, policy, now=wall_clock, peek_person=peek_person)
    meter = Meter(task.events, 0)
    watch = EndingWatch(meter, count=lambda batch: sum(type(item) is Message for item in batch))
    discard, rows = CallingSink(nothing), Counter[str]()
    facts = CallingSink(partial(count_rows, rows)) if whole else discard
    flow = build(FlowParts(WatchedSource(source, watch), discard, facts, discard, ByTenant(plan), keys(), side))
    gc.collect()
    ending = Ending(task, watch, meter, lambda: {"timers": len(side.timers)})
    if not whole:
        watch.ending = ending
    with job_store(Path(task.store), task.recovery_partitions) as store, tuned_garbage_collector():
        cli_main(flow, epoch_interval=timedelta(seconds=task.epoch), recovery_config=store)  # type: ignore[no-untyped-call]
    if whole:
        print(json.dumps(meter.measured(pauses=watch.pauses, rows=dict(sorted(rows.items())))))
        return
    sys.exit("the flow ended before its epochs")


def count_rows(rows: Counter[str], items: list[tuple[str, list[Fact | Erase]]]) -> None:
    """Count the rows of a batch of the facts' sink by their table."""
    for _, batch in items:
        rows.update([row.TABLE if isinstance(row, Fact) else "erasures" for row in batch])


def floor(task: Task) -> None:
    """Run the empty flow on the same store."""
    meter = Meter(task.events, 0)
    watch = EndingWatch(meter)
    flow = Dataflow(FLOW)
    items = op.input("paced", flow, WatchedSource(PacedKeys(task), watch))
    op.output("end", op.stateful_batch(STEP, items, KeptBytes), CallingSink(nothing))
    store = recovery_store(Path(task.store), task.recovery_partitions)
    gc.collect()
    watch.ending = Ending(task, watch, meter, dict)
    with tuned_garbage_collector():
        cli_main(flow, epoch_interval=timedelta(seconds=task.epoch), recovery_config=store)  # type: ignore[no-untyped-call]
    sys.exit("the flow ended before its epochs")


class PacedKeys(FixedPartitionedSource[tuple[str, None], None]):
    """Gives ``rate`` items a second to people drawn at random."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def list_parts(self) -> list[str]:
        return ["input"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _PacedPartition:  # noqa: ARG002 - the engine's signature
        return _PacedPartition(self._task)


class _PacedPartition(StatefulSourcePartition[tuple[str, None], None]):
    def __init__(self, task: Task) -> None:
        self._task, self._rng, self._keys = task, Random(task.seed), keys()
        self._naming = People(users=1, seed=0, prefix=PREFIX)
        self._begun, self._given = 0.0, 0

    def next_batch(self) -> list[tuple[str, None]]:
        self._begun = self._begun or time.perf_counter()
        due = min(self._task.events, int((time.perf_counter() - self._begun) * self._task.rate)) - self._given
        self._given += (count := min(due, _BATCH))
        name, draw, key = self._naming.name, self._rng.randrange, self._keys.stream_key
        return [(key("default", name(draw(self._task.users))), None) for _ in range(count)]

    def next_awake(self) -> datetime | None:
        return datetime.now(UTC) + timedelta(milliseconds=1)

    def snapshot(self) -> None:
        return None


def main() -> None:
    """Run the task of this process."""
    task = Task(**json.loads(sys.argv[1]))
    if task.kind == "seed":
        found = states(users=task.users, events=task.user_events, end=task.end, seed=task.seed, partitions=1)
        seed_store(Path(task.store), found, recovery_partitions=task.recovery_partitions)
        print("{}")
    elif task.kind == "floor":
        floor(task)
    else:
        job(task, whole=task.kind == "fresh")


if __name__ == "__main__":
    main()
