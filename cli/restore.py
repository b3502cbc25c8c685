"""``onramp restore``: a data directory of a backup."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from cli.support.audit_options import ByOption
from cli.support.options import JsonOption, stored_at

_BackupArgument = Annotated[str, typer.Argument(metavar="BACKUP", help="A file of `onramp backup`, or s3://BUCKET/NAME.")]
_UnsignedOption = Annotated[
    bool, typer.Option("--unsigned", help="Do not check the signature: somebody may have changed the backup, its users and its keys.")
]
_IntoOption = Annotated[Path, typer.Option("--into", metavar="DIR", help="New or empty directory, which becomes the data directory.")]


def restore(
    backup: _BackupArgument, into: _IntoOption, unsigned: _UnsignedOption = False, by: ByOption = None, as_json: JsonOption = False
) -> None:
    """Make a data directory of a backup, on this machine or another one. Every file is compared with what was written.

    Set ONRAMP_SECRET as the job has it, if it has one: it signs the backup, so that one that somebody changed is refused.

    Signed or not, a backup with anything that could run code is refused, and the tables of ClickHouse are made anew around their rows.

    Then start the job on the directory as before: it goes on where the backup was made. A backup also brings back whom you forgot since:
    forget them again.

    \b
    Example:  onramp restore onramp-backup-20260302T040000Z.tar --into .onramp
              onramp restore s3://company-backups/onramp/onramp-backup-20260302T040000Z.tar --into .onramp
    """
    from cli.support.audit_options import login_name
    from cli.support.backup_display import print_list, print_manifest, shown_manifest, watch_at_terminal
    from cli.support.options import load
    from cli.support.streams import writing
    from flows import backup as job
    from flows.stop import sigterm_interrupts
    from local.audit_log import AuditLog
    from local.backup_file import SignatureCheck
    from local.data_dir import DataDir
    from reports.render import print_json
    from system.wall_clock import wall_clock

    who, watch, stored = login_name(by), watch_at_terminal(), stored_at(backup, "'BACKUP'")
    if stored is not None and stored.is_place:
        raise typer.BadParameter("it names a place in S3, and no backup in it.", param_hint="'BACKUP'")
    secret = load().secret_text()
    signature = SignatureCheck(None if secret is None else secret.encode(), unsigned)
    with writing(into), sigterm_interrupts():
        if stored is None:
            manifest = job.restore(Path(backup), into, watch, signature)
        else:
            manifest = job.restore_from_s3(stored, into, watch, signature)
    AuditLog(DataDir(into).audit, wall_clock).append("restore", by=who, takenAt=manifest["takenAt"], file=backup)
    if as_json:
        print_json({"dataDir": str(into), **shown_manifest(manifest)})
    else:
        size = sum(each["size"] for each in manifest["files"].values())
        print_manifest(f"{into} is the data directory of {manifest['takenAt']}", manifest, size)
        if signature.skipped or signature.secret is None:
            why = "--unsigned." if signature.skipped else "it is not signed."
            print_list("Not checked:", [f"Whether somebody changed the backup: {why}"])
        print_list("Start the job with:", _settings(into, manifest))
        print_list("Not in the backup:", manifest["notIncluded"])


def _settings(into: Path, manifest: dict[str, Any]) -> list[str]:
    from flows.backup import CATALOG, CATALOGS

    found = [f"ONRAMP_DATA_DIR={quote(str(into))}"]
    if "messages" in manifest:
        found.append(f"ONRAMP_EVENT_LOG={quote(str(into / 'log'))}   (or the job's own log, where it is left: it has what came later)")
    there = {each.partition("/")[0] for each in manifest["files"]}
    found += [f"ONRAMP_CATALOG={quote(str(into / name))}   (as it was; or a newer one)" for name in (CATALOG, CATALOGS) if name in there]
    return found
