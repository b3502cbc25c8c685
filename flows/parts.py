"""Joins settings, engines, source and model into the parts of the graph: sinks with their policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bytewax.inputs import Source

from flows.engines import Engines
from flows.inputs import LiveSource
from flows.onboarding import FlowParts, SideChannels
from flows.settings import MOST_SINK_PARTITIONS, Settings
from flows.stop import StopRequest
from sinks.dead_letters.file import DeadLetterFileSink
from sinks.dead_letters.topic import DeadLetterTopicSink
from sinks.otlp.tracer import Tracer
from sinks.redis.latency import WriteLatency
from sinks.redis.sink import RecommendationSink
from sinks.redis.writer import WritePolicy
from sources.files.source import JsonlSource
from sources.kafka.error_codes import advice_for
from sources.kafka.source import KafkaSource
from state.catalog.by_tenant import Plans
from state.messages import Message, Tick
from system.wall_clock import wall_clock

if TYPE_CHECKING:
    from flows.model_service import ModelService

_FILE_EFFECTS: Final = 5_000
"""Effects that a run on a file collects before it writes to Redis: no app waits for one, and of each user only the newest is written.

Of 100,000 events 8,600 commands are left (``python -m benchmarks.run_file --only job``); with 500 effects it would be 12,600.
"""


def make_parts(
    settings: Settings,
    engines: Engines,
    source: Source[Message | Tick],
    plans: Plans,
    side: SideChannels,
    *,
    workers: int,
    stop: StopRequest,
    model: ModelService | None = None,
    tracer: Tracer | None = None,
) -> FlowParts:
    """Return what the graph is built from. Connects to nothing."""
    processes = max(1, len(settings.process_addresses))
    policy = WritePolicy(ttl_hours=settings.redis_ttl_hours, give_up_seconds=settings.redis_give_up_seconds, stopping=stop)
    return FlowParts(
        source=source,
        recommendations=RecommendationSink(
            engines.redis_url,
            policy,
            partitions=engines.sink_partitions,
            min_effects=_FILE_EFFECTS if isinstance(source, JsonlSource) else 1,
            latency=WriteLatency(wall_clock) if settings.metrics_address is not None and isinstance(source, LiveSource) else None,
            tracer=tracer,
        ),
        facts=engines.delivery.sink,
        dead_letters=_dead_letters(settings, engines, source, stop),
        plans=plans,
        keys=engines.keys,
        side=side,
        workers=workers,
        sink_partitions=settings.sink_partitions,
        known_sink_partitions=engines.sink_partitions,
        erased_partitions=engines.sink_partitions if processes == 1 else MOST_SINK_PARTITIONS,  # only the first process knows those before
        processes=processes,
        stop=stop,
        wording=model.wording if model is not None else None,
    )


def _dead_letters(
    settings: Settings, engines: Engines, source: Source[Message | Tick], stop: StopRequest
) -> DeadLetterFileSink | DeadLetterTopicSink:
    if isinstance(source, KafkaSource):
        config, topic = settings.kafka_client_config(), settings.kafka_dead_letter_topic
        return DeadLetterTopicSink(config, topic, stopping=stop, advise=advice_for)
    return DeadLetterFileSink(engines.data_dir.dead_letters)
