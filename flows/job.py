"""Runs the onboarding job in this process: opens the engines, builds the graph, runs it to its end or until asked to stop, settles."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from bytewax.inputs import Source
from bytewax.run import cli_main

from flows.catalogs import load_catalog
from flows.engines import Engines, open_engines
from flows.onboarding import FlowParts, SideChannels, build
from flows.recovery import recovery_config
from flows.run_notes import notes_on
from flows.run_summary import summarize
from flows.settings import Settings
from operators.counters import CounterView
from operators.timer_registry import TimerRegistry
from sinks.clickhouse.delivery import Settled
from sinks.dead_letters.file import DeadLetterFileSink
from sinks.dead_letters.topic import DeadLetterTopicSink
from sinks.redis.reader import RecommendationReader
from sinks.redis.sink import RecommendationSink
from sinks.redis.writer import WritePolicy
from sources.batching import BatchPolicy
from sources.closed_loop import Begin, LoopProgress, PeopleSource, Population
from sources.files.source import JsonlSource, Progress
from sources.kafka.client import Cluster
from sources.kafka.source import KafkaSource
from state.catalog.model import Catalog
from state.catalog.plan import Plan
from state.events import peek_timestamp
from state.messages import Message, Tick

if TYPE_CHECKING:
    from flows.model_service import ModelService

_GC: Final = (200_000, 50, 1000)
"""Generations of the garbage collector: the people of a job are plain trees, and walking them all again and again finds nothing."""

_FILE_EFFECTS: Final = 500
"""Effects sent to Redis at once in a run on a file: each round trip costs the run, and nobody waits for one of them."""

_SETTLE: Final = 300.0  # seconds that the rows of a finished run may take into ClickHouse before it is called incomplete
_LOOK: Final = 1.0  # seconds between two looks at whether somebody wants to stop meanwhile
_SETTLE_STOPPED: Final = 5.0  # the same for one that was told to stop: somebody waits, and the rows are safe


class IncompleteError(Exception):
    """The run ended, but not everything arrived. The text is one sentence; nothing is lost, the next run goes on."""


class StopRequest:
    """The wish to stop. Every source looks at it; setting it ends the run in order, with a last snapshot."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __call__(self) -> bool:
        """Say whether the run shall stop."""
        return self._event.is_set()

    def set(self) -> None:
        """Ask for the stop. From any thread or signal handler."""
        self._event.set()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM ask for the stop. A second one of either kind acts as usual. Main thread only."""

        def ask(number: int, _frame: FrameType | None) -> None:
            self.set()
            signal.signal(number, before[number])

        before = {number: signal.getsignal(number) for number in (int(signal.SIGINT), int(signal.SIGTERM))}
        for number in before:
            signal.signal(number, ask)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@dataclass
class RunningJob:
    """What a display may look at while the job runs. Read from any thread."""

    counters: CounterView
    progress: Progress | LoopProgress | None
    lag: dict[int, int] | None
    engines: Engines
    model: ModelService | None = None


@dataclass(frozen=True)
class ClosedLoop:
    """People to run the job with: who plays them, in which world, on which catalog; the truth goes to the file ``truth``."""

    population: Population
    begin: Begin
    catalog: Catalog
    truth: Path


@dataclass(frozen=True)
class RunResult:
    """How a run ended. ``summary`` is what ``--json`` prints; ``finished`` is false where it was stopped before the end of its input."""

    summary: dict[str, Any]
    settled: Settled
    finished: bool


def wall_clock() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def run(
    settings: Settings,
    *,
    input_path: Path | None,
    holder: str,
    started: float,
    stop: StopRequest,
    loop: ClosedLoop | None = None,
    watch: Callable[[RunningJob], Any] | None = None,
    after: Callable[[Engines, RunResult], None] | None = None,
) -> RunResult:
    """Run the job on ``input_path`` (bounded), with the people of ``loop``, or on the topic of the settings, until it ends or is stopped.

    ``started`` is ``time.perf_counter()`` at the start of the command. ``watch`` is called once, before the first message, with what a
    display may follow; ``after`` with the engines still open. Blocks. Raises the errors of its parts, each a sentence for the user.
    """
    plan = Plan(load_catalog(settings.catalog) if loop is None else loop.catalog, wording=settings.llm_url is not None)
    with open_engines(settings, holder) as engines, model_of(settings, plan, engines, stop, at_once=loop is not None) as model:
        engines.data_dir.claim(plan.catalog.id)
        side = SideChannels()
        source, progress = (
            _source(settings, input_path, plan, side.timers, stop, model)
            if loop is None
            else _people(engines, loop, side.timers, stop, model)
        )
        parts = make_parts(settings, engines, source, plan, side, lanes=1, stop=stop, model=model)
        flow = build(parts)
        recovery = recovery_config(engines.data_dir, settings.recovery_partitions)
        engines.clickhouse.begin(stop.set)
        if isinstance(source, KafkaSource):
            source.list_parts()  # from inside the engine, a broker that is away would end in a panic instead of a sentence
        if watch is not None:
            lag = source.lag if isinstance(source, KafkaSource) else None
            watch(RunningJob(side.counters, progress, lag, engines, model))
        begun = time.perf_counter()
        with stop.on_signals():
            with _quiet_collector():
                cli_main(  # type: ignore[no-untyped-call]
                    flow, epoch_interval=timedelta(seconds=settings.epoch_seconds), recovery_config=recovery
                )
            if engines.clickhouse.error is not None:
                raise engines.clickhouse.error
            settled = _settle(engines, stop)
        ended = time.perf_counter()
        summary = {"catalog": plan.version, **summarize(side.counters.total, side.counters.resumed)}
        summary["wallSeconds"] = round(ended - started, 3)
        summary["eventsPerSecond"] = round(summary["thisRun"]["eventsRead"] / max(ended - begun, 1e-9), 1)
        summary["notes"] = notes_on(summary, progress if isinstance(progress, Progress) else None, engines.data_dir.dead_letters)
        outcome = RunResult(summary, settled, progress is None or progress.done)
        if after is not None:
            after(engines, outcome)
    if progress is not None and progress.error is not None:
        raise progress.error
    if not settled.complete or settled.rejected:
        raise IncompleteError(_left_behind(settled))
    return outcome


def make_parts(
    settings: Settings,
    engines: Engines,
    source: Source[Message | Tick],
    plan: Plan,
    side: SideChannels,
    *,
    lanes: int,
    stop: StopRequest,
    model: ModelService | None = None,
) -> FlowParts:
    """Join the settings and the engines into what the graph is built from."""
    policy = WritePolicy(ttl_hours=settings.redis_ttl_hours, give_up_seconds=settings.redis_give_up_seconds, stopping=stop)
    return FlowParts(
        source=source,
        recommendations=RecommendationSink(
            engines.redis_url, policy, settings.sink_partitions, at_least=_FILE_EFFECTS if isinstance(source, JsonlSource) else 1
        ),
        facts=engines.delivery.sink,
        dead_letters=_dead_letters(settings, engines, source, stop),
        plan=plan,
        keys=engines.keys,
        side=side,
        lanes=lanes,
        sink_partitions=settings.sink_partitions,
        wording=model.wording if model is not None else None,
    )


@contextmanager
def model_of(
    settings: Settings, plan: Plan, engines: Engines, stop: StopRequest, *, at_once: bool = False
) -> Iterator[ModelService | None]:
    """The model that words guidance, where the settings name one; loads what that needs only then.

    ``at_once``: simulated time stands still while a call is under way, so that answers come as soon as they would in life.
    """
    if settings.llm_url is None:
        yield None
        return
    from flows.model_service import open_model  # noqa: PLC0415 - the client of the model takes a second to load

    with open_model(settings, plan, engines.redis_url, stopping=stop, at_once=at_once) as model:
        yield model


def kafka_source(settings: Settings, plan: Plan, timers: TimerRegistry, stop: StopRequest) -> KafkaSource:
    """The topic that the settings name."""
    assert settings.kafka_brokers is not None, "asked for only where brokers are set"
    config = settings.kafka_client_config()
    brokers = config.pop("bootstrap.servers")
    cluster = Cluster(brokers, settings.kafka_topic, settings.kafka_group, config)
    pace = BatchPolicy(timers.peek, plan.lookahead, settings.batch_size)
    return KafkaSource(cluster, pace, now=wall_clock, accept_gap=settings.kafka_accept_gap, stopping=stop)


def _source(
    settings: Settings, input_path: Path | None, plan: Plan, timers: TimerRegistry, stop: StopRequest, model: ModelService | None
) -> tuple[JsonlSource | KafkaSource, Progress | None]:
    if input_path is None:
        return kafka_source(settings, plan, timers, stop), None
    pace = BatchPolicy(timers.peek, plan.lookahead, settings.batch_size)
    # A file is read faster than life: it waits for the model, or nearly all texts would come too late. A topic never waits for it.
    paused = (lambda: not model.gate.open()) if model is not None else _never
    source = JsonlSource(input_path, peek_timestamp, pace, now=wall_clock, stopping=stop, paused=paused)
    return source, source.progress


def _never() -> bool:
    return False


def _people(
    engines: Engines, loop: ClosedLoop, timers: TimerRegistry, stop: StopRequest, model: ModelService | None
) -> tuple[PeopleSource, LoopProgress]:
    reader = RecommendationReader(engines.redis_url)
    tenant = loop.begin.tenant
    paused = (lambda: model.gate.pending > 0) if model is not None else _never
    source = PeopleSource(
        loop.population, loop.begin, lambda users: reader.read_raw(tenant, users), loop.truth, timers.peek, stopping=stop, paused=paused
    )
    return source, source.progress


def _dead_letters(
    settings: Settings, engines: Engines, source: Source[Message | Tick], stop: StopRequest
) -> DeadLetterFileSink | DeadLetterTopicSink:
    if isinstance(source, KafkaSource):
        return DeadLetterTopicSink(settings.kafka_client_config(), settings.kafka_dead_letter_topic, stopping=stop)
    return DeadLetterFileSink(engines.data_dir.dead_letters)


def _settle(engines: Engines, stop: StopRequest) -> Settled:
    """Wait until the last rows are in ClickHouse: for long where it is slow or away, for moments once somebody wants to stop."""
    began = time.monotonic()
    asked: float | None = None
    while True:
        settled = engines.delivery.settle(_LOOK)
        now = time.monotonic()
        asked = now if asked is None and stop() else asked
        if settled.complete or now - began > _SETTLE or (asked is not None and now - asked > _SETTLE_STOPPED):
            return settled


@contextmanager
def _quiet_collector() -> Iterator[None]:
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_GC)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _left_behind(settled: Settled) -> str:
    if settled.rejected:
        return (
            f"ClickHouse refused {settled.rejected} segments of rows ({settled.last_error}); they are kept in the data directory's spool."
        )
    return (
        f"{settled.left} segments of rows still wait for ClickHouse ({settled.last_error}); the next run on this directory delivers them."
    )
