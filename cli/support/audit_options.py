"""What commands share that are recorded in the audit log: who gave them, whether they are sure, and the log itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from flows.settings import Settings
    from local.audit_log import AuditLog

ByOption = Annotated[
    str | None, typer.Option("--by", help="Who does it, for the audit log. [default: your login name]", show_default=False)
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


class _NoTerminalError(typer.BadParameter):
    """Wrong usage by what was left out: no value is wrong."""

    def format_message(self) -> str:
        """Return the sentence without the name of an option."""
        return self.message


def login_name(given: str | None = None) -> str:
    """Return ``given``, else the login name. Without a name, or with a blank one, it is wrong usage."""
    import getpass

    if given is not None:
        if not given.strip():
            raise typer.BadParameter("the name is blank; say who does it.", param_hint="'--by'")
        return given
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may know no name for its user
        raise typer.BadParameter("your login name is not known here; say who does it.", param_hint="'--by'") from None


def audit_log(settings: Settings, *, create: bool = True) -> AuditLog:
    """Return the audit log of the data directory, which is created with ``create``. Raises ``DataDirError`` if it cannot be."""
    from local.audit_log import AuditLog
    from local.data_dir import DataDir
    from system.wall_clock import wall_clock

    directory = DataDir.create(settings.data_dir) if create else DataDir(settings.data_dir)
    return AuditLog(directory.audit, wall_clock)


def confirm(question: str, yes: bool) -> None:
    """Ask at a terminal. Raises ``typer.Abort`` for a no. Without a terminal and ``yes`` it is wrong usage."""
    import sys

    if yes:
        return
    if not (sys.stdin is not None and sys.stdin.isatty()):
        raise _NoTerminalError("there is no terminal to confirm it at; give --yes to go on without a question.")
    typer.confirm(question, abort=True, err=True)
