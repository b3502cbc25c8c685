"""``onramp backup`` and ``onramp restore``: a data directory as one file or object in S3, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.audited import ByOption
from cli.options import DataDirOption, JsonOption, refuse_missing_directory, stored_at

if TYPE_CHECKING:
    from flows.backup import Watch
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
_BackupArgument = Annotated[str, typer.Argument(metavar="BACKUP", help="A file of `onramp backup`, or s3://BUCKET/NAME.")]
_UnsignedOption = Annotated[
    bool, typer.Option("--unsigned", help="Do not check the signature: somebody may have changed the backup, its users and its keys.")
]
_IntoOption = Annotated[Path, typer.Option("--into", metavar="DIR", help="New or empty directory, which becomes the data directory.")]


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
    from cli.audited import audit_log, login_name
    from cli.demo_dir import refuse_demo
    from cli.live_job import settings_of_job
    from cli.options import load
    from cli.streams import writing
    from flows import backup as job
    from flows.stop import sigterm_interrupts
    from local.data_dir import DataDir
    from reports.render import print_json
    from sources.wall_clock import wall_clock

    settings, who = settings_of_job(load(data_dir=data_dir)), login_name(by)
    refuse_demo(settings)
    DataDir.open(settings.data_dir)
    target = _target(out, wall_clock())
    watch = _watch()
    if isinstance(target, Path):
        with audit_log(settings).begun("backup", by=who, file=str(target)), writing(target.parent), sigterm_interrupts():
            manifest = job.back_up(settings, target, watch)
        size = target.stat().st_size
    else:
        with audit_log(settings).begun("backup", by=who, file=str(target)), sigterm_interrupts():
            manifest, size = job.back_up_to_s3(settings, target, watch)
    if as_json:
        print_json({"file": str(target), "bytes": size, **_shown(manifest)})
    else:
        _show(f"{target} is a backup of {settings.data_dir}", manifest, size)
        _list("Not in it:", manifest["notIncluded"])


def restore(
    backup: _BackupArgument, into: _IntoOption, unsigned: _UnsignedOption = False, by: ByOption = None, as_json: JsonOption = False
) -> None:
    """Make a data directory of a backup, on this machine or another one. Every file is compared with what was written.

    Set ONRAMP_SECRET as the job has it, if it has one: it signs the backup, so that one that somebody changed is refused.

    Then start the job on the directory as before: it goes on where the backup was made. A backup also brings back whom you forgot since:
    forget them again.

    \b
    Example:  onramp restore onramp-backup-20260302T040000Z.tar --into .onramp
              onramp restore s3://company-backups/onramp/onramp-backup-20260302T040000Z.tar --into .onramp
    """
    from cli.audited import login_name
    from cli.options import load
    from cli.streams import writing
    from flows import backup as job
    from flows.stop import sigterm_interrupts
    from local.audit_log import AuditLog
    from local.backup_file import SignatureCheck
    from local.data_dir import DataDir
    from reports.render import print_json
    from sources.wall_clock import wall_clock

    who, watch, stored = login_name(by), _watch(), stored_at(backup, "'BACKUP'")
    if stored is not None and stored.is_place:
        raise typer.BadParameter("it names a place in S3, and no backup in it.", param_hint="'BACKUP'")
    secret = load().secret
    signature = SignatureCheck(None if secret is None else secret.get_secret_value().encode(), unsigned)
    with writing(into), sigterm_interrupts():
        if stored is None:
            manifest = job.restore(Path(backup), into, watch, signature)
        else:
            manifest = job.restore_from_s3(stored, into, watch, signature)
    AuditLog(DataDir(into).audit, wall_clock).append("restore", by=who, takenAt=manifest["takenAt"], file=backup)
    if as_json:
        print_json({"dataDir": str(into), **_shown(manifest)})
    else:
        _show(f"{into} is the data directory of {manifest['takenAt']}", manifest, sum(each["size"] for each in manifest["files"].values()))
        if signature.skipped or signature.secret is None:
            _list("Not checked:", ["Whether somebody changed the backup: " + ("--unsigned." if signature.skipped else "it is not signed.")])
        _list("Start the job with:", _settings(into, manifest))
        _list("Not in the backup:", manifest["notIncluded"])


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


def _watch() -> Watch:
    """Say on standard error, at a terminal, what is being copied and how much has been."""
    import sys
    import time

    from cli.failures import say
    from flows.backup import Watch

    copied, said_at, stage = 0, time.monotonic(), ""

    def on_stage(name: str) -> None:
        nonlocal stage, said_at
        stage, said_at = name, time.monotonic()

    def on_bytes(size: int) -> None:
        nonlocal copied, said_at
        copied += size
        if time.monotonic() - said_at >= _SAY_SECONDS:
            said_at = time.monotonic()
            say(f"{copied / 1e6:,.0f} MB; {stage} …")

    return Watch(on_stage, on_bytes) if sys.stderr is not None and sys.stderr.isatty() else Watch()


_SAY_SECONDS = 2.0


def _shown(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest with the number of files instead of the files."""
    return {**manifest, "files": len(manifest["files"])}


def _show(what: str, manifest: dict[str, Any], size: int) -> None:
    from rich.text import Text

    from reports.render import lines, out
    from state.plain_text import plain
    from state.quantity import count

    console = out()
    lines(console, Text(f"{plain(what)}: {size / 1e6:,.1f} MB, made by onramp {plain(manifest['onramp'])}."))
    rows = sum(manifest["rows"].values())
    epoch = "no job has run yet" if manifest["epoch"] is None else f"epoch {manifest['epoch']}"
    held = [epoch, count(manifest["keys"].get("track", 0), "user"), count(rows, "row of tables", "rows of tables")]
    if "messages" in manifest:
        held.append(count(manifest["messages"], "message of the event log", "messages of the event log"))
    lines(console, Text(f"  {', '.join(held)}."))


def _list(title: str, items: list[str]) -> None:
    from rich.text import Text

    from reports.render import lines, out
    from state.plain_text import plain

    if items:
        lines(out(), Text(title), *(Text(f"  {plain(item)}") for item in items))


def _settings(into: Path, manifest: dict[str, Any]) -> list[str]:
    from flows.backup import CATALOG, CATALOGS

    found = [f"ONRAMP_DATA_DIR={into}"]
    if "messages" in manifest:
        found.append(f"ONRAMP_EVENT_LOG={into / 'log'}   (or the job's own log, where it is left: it has what came later)")
    there = {each.partition("/")[0] for each in manifest["files"]}
    found += [f"ONRAMP_CATALOG={into / name}   (as it was; or a newer one)" for name in (CATALOG, CATALOGS) if name in there]
    return found
