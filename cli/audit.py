"""``onramp audit``."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.support.options import DataDirOption, JsonOption

_LimitOption = Annotated[int, typer.Option("--limit", min=1, help="Show this many of the newest entries.")]
_ActionOption = Annotated[str | None, typer.Option("--action", help="Only this action, like guidance.pause.", show_default=False)]


def audit(action: _ActionOption = None, limit: _LimitOption = 50, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Show who did what: erased or exported users, replayed messages, paused guidance, reviewed texts, made or revoked keys.

    The newest entry is last. Users are named by a hash. Exits with 1 if a line of the log was changed or removed.

    \b
    Example:  onramp audit
              onramp audit --action forget --json
    """
    import json

    from cli.support.audit_options import audit_log
    from cli.support.failures import say
    from cli.support.live_job import settings_of_job
    from cli.support.options import load
    from reports.render import out, print_json, table
    from reports.values import shown_moment

    log = audit_log(settings_of_job(load(data_dir=data_dir)), create=False)
    faults = log.faults()
    entries = [entry for entry in log.entries() if action is None or entry["action"] == action][-limit:]
    if as_json:
        print_json({"entries": [{name: value for name, value in entry.items() if name != "link"} for entry in entries], "faults": faults})
    else:
        rows = [
            (
                shown_moment(str(entry.get("at", ""))),
                str(entry.get("by", "")),
                entry["action"],
                str(entry.get("outcome", "")),
                ", ".join(
                    f"{name} {value if isinstance(value, str) else json.dumps(value)}"
                    for name, value in entry.items()
                    if name not in {"at", "by", "action", "outcome", "link"} and value not in ("", None)
                ),
            )
            for entry in entries
        ]
        out().print(table(("at", "by", "action", "outcome", "~what"), rows))
    for fault in faults:
        say(f"the audit log is damaged: {fault}.")
    if faults:
        raise typer.Exit(1)
