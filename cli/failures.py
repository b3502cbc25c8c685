"""Turns whatever ends a command into one sentence on standard error and an exit code. The details of an unexpected error go to a file.

The rule: the text of every exception class of this project is a sentence for the user. All other exceptions are unexpected, except
damaged recovery stores, disk faults, errors of the operating system and text that is not Unicode.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import traceback
from collections.abc import Iterator
from typing import Final

import typer
from typer.exceptions import Abort, TyperException

from cli.streams import ReaderGoneError
from cli.usage_error import usage_error
from reports.safe_text import plain
from state.quantity import count

_ROOMS: Final = frozenset({"cli", "evaluation", "flows", "gateway", "llm", "local", "operators", "reports", "sinks", "sources", "state"})
_RECOVERY_FAULTS: Final = frozenset({"InconsistentPartitionsError", "MissingPartitionsError", "NoPartitionsError"})
_DISK_FAULTS: Final = ("disk I/O error", "database or disk is full", "No space left on device", "Disk quota exceeded")
"""Parts of disk errors of the recovery store and the system; the engine passes them on as text."""
_DAMAGE: Final = ("file is not a database", "database disk image is malformed")
"""The same of damaged files of the recovery store."""
_PASSWORD: Final = re.compile(r"(?<=://)[^/\s@]*@")
WRONG_USAGE: Final = 2
BROKEN_PIPE: Final = 141  # the exit code that a shell shows for a program that SIGPIPE ended
INTERRUPTED: Final = 130


def say(sentence: str, command: str = "onramp") -> None:
    """Print one sentence on standard error."""
    typer.echo(f"{command}: {sentence}", err=True)


def end(error: BaseException) -> int:
    """Say why ``error`` ended the command, and return the exit code. Takes every exception, also those of the engine's native code."""
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        if isinstance(error.code, str):
            say(plain(error.code))
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, TyperException):
        command = getattr(getattr(error, "ctx", None), "command_path", "onramp")
        say(f"{plain(usage_error(error))} (see `{command} --help`).", command)
        return WRONG_USAGE
    if isinstance(error, ReaderGoneError):
        return BROKEN_PIPE
    if isinstance(error, KeyboardInterrupt | Abort):
        say("interrupted.")
        return INTERRUPTED
    sentences = explain_failure(error)
    if sentences is None:
        sentences = [_unexpected(error)]
    elif os.environ.get("ONRAMP_LOG_LEVEL", "").lower() == "debug":
        traceback.print_exception(error)
    for sentence in sentences:
        say(sentence)
    return 1


def explain_failure(error: BaseException) -> list[str] | None:
    """Return the sentences for the user; None for an unexpected error."""
    for cause in _causes(error):
        kind = type(cause)
        text = str(cause)
        if faults := getattr(cause, "faults", None):
            what = getattr(cause, "document", "the catalog")
            return [f"{what} has {count(len(faults), 'fault')}:", *(plain(fault) for fault in faults)]
        if kind.__module__.partition(".")[0] in _ROOMS:
            sentence = " ".join(plain(line) for line in text.splitlines())
            return [sentence if sentence.endswith((".", "!", "?", ")", ":")) else f"{sentence}."]
        if kind.__name__ in _RECOVERY_FAULTS and kind.__module__.startswith("bytewax"):
            return [f"the recovery store of the data directory is damaged ({plain(text or kind.__name__)}); {_RESTORE}"]
        if any(sign in text for sign in _DAMAGE):
            return [f"the recovery store of the data directory is damaged; {_RESTORE}"]
        if any(sign in text for sign in _DISK_FAULTS):
            return ["the disk of the data directory is full or failing; free space and run the same command again, nothing is lost."]
        if isinstance(cause, OSError) and cause.strerror:
            if isinstance(cause, FileNotFoundError) and _has_lost_its_directory():
                return ["the current directory no longer exists; change to another one and run the command again."]
            where = f"{plain(cause.filename)}: " if cause.filename is not None else ""
            return [f"{where}{cause.strerror}."]
        if isinstance(cause, UnicodeEncodeError) and "surrogates" in cause.reason:
            return [f"{plain(cause.object[:100])} is not UTF-8 text; use a name or value that is."]
        if isinstance(cause, ValueError) and text.startswith("embedded null"):
            return ["a name or value on the command line has a null character in it; leave it out."]
        if isinstance(cause, MemoryError):
            return ["the memory is not sufficient; free some, or raise the limit of this process."]
    return None


_RESTORE: Final = "restore it, or use another --data-dir."


def _unexpected(error: BaseException) -> str:
    """Write the details of a bug to a file, and return the sentence that names it."""
    what = f"{type(error).__name__}: {plain(_PASSWORD.sub('***@', next(iter(str(error).splitlines()), '')))[:200]}".rstrip(": ")
    details = _PASSWORD.sub("***@", "".join(traceback.format_exception(error)))
    try:
        descriptor, path = tempfile.mkstemp(prefix="onramp-", suffix=".log")  # readable for its owner alone
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(details)
    except OSError:
        sys.stderr.write(details)
        return f"this is a bug in onramp ({what}); please report it with the lines above."
    return f"this is a bug in onramp ({what}); please report it with the file {path}."


def _has_lost_its_directory() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 -- Path.cwd() is the same call and hides what it is for
    except FileNotFoundError:
        return True
    return False


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error`` and its causes. The engine wraps the exceptions of steps in its own."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__
