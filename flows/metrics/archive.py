"""The metrics endpoint of ``onramp archive``. No step of the archive waits for it."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from flows.inputs import kafka_cluster
from flows.metrics.collector import Values, backlog_values, family, prometheus_registry, render
from flows.metrics.probes import ANSWER_SECONDS, Measured
from flows.metrics.readiness import Readiness, backlog_reasons
from flows.metrics.sampling import Sampler
from flows.metrics.server import MetricsServer
from flows.open_event_log import retention_of
from flows.settings import Settings
from sources.kafka.backlog import KafkaBacklog
from sources.local_log.backlog import LocalBacklog
from state import metrics
from state.metrics import ARCHIVE_METRICS, Metric
from system.wall_clock import wall_clock

if TYPE_CHECKING:
    from flows.archive import Archiver

_LOG = logging.getLogger(__name__)
_LOG_SECONDS: Final = 10.0
_FILES_SECONDS: Final = 60.0  # a list of all files: of a bucket, a request for each thousand
_NONE: Final[tuple[str, ...]] = ()


class _LogProbe:
    """Measures how far the archive is behind, over a connection of its own. For one thread."""

    def __init__(self, settings: Settings, archiver: Archiver) -> None:
        self._settings, self._archiver = settings, archiver
        self._log: KafkaBacklog | LocalBacklog | None = None

    def measure(self) -> Measured:
        positions, now = dict(self._archiver.positions), wall_clock()
        if self._log is None:
            settings = self._settings
            if settings.event_log is not None:
                self._log = LocalBacklog(settings.event_log, retention_of(settings))
            else:
                cluster = kafka_cluster(settings, timeout_s=ANSWER_SECONDS)
                self._log = KafkaBacklog(dataclasses.replace(cluster, group=settings.archive_group))
        found = self._log.measure(positions) if isinstance(self._log, KafkaBacklog) else self._log.measure(positions, now)
        return Measured(found, now)

    def close(self) -> None:
        if self._log is not None:
            self._log.close()


class ArchiveCollector(Collector):
    """Collects the metrics of an archiver whenever Prometheus asks. It reads numbers in memory and waits for nothing."""

    def __init__(self, archiver: Archiver, log: Sampler[Measured], files: Sampler[tuple[int, int]]) -> None:
        """``files`` counts files and bytes."""
        self._archiver, self._log, self._files = archiver, log, files

    def collect(self) -> Iterator[Family]:
        """Yield every metric that has a value now."""
        values = dict(self._values())
        for metric in (metrics.RETENTION, *ARCHIVE_METRICS):
            if metric in values:
                yield family(metric, values[metric])

    def _values(self) -> Iterator[tuple[Metric, Values]]:
        archiver = self._archiver
        yield metrics.ARCHIVE_POSITION, {(str(partition),): float(each.offset) for partition, each in dict(archiver.positions).items()}
        yield metrics.ARCHIVE_WRITE_AGE, {_NONE: time.monotonic() - archiver.wrote_at}
        yield metrics.ARCHIVE_MESSAGES, {_NONE: float(archiver.totals.messages)}
        errors = {"join": archiver.totals.failed_joins, "log": self._log.failures, "files": self._files.failures}
        yield metrics.ARCHIVE_ERRORS, {(at,): float(count) for at, count in errors.items()}
        if (counted := self._files.sample.value) is not None:
            yield metrics.ARCHIVE_FILES, {_NONE: float(counted[0])}
            yield metrics.ARCHIVE_BYTES, {_NONE: float(counted[1])}
        if (measured := self._log.sample.fresh) is not None:
            yield from backlog_values(
                measured,
                wall_clock(),
                messages=metrics.ARCHIVE_LAG_MESSAGES,
                seconds=metrics.ARCHIVE_LAG_SECONDS,
                time_to_loss=metrics.ARCHIVE_TIME_TO_DATA_LOSS,
            )


@contextmanager
def serving_archive_metrics(settings: Settings, archiver: Archiver) -> Iterator[MetricsServer]:
    """Serve the metrics of ``archiver`` on ``ONRAMP_ARCHIVE_METRICS_ADDRESS`` while the block runs. Raises ``MetricsAddressError``."""
    assert settings.archive_metrics_address is not None
    probe = _LogProbe(settings, archiver)
    log = Sampler("log", _LOG_SECONDS, probe.measure, probe.close)
    files = Sampler("files", _FILES_SECONDS, archiver.archive.size)
    samplers: list[Sampler[Any]] = [log, files]
    most_seconds = settings.lag_red_seconds + settings.archive_file_seconds

    def readiness() -> Readiness:
        return Readiness(backlog_reasons(log.sample, most_seconds, "ONRAMP_LAG_RED_SECONDS and ONRAMP_ARCHIVE_FILE_SECONDS"))

    with ExitStack() as stack:
        server = MetricsServer(
            settings.archive_metrics_address,
            metrics=partial(render, prometheus_registry([ArchiveCollector(archiver, log, files)])),
            readiness=readiness,
            setting="ONRAMP_ARCHIVE_METRICS_ADDRESS",
        )
        stack.callback(server.close)
        for sampler in samplers:
            stack.callback(sampler.join)
        for sampler in samplers:
            stack.callback(sampler.stop)
            sampler.start()
        server.start()
        _LOG.info("metrics of the archive are served on port %d", server.port)
        yield server
