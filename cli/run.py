"""``onramp run``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.support.options import CatalogsOption, DataDirOption, JsonOption

if TYPE_CHECKING:
    from flows.run import RunningJob


def readable(path: Path | None) -> Path | None:
    """Refuse, as wrong usage, an input that is neither a file nor ``-``."""
    if str(path) == "-" and sys.stdin is None:
        raise typer.BadParameter("standard input is closed; pipe events into the command, or name a file.")
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
        help="File of JSON lines, plain or gzip; - for standard input. Without it the job reads Kafka, or the event log.",
        callback=readable,
    ),
]


def run(
    input_path: InputOption = None,
    catalog: CatalogsOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Run the job on a file to its end, or on Kafka or the event log until you stop it.

    Ctrl-C stops it in order. The same command on the same data directory resumes where it stopped; no event is lost or counted twice.
    The exit code is 1 if no event of the input was accepted.

    \b
    Example:  onramp run --input events.jsonl --catalog product.yaml
              onramp import events-*.jsonl.gz --out - | onramp run --input - --json
              ONRAMP_KAFKA_BROKERS=kafka:9092 onramp run --catalog product.yaml
              ONRAMP_EVENT_LOG=/var/lib/onramp/log onramp run --catalog product.yaml
    """
    started = time.perf_counter()
    from cli.support.demo_dir import refuse_demo
    from cli.support.options import load
    from flows.catalogs import require_named_catalog
    from flows.settings import SettingsError
    from flows.stop import StopRequest

    settings = load(service=input_path is None, data_dir=data_dir, catalog=catalog)
    if input_path is None and not settings.live:
        raise SettingsError(
            "there is nothing to read: give a file with --input FILE (- for standard input), or set ONRAMP_KAFKA_BROKERS for Kafka or "
            "ONRAMP_EVENT_LOG for the local event log."
        )
    if input_path is None:
        if settings.process_addresses:
            raise SettingsError(
                "`onramp run` is one process, and ONRAMP_PROCESS_ADDRESSES is set: start each process of the job with Bytewax's runner "
                "(docs/scaling.md), or unset it."
            )
        require_named_catalog(settings)
    refuse_demo(settings)
    from cli.support.failures import speaks_json
    from cli.support.native_stderr import capture_native_stderr
    from cli.support.run_ending import RunEnding
    from flows.run import run as run_job
    from reports.display import Display
    from reports.render import err

    stop, ending = StopRequest(), RunEnding(input_path, as_json=as_json)
    try:
        with capture_native_stderr(), Display(err(), "Running", in_log=speaks_json()) as display:

            def on_start(live: RunningJob) -> None:
                _record_clock(live, input_path)
                display.watch(live)

            run_job(
                settings, input_path=input_path, owner="onramp run", started=started, stop=stop, on_start=on_start, on_end=ending.record
            )
    finally:
        ending.show(stop)
    if ending.nothing_accepted:
        raise typer.Exit(1)


def _record_clock(live: RunningJob, input_path: Path | None) -> None:
    from local import expiry_time

    if input_path is None:
        expiry_time.record_live_start(live.engines.data_dir)
    else:
        expiry_time.record_bounded_start(live.engines.data_dir)
