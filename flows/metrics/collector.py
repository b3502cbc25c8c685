"""Reads the figures of a running job and renders them for Prometheus, under the names of ``state/metrics.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from flows.inputs import LiveSource
from flows.metrics.probes import ArmShares, Files, Measured
from flows.metrics.readiness import Readiness, hung, judge
from flows.metrics.sampling import Sampler
from flows.version import engine_build
from local.old_snapshots_process import OldSnapshotsProcess
from sinks.clickhouse.delivery import FactDelivery
from sinks.redis.sink import RecommendationSink
from state import metrics
from state.catalog.by_tenant import Plans
from state.counters import COUNTERS
from state.histogram import Histogram
from state.metrics import METRICS, Metric
from state.stuck.operating_point import ENOUGH
from state.times import day_of
from system.wall_clock import wall_clock

if TYPE_CHECKING:
    from flows.model_service import ModelService
    from flows.onboarding import SideChannels

Value = float | Histogram
Values = Mapping[tuple[str, ...], Value]
_NONE: Final[tuple[str, ...]] = ()
_OVER_OWN: Final = "over_rate"
_OVER_SERVER: Final = "rate_limited"


@dataclass(frozen=True)
class Watched:
    """The parts of a running job that metrics are read from. ``source`` and ``backlog`` are None for an input with an end."""

    plans: Plans
    version: str
    side: SideChannels
    source: LiveSource | None
    sink: RecommendationSink
    delivery: FactDelivery
    model: ModelService | None
    arms: ArmShares
    backlog: Sampler[Measured] | None
    files: Sampler[Files]
    old_snapshots: OldSnapshotsProcess
    redis: Sampler[bool]
    clickhouse: Sampler[dict[str, float]]
    most_seconds: float
    several: bool = False
    """Whether the job has several processes."""
    epoch_seconds: float = 0.0

    def hung(self) -> str:
        """Why this process must be started again; empty if there is no reason. From any thread."""
        if not self.several or self.source is None:
            return ""
        return hung(self.source.positions.clock.idle_seconds(), self.epoch_seconds, self.redis.sample, self.clickhouse.sample)

    def readiness(self) -> Readiness:
        """Judge the last measurements. From any thread."""
        backlog = self.backlog.sample if self.backlog is not None else None
        return judge(backlog, self.redis.sample, self.clickhouse.sample, most_seconds=self.most_seconds)


class JobCollector(Collector):
    """Collects all metrics whenever Prometheus asks. It reads numbers in memory and waits for nothing."""

    def __init__(self, watched: Watched, now: Callable[[], int] = wall_clock) -> None:
        """``now`` returns wall-clock milliseconds."""
        self._watched = watched
        self._now = now

    def collect(self) -> Iterator[Family]:
        """Yield every metric of ``METRICS`` that has a value now, in that order."""
        values = dict(self._values())
        for metric in METRICS:
            if metric in values:
                yield family(metric, values[metric])

    def _values(self) -> Iterator[tuple[Metric, Values]]:
        watched = self._watched
        totals = watched.side.counters.total
        for counter in COUNTERS:
            found = counter.by_label(totals) if counter.label else {}
            yield metrics.metric_of(counter), _labelled(found) if counter.label else {_NONE: float(counter.total(totals))}
        yield metrics.ARM_RATE, _labelled(watched.arms.shares)
        yield metrics.TIMERS, {_NONE: float(len(watched.side.timers))}
        yield metrics.INFO, {(watched.version, engine_build(), plan.version): 1.0 for plan in watched.plans.distinct}
        yield metrics.READY, {_NONE: float(watched.readiness().ready)}
        yield from self._input()
        yield from self._sinks()
        yield from self._stuck()
        if watched.model is not None:
            yield from _model(watched.model)

    def _input(self) -> Iterator[tuple[Metric, Values]]:
        source, sampler = self._watched.source, self._watched.backlog
        if source is None or sampler is None:
            return
        now = self._now()
        clock = source.positions.clock
        yield metrics.EPOCH, {_NONE: clock.epochs}
        yield metrics.SNAPSHOT_PAUSE, {_NONE: clock.pauses}
        at = {str(partition): max(0.0, (now - each.log_time) / 1000) for partition, each in dict(source.positions.of).items()}
        yield metrics.WATERMARK_AGE, _labelled(at)
        measured = sampler.sample.fresh
        if measured is None:
            return
        yield from backlog_values(
            measured, now, messages=metrics.LAG_MESSAGES, seconds=metrics.LAG_SECONDS, time_to_loss=metrics.TIME_TO_DATA_LOSS
        )

    def _sinks(self) -> Iterator[tuple[Metric, Values]]:
        watched = self._watched
        if watched.sink.latency is not None:
            yield metrics.LATENCY, {(trigger,): found for trigger, found in watched.sink.latency.by_trigger.items()}
        counts = watched.sink.counts
        writes = asdict(counts)
        spool, drain = watched.delivery.spool, watched.delivery.drain
        yield metrics.SINK_ERRORS, {("redis",): float(writes.pop("retries")), ("clickhouse",): float(drain.failures)}
        yield metrics.REDIS_WRITES, _labelled(writes)
        yield metrics.ROWS_INSERTED, {_NONE: float(drain.rows_inserted)}
        yield metrics.SPOOL_BYTES, {_NONE: float(spool.bytes)}
        yield metrics.SPOOL_LIMIT, {_NONE: float(spool.max_bytes)}
        yield metrics.SPOOL_BLOCKED, {_NONE: float(spool.blocked_writers)}
        unreadable = spool.segments_unreadable
        stages = {"pending": spool.segments_pending, "ready": spool.segments_ready}
        stages |= {"rejected": spool.segments_rejected - unreadable, "unreadable": unreadable}
        yield metrics.SPOOL_SEGMENTS, _labelled({stage: max(0, count) for stage, count in stages.items()})
        files = watched.files.sample.value
        if files is not None:
            yield metrics.RECOVERY_BYTES, {_NONE: float(files.recovery)}
            yield metrics.DISK_FREE, {_NONE: float(files.free)}
            yield metrics.SPOOL_AGE, {_NONE: files.spool_oldest}
        if not watched.old_snapshots.idle:
            yield metrics.OLD_SNAPSHOTS, {_NONE: float(watched.old_snapshots.removed)}
        clickhouse = watched.clickhouse.sample
        up = {"redis": watched.redis.sample.up, "clickhouse": clickhouse.up}
        yield metrics.STORE_UP, _labelled(up if watched.backlog is None else {**up, "input": watched.backlog.sample.up})
        if clickhouse.value is not None:
            yield metrics.TABLE_AGE, {(table,): age + clickhouse.age for table, age in clickhouse.value.items()}

    def _stuck(self) -> Iterator[tuple[Metric, Values]]:
        watched = self._watched
        known = {tenant: point for tenant, point in watched.side.parameters.points().items() if point.episodes >= ENOUGH}
        asked = {tenant: watched.plans.of(tenant).triggers.precision for tenant in known}
        if not known:
            yield metrics.STUCK_ASKED, {_NONE: max(plan.triggers.precision for plan in watched.plans.distinct)}
            return
        worst = max(known, key=lambda tenant: asked[tenant] - known[tenant].precision)
        yield metrics.STUCK_ASKED, {_NONE: asked[worst]}
        yield metrics.STUCK_PRECISION, {_NONE: known[worst].precision}


def _model(model: ModelService) -> Iterator[tuple[Metric, Values]]:
    counts = dict(model.service.counts)
    yield metrics.LLM_REQUESTS, _labelled(counts)
    yield metrics.RATE_LIMIT_HITS, {("own",): float(counts.get(_OVER_OWN, 0)), ("server",): float(counts.get(_OVER_SERVER, 0))}
    yield metrics.LLM_CACHE_LOOKUPS, _labelled(model.service.cache.lookups)
    yield metrics.LLM_CACHE_FAULTS, {_NONE: float(model.service.cache.faults)}
    yield metrics.LLM_IN_FLIGHT, {_NONE: float(sum(each.breaker.in_flight for each in model.service.models))}
    yield metrics.LLM_PENDING, {_NONE: float(model.gate.pending)}
    yield metrics.LLM_BREAKER, {_NONE: float(any(each.breaker.state != "closed" for each in model.service.models))}
    yield metrics.LLM_BUDGET, {(scope,): share for scope, share in model.service.budget.used(day_of(wall_clock())).items()}


def _labelled(values: Mapping[str, float]) -> dict[tuple[str, ...], Value]:
    return {(label,): float(value) for label, value in values.items()}


def backlog_values(
    measured: Measured, now: int, *, messages: Metric, seconds: Metric, time_to_loss: Metric
) -> Iterator[tuple[Metric, Values]]:
    """Yield how far a reader of the log is behind, by partition, and how long the log keeps messages. ``now`` is the wall clock."""
    backlogs = {(str(each.partition),): each for each in measured.backlogs}
    yield messages, {key: float(each.messages) for key, each in backlogs.items()}
    yield seconds, {key: each.seconds(now) for key, each in backlogs.items()}
    yield metrics.RETENTION, {key: each.retention for key, each in backlogs.items() if each.retention is not None}
    left = {key: each.time_to_loss(now) for key, each in backlogs.items()}
    yield time_to_loss, {key: value for key, value in left.items() if value is not None}


def family(metric: Metric, values: Values) -> Family:
    """Return a metric with its values, by labels, as the library renders it."""
    family: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
    if metric.kind == "histogram":
        family = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
        for labels, value in values.items():
            assert isinstance(value, Histogram), metric.name
            family.add_metric(labels, value.cumulative(), value.sum)
        return family
    family = (CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily)(metric.name, metric.meaning, labels=metric.labels)
    for labels, value in values.items():
        assert not isinstance(value, Histogram), metric.name
        family.add_metric(labels, value)
    return family


def prometheus_registry(collectors: Iterable[Collector]) -> CollectorRegistry:
    """A registry of these collectors and the standard metrics of the process."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    ProcessCollector(registry=registry)
    return registry


def render(registry: CollectorRegistry) -> bytes:
    """The text format of Prometheus, which every version of it reads."""
    return generate_latest(registry)
