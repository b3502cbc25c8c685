"""A sample of every metric, of a job that does not run: for tests of the endpoint, the dashboards and the documents."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from flows.catalogs import load_catalog
from flows.metrics.collector import Watched
from flows.metrics.probes import ArmShares, Files, Measured
from flows.metrics.sampling import Sampler
from flows.onboarding import SideChannels
from local.old_snapshots_process import OldSnapshotsProcess
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.delivery import FactDelivery
from sinks.redis.latency import WriteLatency
from sinks.redis.sink import RecommendationSink
from sinks.redis.writer import WritePolicy
from sources.backlog import Backlog
from sources.batching import BatchPolicy
from sources.local_log.source import LocalLogSource
from sources.positions import Position
from state import counters
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.counters import COUNTERS
from state.duration import SECOND
from state.stuck.operating_point import ENOUGH, OperatingPoint
from system.wall_clock import wall_clock

LABELS = {
    counters.MESSAGES_REJECTED.name: ("not_json", "bad_payload"),
    counters.ARMS_CHOSEN.name: ("moderate_tooltip", "passive_sidebar"),
    counters.OUTCOMES.name: ("shown", "success", "failure"),
}


class Learned:
    """An estimator with enough past users."""

    def __init__(self, precision: float) -> None:
        """``precision``: of past alarms."""
        self._precision = precision

    def parameters(self, _period: int) -> Any:
        """What it has learned."""
        return SimpleNamespace(point=OperatingPoint(0.5, 0.5, self._precision, 0.6, reachable=False, episodes=ENOUGH))


class MetricsSample:
    """``watched`` is what the collector reads. ``work`` lets the job do as much again, at the time ``now`` (ms)."""

    def __init__(self, tmp_path: Path, *, model: bool = True) -> None:
        """Open nothing."""
        self.side = SideChannels()
        for tenant, precision in (("default", 0.87), ("surer", 0.93)):
            self.side.parameters.publish(tenant, cast("Any", Learned(precision)))
            self.side.parameters.at(Plan(load_catalog("saas")), tenant, 0)
        self.source = LocalLogSource(tmp_path / "log", BatchPolicy(lambda *_: None, lambda _: SECOND, 10), now=wall_clock)
        self.latency = WriteLatency(wall_clock)
        self.delivery = FactDelivery(ClickHouse(url="http://127.0.0.1:1"), tmp_path / "spool")
        self.llm_counts: Counter[str] = Counter()
        self.llm_cache = SimpleNamespace(lookups={"process": 3, "redis": 2, "nowhere": 4}, faults=1)
        self.backlogs = [Backlog(partition, 90, 0, 100, wall_clock() - 2000, wall_clock(), 604_800.0) for partition in range(2)]
        arms = ArmShares(self.side.counters)
        self.watched = Watched(
            plans=ByTenant(Plan(load_catalog("saas"), wording=True)),
            version="0.1.0",
            side=self.side,
            source=self.source,
            sink=RecommendationSink("redis://127.0.0.1:1", WritePolicy(), latency=self.latency),
            delivery=self.delivery,
            model=cast("Any", self._model()) if model else None,
            arms=arms,
            backlog=Sampler("input", 5, lambda: Measured(self.backlogs, wall_clock())),
            files=Sampler("files", 5, lambda: Files(1_000_000, 50_000_000_000, 4.0)),
            old_snapshots=OldSnapshotsProcess(tmp_path / "state"),
            redis=Sampler("redis", 5, lambda: True),
            clickhouse=Sampler("clickhouse", 5, lambda: {"events": 3.0, "people": 4.0}),
            most_seconds=60.0,
        )

    def work(self, by: int = 10) -> None:
        """Do some work, and measure it."""
        totals = dict(self.side.counters.total)
        for counter in COUNTERS:
            for label in LABELS.get(counter.name, ("some_reason",)) if counter.label else ("",):
                counters.increment(totals, counter, label, by)
        self.side.counters.total = totals
        self.watched.old_snapshots.removed += by
        for histogram in self.latency.by_trigger.values():
            histogram.add(0.02 * by)
        for partition in range(2):
            self.source.positions.of[partition] = Position(90, wall_clock() - 2500)
        self.source.positions.clock.epochs.add(5.0)
        self.source.positions.clock.pauses.add(0.03)
        self.llm_counts.update({"call": by, "cache": by, "over_rate": 1, "rate_limited": 2})
        watched = self.watched
        for sampler in (watched.backlog, watched.files, watched.redis, watched.clickhouse):
            assert sampler is not None
            sampler.once()
        watched.arms.look()

    def _model(self) -> SimpleNamespace:
        service = SimpleNamespace(
            counts=self.llm_counts,
            cache=self.llm_cache,
            models=tuple(SimpleNamespace(breaker=SimpleNamespace(in_flight=calls, state="closed")) for calls in (2, 1)),
            budget=SimpleNamespace(used=lambda _day: {"shared": 0.4, "personal": 0.1}),
        )
        return SimpleNamespace(service=service, gate=SimpleNamespace(pending=5))
