"""``onramp backup``: a data directory as one file, or one object in S3."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.support.audit_options import ByOption
from cli.support.options import DataDirOption, JsonOption, refuse_missing_directory, stored_at

if TYPE_CHECKING:
    from sources.s3.location import Location

_OutOption = Annotated[
    str | None,
    typer.Option(
        "--out",
        metavar="FILE_OR_DIR",
        help="New file, gzipped if its name ends in .gz; or a directory for it; or s3://BUCKET/NAME, or s3://BUCKET/PLACE/ for it. "
        "[default: the current directory]",
        show_default=False,
    ),
]


def backup(out: _OutOption = None, by: ByOption = None, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Back up the data directory and the local event log as one file, also while the job runs.

    The file holds data about users and keys: only you may read it; keep it private. Kafka, and servers of Redis and ClickHouse, are not
    part of it. The job goes on meanwhile; rows wait for ClickHouse for some seconds. With s3:// the file is made in the data directory,
    read again, and sent; credentials and endpoint are those of AWS programs (AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ENDPOINT_URL).

    \b
    Example:  onramp backup --out /backups
              onramp backup --out s3://company-backups/onramp/
              onramp backup --out onramp.tar.gz --json
    """
    from cli.support.audit_options import audit_log, login_name
    from cli.support.backup_display import print_list, print_manifest, shown_manifest, watch_at_terminal
    from cli.support.demo_dir import refuse_demo
    from cli.support.live_job import settings_of_job, with_catalog_of_job
    from cli.support.options import load
    from cli.support.streams import writing
    from flows import backup as job
    from flows.stop import sigterm_interrupts
    from local.data_dir import DataDir
    from reports.render import print_json
    from system.wall_clock import wall_clock

    settings, who = with_catalog_of_job(settings_of_job(load(data_dir=data_dir))), login_name(by)
    refuse_demo(settings)
    DataDir.open(settings.data_dir)
    target = _target(out, wall_clock())
    watch = watch_at_terminal()
    if isinstance(target, Path):
        with audit_log(settings).begun("backup", by=who, file=str(target)), writing(target.parent), sigterm_interrupts():
            manifest = job.back_up(settings, target, watch)
        size = target.stat().st_size
    else:
        with audit_log(settings).begun("backup", by=who, file=str(target)), sigterm_interrupts():
            manifest, size = job.back_up_to_s3(settings, target, watch)
    if as_json:
        print_json({"file": str(target), "bytes": size, **shown_manifest(manifest)})
    else:
        print_manifest(f"{target} is a backup of {settings.data_dir}", manifest, size)
        print_list("Not in it:", manifest["notIncluded"])


def _target(out: str | None, now: int) -> Path | Location:
    """The file or the object for a backup: named by its time, where ``out`` is a place for it."""
    from state.times import rfc3339

    moment = rfc3339(now)[:19].replace("-", "").replace(":", "")
    name = f"onramp-backup-{moment}Z.tar"
    if out is None:
        return Path(name)
    if (stored := stored_at(out, "'--out'")) is not None:
        return stored.child(name) if stored.is_place else stored
    path = Path(out)
    if path.is_dir():
        return path / name
    refuse_missing_directory(path, "--out")
    return path
