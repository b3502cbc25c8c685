"""``onramp archive``: keeps the log as Parquet files, beside the job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.support.options import DataDirOption, JsonOption

if TYPE_CHECKING:
    from flows.archive import Checked
    from flows.settings import Settings

_OnceOption = Annotated[bool, typer.Option("--once", help="End at the present end of the log.")]
_CheckOption = Annotated[bool, typer.Option("--check", help="Only read every file again, and say what the archive holds; write nothing.")]


def archive(
    once: _OnceOption = False,
    check: _CheckOption = False,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Write the log of the settings as Parquet files, until you stop it; Ctrl-C ends it in order.

    It reads the log by itself, beside the job, so each may stop and catch up alone. Files go to ONRAMP_ARCHIVE_DIR, by day and partition;
    their names say which messages they hold, and after a crash it goes on there. With --check it exits with 1 if a file is damaged, or
    messages are missing between two files. Metrics are served if ONRAMP_ARCHIVE_METRICS_ADDRESS is set.

    \b
    Example:  onramp archive
              ONRAMP_KAFKA_BROKERS=kafka:9092 ONRAMP_ARCHIVE_DIR=/var/lib/onramp/archive onramp archive --once
              onramp archive --check
    """
    from cli.support.live_job import settings_of_job
    from cli.support.options import load
    from flows.archive import run_archive
    from flows.stop import StopRequest
    from reports.render import lines, out, print_json
    from state.quantity import count

    if once and check:
        raise typer.BadParameter("it reads the archive only, and no log; leave one of them out.", param_hint="'--once'")
    settings = settings_of_job(load(service=not check, data_dir=data_dir))
    if check:
        _check(settings, as_json=as_json)
        return
    stop = StopRequest()
    with stop.on_signals():
        totals = run_archive(settings, stop, once=once)
    if as_json:
        print_json({"messages": totals.messages, "files": totals.files})
    else:
        lines(out(), f"Archived {count(totals.messages, 'message')} in {count(totals.files, 'file')}.")


def _check(settings: Settings, *, as_json: bool) -> None:
    from cli.support.failures import say
    from flows.archive import archive_dir, check_archive
    from reports.render import number, out, print_json, table
    from state.plain_text import plain

    found = check_archive(settings)
    if as_json:
        print_json({"archive": str(archive_dir(settings)), "partitions": [each._asdict() for each in found]})
    else:
        rows = []
        for each in found:
            counts = (number(each.files), each.first, each.last, number(each.messages), number(each.forgotten))
            rows.append((each.partition, *counts, f"{each.bytes / 1024**2:.1f}"))
        out().print(table((">partition", ">files", ">from", ">to", ">messages", ">forgotten", ">MiB"), rows))
    wrong = [sentence for each in found for sentence in _wrong(each)]
    for sentence in wrong:
        say(plain(sentence))
    if wrong:
        raise typer.Exit(1)


def _wrong(found: Checked) -> list[str]:
    gaps = [
        f"partition {found.partition} has no message from offset {first} to {last}: the log had deleted them, or files were removed."
        for first, last in found.gaps
    ]
    return [*gaps, *found.damaged]
