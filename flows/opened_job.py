"""Opens a job: its engines, its source, its graph and its recovery store, in the one order in which they may be opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig

from flows.bound_input import input_name, note_log
from flows.catalogs import lasting_name, load_plans
from flows.engines import Engines, open_engines
from flows.inputs import ClosedLoop, LiveSource, file_source, live_source, population_source
from flows.metrics.serving import serving_metrics
from flows.onboarding import SideChannels, build
from flows.parts import make_parts
from flows.recovery import recovery_config
from flows.settings import Settings
from flows.stop import StopRequest
from flows.tracing import tracing
from operators.timer_registry import TimerRegistry
from sinks.otlp.tracer import Tracer
from sources.closed_loop import PeopleSource
from sources.files.source import JsonlSource
from state.catalog.by_tenant import ByTenant, Plans
from state.catalog.plan import Plan

if TYPE_CHECKING:
    from flows.model_service import ModelService


@dataclass(frozen=True)
class OpenedJob:
    """A job that can run. Valid inside the block of ``open_job`` only. ``model`` is None where no model words guidance."""

    engines: Engines
    source: PeopleSource | JsonlSource | LiveSource
    plans: Plans
    side: SideChannels
    model: ModelService | None
    flow: Dataflow
    recovery: RecoveryConfig


@contextmanager
def open_job(
    settings: Settings,
    owner: str,
    stop: StopRequest,
    *,
    input_path: Path | None = None,
    loop: ClosedLoop | None = None,
    workers: int = 1,
) -> Iterator[OpenedJob]:
    """Open the job on the file ``input_path``, on the population of ``loop``, or on the topic or event log of the settings.

    Its metrics are served, and old snapshots are removed, during the block. ClickHouse is not prepared yet: start ``engines.clickhouse``.
    ``owner`` names the command that locks the data directory. ``workers`` are those of all processes. Call it from the main thread. Blocks
    until the input was reached, for a minute at most. Raises the errors of its parts, each a sentence for the user.
    """
    wording = settings.llm_url is not None
    plans = load_plans(settings.catalog, wording=wording) if loop is None else ByTenant(Plan(loop.catalog, wording=wording))
    ids, read = plans.map(lambda plan: plan.catalog.id), input_name(settings, input_path)
    live = loop is None and input_path is None
    with (
        open_engines(settings, owner, stopping=stop) as engines,  # first, as it locks the data directory
        tracing(settings) as tracer,  # before the model, whose last answers are traced
        _model(settings, plans, engines, stop, live=live, at_once=loop is not None, tracer=tracer) as model,
    ):
        data_dir = engines.data_dir
        data_dir.check_catalogs(ids)
        if loop is None:
            data_dir.check_input(read)
        side = SideChannels(timers=TimerRegistry(one_worker=workers == 1))
        source: PeopleSource | JsonlSource | LiveSource
        if loop is not None:
            source = population_source(loop, engines, side.timers, stop, model)
        elif input_path is not None:
            source = file_source(input_path, settings, plans, side, stop, model, data_dir)
        else:
            source = live_source(settings, plans, side, stop)
        parts = make_parts(settings, engines, source, plans, side, workers=workers, stop=stop, model=model, tracer=tracer)
        flow = build(parts)
        # The runner opens the store after this. From when the directory is bound to its input, a missing store is a fault.
        recovery = recovery_config(data_dir, settings.recovery_files(bounded=not live), keeps=settings.processes().keeps)
        if isinstance(source, LiveSource):
            source.list_parts()  # raises our error for an unreachable broker; inside the engine it would end in a panic
        # Only now: a directory belongs to the catalogs and the input of the first job that could read its input.
        data_dir.bind_layout()
        data_dir.bind_catalogs(ids, name=None if loop is not None else lasting_name(settings.catalog))
        if loop is None:
            data_dir.bind_input(read)
        if live and settings.event_log is not None:
            note_log(data_dir, settings.event_log, accept_gap=settings.event_log_accept_gap)
        with engines.old_snapshots, serving_metrics(settings, engines, parts, model):
            yield OpenedJob(engines, source, plans, side, model, flow, recovery)


def _model(
    settings: Settings, plans: Plans, engines: Engines, stop: StopRequest, *, live: bool, at_once: bool, tracer: Tracer | None
) -> AbstractContextManager[ModelService | None]:
    if settings.llm_url is None:
        return nullcontext()
    from flows.model_service import open_model  # noqa: PLC0415 - importing the client of the model takes a second

    return open_model(settings, plans, engines.redis_url, stopping=stop, live=live, at_once=at_once, tracer=tracer)
