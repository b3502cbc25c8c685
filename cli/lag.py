"""``onramp lag``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import typer

from cli.support.options import DataDirOption, JsonOption

if TYPE_CHECKING:
    from flows.lag import Lag
    from sources.backlog import Backlog, Colour, Thresholds

_OF_JOB: Final = "The lag grows"
_OF_LOST: Final = "Unread messages are about to be deleted"
_OF_ARCHIVE: Final = "The archive is behind"
_STYLES: Final = {"green": "green", "amber": "yellow", "red": "bold red"}


def lag(as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Show how far the job is behind, by partition, and how long until unread messages are deleted; whether it runs or not.

    Use the settings of the job. Positions are those of its newest snapshot; a running job may be up to an epoch ahead of them. What the
    archive has not written yet is shown after it, if there is an archive. Exits with 1 if a partition of either is red, by
    ONRAMP_LAG_RED_SECONDS and ONRAMP_DATA_LOSS_RED_SHARE; the archive may be behind by ONRAMP_ARCHIVE_FILE_SECONDS more.

    \b
    Example:  onramp lag
              ONRAMP_KAFKA_BROKERS=kafka:9092 onramp lag --json
    """
    from cli.support.failures import say
    from cli.support.live_job import settings_of_job
    from cli.support.options import load
    from flows.lag import archive_thresholds_of, measure_archive_lag, measure_lag, thresholds_of
    from reports.render import print_json
    from sources.backlog import colour

    settings = settings_of_job(load(data_dir=data_dir))
    found, thresholds = measure_lag(settings), thresholds_of(settings)
    colours = [colour(each, thresholds, found.now) for each in found.backlogs]
    if not as_json:
        _show(found, colours, thresholds, behind=_OF_JOB, lost=_OF_LOST)
    archive, of_archive = measure_archive_lag(settings), archive_thresholds_of(settings)
    archived = [] if archive is None else [colour(each, of_archive, archive.now) for each in archive.backlogs]
    if as_json:
        print_json(_as_json(found, colours) | ({} if archive is None else {"archive": _as_json(archive, archived)}))
    elif archive is not None:
        _show(archive, archived, of_archive, behind=_OF_ARCHIVE, lost=_OF_ARCHIVE)
    if "red" in colours:
        say(f"the job is too far behind, see docs/runbook.md, '{_OF_JOB}'.")
    if "red" in archived:
        say(f"the archive is too far behind, see docs/runbook.md, '{_OF_ARCHIVE}'.")
    if "red" in colours + archived:
        raise typer.Exit(1)


def _worst(colours: list[Colour]) -> Colour:
    return max(colours, key=("green", "amber", "red").index, default="green")


def _as_json(found: Lag, colours: list[Colour]) -> dict[str, Any]:
    def partition(each: Backlog, named: Colour) -> dict[str, Any]:
        left = each.time_to_loss(found.now)
        return {
            "partition": each.partition,
            "offset": each.offset,
            "end": each.end,
            "messages": each.messages,
            "seconds": each.seconds(found.now),
            "watermarkAgeSeconds": each.watermark_age(found.now),
            "secondsToDataLoss": None if left is None or math.isinf(left) else left,
            "lost": each.lost,
            "colour": named,
        }

    return {
        "input": found.where,
        "positions": found.positions,
        "colour": _worst(colours),
        "messages": sum(each.messages for each in found.backlogs),
        "partitions": [partition(each, named) for each, named in zip(found.backlogs, colours, strict=True)],
    }


def _show(found: Lag, colours: list[Colour], thresholds: Thresholds, *, behind: str, lost: str) -> None:
    """Print a table. ``behind`` and ``lost`` are sections of the runbook."""
    from rich.text import Text

    from reports.render import hours, lines, number, out, table
    from state.plain_text import plain
    from state.quantity import count

    def seconds(value: float | None) -> str:
        if value is not None and math.isinf(value):
            return "never"
        return hours(None if value is None else value / 3600)

    rows = [
        (
            each.partition,
            Text(named, style=_STYLES[named]),
            number(each.messages),
            seconds(each.seconds(found.now)),
            seconds(each.watermark_age(found.now)),
            "LOST" if each.lost else seconds(each.time_to_loss(found.now)),
        )
        for each, named in zip(found.backlogs, colours, strict=True)
    ]
    console = out()
    worst = _worst(colours)
    unread = sum(each.messages for each in found.backlogs)
    console.print(Text.assemble((worst, _STYLES[worst]), f"  {plain(found.where)}, read up to {plain(found.positions)}"))
    console.print(table((">partition", "colour", ">messages", ">behind", ">log time behind", ">to data loss"), rows))
    deleted = sum(each.lost for each in found.backlogs)
    if deleted:
        lines(
            console,
            Text(f"The log deleted {count(deleted, 'message')} unread: see docs/runbook.md, '{lost}'."),
        )
    elif worst != "green":
        what = f"{count(unread, 'message')} unread; amber from {thresholds.amber_seconds:g} s, red from {thresholds.red_seconds:g} s"
        lines(console, Text(f"{what}. See docs/runbook.md, '{behind}'.", style="dim"))
