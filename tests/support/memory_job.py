"""The graph of a job with Bytewax's testing source, sinks in memory and a recovery store on disk."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSource, cluster_main, run_main

from flows.catalogs import load_catalog
from flows.onboarding import FlowParts, SideChannels, build
from operators.counters import CounterView
from operators.timer_registry import TimerRegistry
from state.catalog.by_tenant import ByTenant, Plans
from state.catalog.plan import Plan
from state.ids import Keys
from state.messages import Message, Tick
from state.records.facts import EventFact, Fact, StepMetricFact
from state.records.recommendation import Erase
from tests.support.stories import MemoryRedis, MemorySink, rich_log, visitors_log

PLAN = Plan(load_catalog("saas"))
KEYS = Keys(b"a secret for tests")
LOG = tuple(rich_log().items)
VISITORS = tuple(visitors_log().items)
Item = Message | Tick | TestingSource.ABORT | TestingSource.EOF
EACH_ACTIVATION = timedelta(0)


class Job:
    """One job with sinks in memory and a recovery store on disk. ``run`` may be called again to resume, under another ``plan`` too."""

    def __init__(self, items: Iterable[Item], store: Path, *, partitions: int = 1, batch_size: int = 1) -> None:
        self.items, self._batch_size = list(items), batch_size
        self.facts, self.letters = MemorySink(partitions), MemorySink()
        self.redis = MemoryRedis(partitions)
        self.counters = CounterView()
        self._partitions = partitions
        self.plan = PLAN
        self.plans: Plans | None = None  # those of several tenants, instead
        self.store = store
        store.mkdir()
        init_db_dir(store, 1)  # type: ignore[no-untyped-call]
        self._recovery = RecoveryConfig(str(store))  # type: ignore[no-untyped-call]

    def run(self, *, workers: int = 1, epoch: timedelta = EACH_ACTIVATION) -> None:
        side = SideChannels(timers=TimerRegistry(one_worker=workers == 1))
        self.counters = side.counters
        parts = FlowParts(
            TestingSource(self.items, self._batch_size),
            self.redis,
            self.facts,
            self.letters,
            self.plans or ByTenant(self.plan),
            KEYS,
            side,
            workers=workers,
            sink_partitions=self._partitions,
        )
        flow = build(parts)
        if workers == 1:
            run_main(flow, epoch_interval=epoch, recovery_config=self._recovery)  # type: ignore[no-untyped-call]
        else:
            cluster_main(  # type: ignore[no-untyped-call]
                flow, [], 0, epoch_interval=epoch, recovery_config=self._recovery, worker_count_per_proc=workers
            )

    def left(self) -> dict[str, Any]:
        """Everything that may not depend on crashes. Partials of metrics may be cut anywhere: their sums are the figures."""
        return {
            "facts": [fact for fact in self.facts.items if not isinstance(fact, StepMetricFact)],
            "metrics": metrics(self.facts.items),
            "letters": self.letters.items,
            "counters": self.counters.total,
            "redis": self.redis.newest,
            "progress": self.redis.progress,
            "redis said otherwise before": self.redis.changed,
        }


def newest_snapshots(store: Path) -> dict[tuple[str, str], bytes]:
    """The newest snapshot of every key of every step in a recovery store; keys that were discarded left out."""
    found: dict[tuple[str, str], tuple[int, bytes | None]] = {}
    for path in store.glob("*.sqlite3"):
        with closing(sqlite3.connect(path)) as recovery:
            for step, key, epoch, state in recovery.execute("SELECT step_id, state_key, snap_epoch, ser_change FROM snaps"):
                if (step, key) not in found or found[step, key][0] < epoch:
                    found[step, key] = epoch, state
    return {place: state for place, (_, state) in found.items() if state is not None}


def named_in(snapshots: dict[tuple[str, str], bytes], names: Iterable[str]) -> set[tuple[str, str]]:
    """(step, name) where a snapshot of the step holds the name."""
    return {(step, name) for (step, _), state in snapshots.items() for name in names if name.encode() in state}


def not_erased(job: Job) -> list[tuple[str, str]]:
    """User and id of each event whose row no deletion removes: each removes those of lower versions that are there."""
    rows = list[EventFact]()
    for row in job.facts.items:
        if isinstance(row, EventFact):
            rows.append(row)
        elif isinstance(row, Erase):
            rows = [each for each in rows if each.user_id != row.user_id or each.version >= row.version]
    return [(row.user_id, row.event_id) for row in rows]


def metrics(rows: Iterable[Fact | Erase]) -> Counter[tuple[Any, ...]]:
    sums: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        if isinstance(row, StepMetricFact):
            sums[row.tenant_id, row.minute, row.path_id, row.step_id, row.metric, row.label] += row.count
    return sums
