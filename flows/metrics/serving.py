"""Builds the metrics endpoint of a job if ``ONRAMP_METRICS_ADDRESS`` is set."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flows.engines import Engines
from flows.inputs import LiveSource
from flows.metrics.collector import JobCollector, Watched, prometheus_registry, render
from flows.metrics.probes import ArmShares, BacklogProbe, Files, RedisProbe, freshness, measure_files
from flows.metrics.sampling import Sampler
from flows.metrics.server import MetricsServer
from flows.open_event_log import retention_of
from flows.settings import Settings
from flows.version import onramp_version
from sinks.redis.sink import RecommendationSink

if TYPE_CHECKING:
    from flows.model_service import ModelService
    from flows.onboarding import FlowParts

_LOG = logging.getLogger(__name__)
_INPUT_SECONDS: Final = 5.0
_FILES_SECONDS: Final = 10.0
_REDIS_SECONDS: Final = 5.0
_CLICKHOUSE_SECONDS: Final = 15.0


@contextmanager
def serving_metrics(settings: Settings, engines: Engines, parts: FlowParts, model: ModelService | None) -> Iterator[MetricsServer | None]:
    """Serve the metrics of the job built from ``parts`` while the block runs. Yield None, and serve nothing, if no address is set.

    Raises ``MetricsAddressError``.
    """
    if settings.metrics_address is None:
        yield None
        return
    watched = _watched(settings, engines, parts, model)
    samplers: list[Sampler[Any]] = [watched.files, watched.redis, watched.clickhouse, *([watched.backlog] if watched.backlog else [])]
    registry = prometheus_registry([JobCollector(watched)])
    with ExitStack() as stack:
        server = MetricsServer(settings.metrics_address, metrics=partial(render, registry), readiness=watched.readiness, hung=watched.hung)
        stack.callback(server.close)
        for sampler in samplers:
            stack.callback(sampler.join)
        for sampler in samplers:
            stack.callback(sampler.stop)  # called before any is waited for
            sampler.start()
        server.start()
        _LOG.info("metrics are served on port %d", server.port)
        yield server


def _watched(settings: Settings, engines: Engines, parts: FlowParts, model: ModelService | None) -> Watched:
    assert isinstance(parts.recommendations, RecommendationSink), "the job writes to Redis"
    arms = ArmShares(parts.side.counters)
    spool = engines.delivery.spool

    def files() -> Files:
        arms.look()
        return measure_files(engines.data_dir.state, spool)

    backlog: Sampler[Any] | None = None
    source = parts.source if isinstance(parts.source, LiveSource) else None
    if source is not None:
        probe = BacklogProbe(source, retention_of(settings))
        backlog = Sampler("input", _INPUT_SECONDS, probe.measure, probe.close)
    redis = RedisProbe(engines.redis_url)
    return Watched(
        plans=parts.plans,
        version=onramp_version(),
        side=parts.side,
        source=source,
        sink=parts.recommendations,
        delivery=engines.delivery,
        model=model,
        old_snapshots=engines.old_snapshots,
        arms=arms,
        backlog=backlog,
        files=Sampler("files", _FILES_SECONDS, files),
        redis=Sampler("redis", _REDIS_SECONDS, redis.measure, redis.close),
        clickhouse=Sampler("clickhouse", _CLICKHOUSE_SECONDS, partial(freshness, engines.store), engines.store.release),
        most_seconds=settings.lag_red_seconds,
        several=bool(settings.process_addresses),
        epoch_seconds=settings.epoch_seconds,
    )
