"""Runs the onboarding job in this process: runs the dataflow to its end or to a stop request, delivers the last rows, gives the result."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bytewax.run import cli_main

from flows.engines import Engines
from flows.inputs import ClosedLoop, LiveSource
from flows.opened_job import open_job
from flows.run_notes import notes_on, nothing_accepted
from flows.run_summary import summarize
from flows.settings import Settings
from flows.stop import StopRequest
from operators.counters import CounterView
from sinks.clickhouse.delivery import DeliveryResult
from sources.closed_loop import LoopProgress
from sources.files.progress import Progress
from state.quantity import count

if TYPE_CHECKING:
    from flows.model_service import ModelService

GC_THRESHOLDS: Final = (200_000, 50, 1000)
"""Thresholds of the garbage collector. The state of a job has no reference cycles, so frequent full collections find nothing."""

_LAST_ROWS_SECONDS: Final = 300.0  # the longest wait for the last rows to reach ClickHouse; then the run counts as incomplete
_LAST_ROWS_STOPPED_SECONDS: Final = 5.0  # the same after a stop request: a person waits, and the rows are safe in the spool
_POLL_SECONDS: Final = 1.0  # between two looks at the stop request during that wait


class IncompleteError(Exception):
    """The run ended before all rows were delivered. The text is one sentence; nothing is lost, and the next run delivers them."""


@dataclass
class RunningJob:
    """What a display reads while the job runs. Safe to read from any thread."""

    counters: CounterView
    progress: Progress | LoopProgress | None
    lag: dict[int, int] | None
    engines: Engines
    model: ModelService | None = None


@dataclass(frozen=True)
class RunResult:
    """How a run ended. ``summary`` is what ``--json`` prints; ``finished`` is false where it was stopped before the end of its input.

    ``nothing_accepted``: a file or a pipe was read to its end and held no event. ``log_time`` is the newest log time of a bounded input, in
    Unix milliseconds; None if there is none.
    """

    summary: dict[str, Any]
    delivery: DeliveryResult
    finished: bool
    nothing_accepted: bool = False
    log_time: int | None = None


def run(
    settings: Settings,
    *,
    input_path: Path | None,
    owner: str,
    started: float,
    stop: StopRequest,
    loop: ClosedLoop | None = None,
    on_start: Callable[[RunningJob], Any] | None = None,
    on_end: Callable[[Engines, RunResult], None] | None = None,
) -> RunResult:
    """Run the job on ``input_path`` (bounded), on the population of ``loop``, or on the topic or event log of the settings, to its end.

    ``owner`` names the command that locks the data directory. ``started`` is ``time.perf_counter()`` at the start of the command.
    ``on_start`` is called once, before the first message; ``on_end`` once, while the engines are still open. Call it from the main thread.
    Raises ``IncompleteError`` and the errors of its parts, each a sentence for the user.
    """
    with open_job(settings, owner, stop, input_path=input_path, loop=loop) as job:
        engines, source, side = job.engines, job.source, job.side
        engines.clickhouse.start(stop.set)
        progress = None if isinstance(source, LiveSource) else source.progress
        if on_start is not None:
            lag = source.lag if isinstance(source, LiveSource) else None
            on_start(RunningJob(side.counters, progress, lag, engines, job.model))
        flow_started = time.perf_counter()
        with stop.on_signals():
            with tuned_garbage_collector():
                cli_main(  # type: ignore[no-untyped-call]
                    job.flow, epoch_interval=timedelta(seconds=settings.epoch_seconds), recovery_config=job.recovery
                )
            engines.clickhouse.wait_for_first_try(stop)
            if engines.clickhouse.error is not None:
                raise engines.clickhouse.error
            delivery = _deliver_last_rows(engines, stop)
        ended = time.perf_counter()
        versions = ", ".join(dict.fromkeys(plan.version for plan in job.plans.distinct))
        summary = {"catalog": versions, **summarize(side.counters.total, side.counters.resumed)}
        summary["wallSeconds"] = round(ended - started, 3)
        summary["eventsPerSecond"] = round(summary["thisRun"]["eventsRead"] / max(ended - flow_started, 1e-9), 1)
        read = progress if isinstance(progress, Progress) else None
        summary["notes"] = notes_on(summary, read, engines.data_dir.dead_letters, str(input_path or "-"))
        later = stop() and not delivery.complete and not delivery.rejected
        if later:  # who asks for a stop does not wait for ClickHouse: its rows are safe in the spool
            summary["notes"].append(rows_left(delivery))
        result = RunResult(
            summary,
            delivery,
            finished=progress is None or progress.done,
            nothing_accepted=nothing_accepted(summary, read),
            log_time=None if progress is None else progress.log_time,
        )
        if on_end is not None:
            on_end(engines, result)
    if progress is not None and progress.error is not None:
        raise progress.error
    if (not delivery.complete and not later) or delivery.rejected:
        raise IncompleteError(rows_left(delivery))
    return result


@contextmanager
def tuned_garbage_collector() -> Iterator[None]:
    """For the block, let the garbage collector run seldom, and never on objects that exist now."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _deliver_last_rows(engines: Engines, stop: StopRequest) -> DeliveryResult:
    """Wait until the last rows are in ClickHouse: five minutes at most, five seconds after a stop request."""
    began = time.monotonic()
    stop_seen: float | None = None
    while True:
        result = engines.delivery.flush(_POLL_SECONDS)
        now = time.monotonic()
        stop_seen = now if stop_seen is None and stop() else stop_seen
        if result.complete or now - began > _LAST_ROWS_SECONDS or (stop_seen is not None and now - stop_seen > _LAST_ROWS_STOPPED_SECONDS):
            return result


def rows_left(delivery: DeliveryResult) -> str:
    """Say what became of rows that are not in ClickHouse."""
    why = f" ({delivery.last_error})" if delivery.last_error else ""
    if delivery.rejected:
        return (
            f"ClickHouse refused {count(delivery.rejected, 'segment')} of rows{why}; what it refused is kept in rejected/ of the data "
            "directory's spool. Fix the cause, then move the files back into the spool to deliver them."
        )
    return (
        f"{count(delivery.left, 'segment of rows still waits', 'segments of rows still wait')} for ClickHouse{why}; the next run on this "
        "directory delivers what is left."
    )
