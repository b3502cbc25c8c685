"""Turns whatever ends a command into one sentence on standard error and an exit code (``flows/failures.py``).

The details of an unexpected error go to a file.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from typing import Final

import typer
from typer.exceptions import Abort, TyperException

from cli.streams import ReaderGoneError
from cli.usage_error import usage_error
from flows.failures import debugging, explain_failure, name_of, without_passwords
from state.plain_text import plain

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
    elif debugging():
        traceback.print_exception(error)
    for sentence in sentences:
        say(sentence)
    return 1


def _unexpected(error: BaseException) -> str:
    """Write the details of a bug to a file, and return the sentence that names it."""
    what = name_of(error)
    details = without_passwords("".join(traceback.format_exception(error)))
    try:
        descriptor, path = tempfile.mkstemp(prefix="onramp-", suffix=".log")  # readable for its owner alone
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(details)
    except OSError:
        sys.stderr.write(details)
        return f"this is a bug in onramp ({what}); please report it with the lines above."
    return f"this is a bug in onramp ({what}); please report it with the file {path}."
