"""``onramp run``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.failures import say
from cli.options import CatalogOption, DataDirOption, JsonOption

if TYPE_CHECKING:
    from flows.engines import Engines
    from flows.job import RunningJob, RunResult, StopRequest


def _readable(path: Path | None) -> Path | None:
    if path is not None and str(path) != "-":
        if path.is_dir():
            raise typer.BadParameter(f"{str(path)!r} is a directory.")
        if not path.exists():
            raise typer.BadParameter(f"there is no file {str(path)!r}.")
    return path


InputOption = Annotated[
    Path | None,
    typer.Option(
        "--input",
        metavar="FILE",
        help="JSON lines, plain or gzip; - for standard input. Without it: Kafka, without end.",
        callback=_readable,
    ),
]


def run(
    input_path: InputOption = None,
    catalog: CatalogOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Run the job: on a file until its end, or on Kafka until it is stopped.

    The same command on the same data directory goes on where it stopped. Ctrl-C stops in order; nothing is lost or done twice.

    \b
    Example:  onramp run --input events.jsonl --catalog product.yaml
              zcat events-*.gz | onramp run --input - --json
              ONRAMP_KAFKA_BROKERS=kafka:9092 onramp run
    """
    started = time.perf_counter()
    from cli.demo_dir import refuse_demo
    from cli.options import load
    from flows.job import StopRequest
    from flows.settings import SettingsError

    settings = load(service=input_path is None, data_dir=data_dir, catalog=catalog)
    if input_path is None and settings.kafka_brokers is None:
        raise SettingsError(
            "there is nothing to read: give a file with --input FILE (- for standard input), or set ONRAMP_KAFKA_BROKERS for Kafka."
        )
    refuse_demo(settings)
    from cli.engine_noise import engine_noise_aside
    from flows.job import run as run_job
    from reports.display import Display
    from reports.screen import err

    stop, ending = StopRequest(), _Ending(input_path, as_json)
    try:
        with engine_noise_aside(), Display(err(), "Running") as display:

            def watch(live: RunningJob) -> None:
                _keep_clock(live, input_path)
                display.watch(live)

            run_job(settings, input_path=input_path, holder="onramp run", started=started, stop=stop, watch=watch, after=ending.take)
    finally:
        ending.show(stop)


class _Ending:
    """What is said at the end, even where the run was not complete."""

    def __init__(self, input_path: Path | None, as_json: bool) -> None:
        self._input, self._as_json = input_path, as_json
        self._outcome: RunResult | None = None

    def take(self, engines: Engines, outcome: RunResult) -> None:
        self._outcome = outcome
        if self._input is not None:
            from cli.clock import bounded_run_ended

            bounded_run_ended(engines.data_dir, newest_log_time(engines))

    def show(self, stop: StopRequest) -> None:
        outcome = self._outcome
        if outcome is None:
            return
        if self._as_json:
            from reports.screen import print_json

            print_json({**outcome.summary, "finished": outcome.finished and not (stop() and self._input is None)})
        else:
            from reports.figures import show_figures, show_throughput
            from reports.screen import out

            console = out()
            show_throughput(console, outcome.summary)
            show_figures(console, outcome.summary)
            console.print()
        for note in outcome.summary["notes"]:
            say(note)
        if stop():
            say(_how_to_go_on(self._input, outcome.finished))


def _how_to_go_on(input_path: Path | None, finished: bool) -> str:
    if input_path is None:
        return "stopped in order; run the same command to go on."
    if finished:
        return "asked to stop, but the input was already read to its end."
    if str(input_path) == "-":
        return "stopped before the end of the input; what was read is kept, but standard input cannot be resumed."
    return "stopped before the end of the input; run the same command to go on."


def _keep_clock(live: RunningJob, input_path: Path | None) -> None:
    from cli import clock

    if input_path is None:
        clock.live_run_began(live.engines.data_dir)
    else:
        clock.bounded_run_began(live.engines.data_dir)


def newest_log_time(engines: Engines) -> int | None:
    """The log time that the facts have reached, in Unix milliseconds; None where they cannot be read now."""
    from sinks.clickhouse.errors import StoreError
    from sinks.clickhouse.query import query

    try:
        found: list[dict[str, Any]] = query(engines.store, "SELECT toUnixTimestamp64Milli(max(log_time)) AS newest FROM events").to_dicts()
    except StoreError:
        return None
    return int(found[0]["newest"]) or None if found else None
