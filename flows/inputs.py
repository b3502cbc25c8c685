"""Builds the source of a job from the settings: a Kafka topic, the local event log, a file, or a simulated population in a closed loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flows.engines import Engines
from flows.onboarding import SideChannels
from flows.settings import Settings
from flows.stop import StopRequest
from local.data_dir import DataDir
from local.recovery_positions import INPUT, saved_partitions
from operators.timer_registry import TimerRegistry
from sinks.redis.reader import RecommendationReader
from sources.closed_loop import Begin, PeopleSource, Population
from sources.files.source import JsonlSource
from sources.kafka.client import Cluster
from sources.kafka.schema_registry import SchemaRegistry
from sources.kafka.source import KafkaSource
from sources.local_log.source import LocalLogSource
from state.catalog.by_tenant import Plans
from state.catalog.model import Catalog
from state.decode import peek, peek_person
from state.never import never
from system.wall_clock import wall_clock

if TYPE_CHECKING:
    from flows.model_service import ModelService


LiveSource = KafkaSource | LocalLogSource
"""What the job reads until it is stopped."""

COMMAND_SECONDS: Final = 30.0
"""How long a command waits for an answer of Kafka or of the schema registry. A job waits longer."""


@dataclass(frozen=True)
class ClosedLoop:
    """A simulated population as the input. ``begin`` describes its world; ``truth`` is the file for the true values at the end."""

    population: Population
    begin: Begin
    catalog: Catalog
    truth: Path


def live_source(settings: Settings, plans: Plans, side: SideChannels, stop: StopRequest) -> LiveSource:
    """The topic or the event log of the settings, which must name one. It never waits for the model.

    Call it while holding the lock of the data directory. Raises ``SourceError``, and ``DataDirError`` for a store that cannot be read.
    """
    if settings.event_log is not None:
        policy = side.batch_policy(plans.distinct, settings.batch_size)
        return LocalLogSource(settings.event_log, policy, now=wall_clock, accept_gap=settings.event_log_accept_gap, stopping=stop)
    return _kafka_source(settings, plans, side, stop)


def kafka_cluster(settings: Settings, topic: str | None = None, *, timeout_s: float = Cluster.timeout_s) -> Cluster:
    """The cluster of the settings, which must name one, with their group and ``topic``, by default the one that the job reads."""
    assert settings.kafka_brokers is not None, "the caller checks that the settings name a cluster"
    config = settings.kafka_client_config()
    brokers = config.pop("bootstrap.servers")
    return Cluster(brokers, topic or settings.kafka_topic, settings.kafka_group, config, timeout_s=timeout_s)


def registry_of(settings: Settings) -> SchemaRegistry | None:
    """The schema registry of the settings, None without one. Connects to nothing yet."""
    url = settings.schema_registry_url
    return None if url is None else SchemaRegistry(url.get_secret_value(), patience_s=COMMAND_SECONDS)


def _kafka_source(settings: Settings, plans: Plans, side: SideChannels, stop: StopRequest) -> KafkaSource:
    cluster = kafka_cluster(settings)
    policy = side.batch_policy(plans.distinct, settings.batch_size)
    accept_gap, registry = settings.kafka_accept_gap, registry_of(settings)
    known = saved_partitions(DataDir(settings.data_dir).state, INPUT, cluster.topic)
    return KafkaSource(cluster, policy, now=wall_clock, accept_gap=accept_gap, stopping=stop, registry=registry, known=known)


def file_source(
    path: Path, settings: Settings, plans: Plans, side: SideChannels, stop: StopRequest, model: ModelService | None, data_dir: DataDir
) -> JsonlSource:
    """The file at ``path``. It is read faster than real time, so it pauses while many model calls are pending: most texts would be late."""
    policy = side.batch_policy(plans.distinct, settings.batch_size)
    paused: Callable[[], bool] = never if model is None else lambda: not model.gate.open()
    return JsonlSource(
        path,
        peek,
        policy,
        now=wall_clock,
        peek_person=peek_person,
        stopping=stop,
        paused=paused,
        switches=data_dir.switches,
        sent=data_dir.sent,
    )


def population_source(
    loop: ClosedLoop, engines: Engines, timers: TimerRegistry, stop: StopRequest, model: ModelService | None
) -> PeopleSource:
    """The population of ``loop``. Simulated time stands still while a model call is pending, so that texts are as early as in real time."""
    reader = RecommendationReader(engines.redis_url)
    tenant = loop.begin.tenant
    return PeopleSource(
        population=loop.population,
        begin=loop.begin,
        read=lambda users: reader.read_raw(tenant, users),
        truth=loop.truth,
        peek_timer=timers.peek,
        stopping=stop,
        paused=never if model is None else lambda: model.gate.pending > 0,
    )
