"""Turns whatever ends a command into one sentence on standard error and an exit code (``flows/failures.py``).

The details of an unexpected error go to a file. What a service says is a line of its log: one JSON object, where the log is JSON.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import traceback
from contextvars import ContextVar
from typing import Final

import typer
from typer.exceptions import Abort, TyperException

from cli.support.streams import ReaderGoneError
from cli.support.usage_error import usage_error
from flows.failures import debugging, explain_failure, name_of, without_passwords
from state.plain_text import plain

WRONG_USAGE: Final = 2
BROKEN_PIPE: Final = 141  # the exit code that a shell shows for a program that SIGPIPE ended
INTERRUPTED: Final = 130


IS_SERVICE: Final = ContextVar("IS_SERVICE", default=False)
"""Whether the command that runs is a service: what it says on standard error is then a log."""


def speaks_json() -> bool:
    """Whether everything that this command says on standard error must be one JSON object a line."""
    if not IS_SERVICE.get():
        return False
    from flows.logs import logs_are_json  # a service has loaded it; other commands need not

    return logs_are_json()


def say(sentence: str, command: str = "onramp", *, level: int = logging.INFO) -> None:
    """Print one sentence on standard error. ``level`` is that of the line in a JSON log."""
    if speaks_json():
        from flows.last_line import say as say_in_log

        say_in_log(sentence, level=level)
    else:
        typer.echo(f"{command}: {sentence}", err=True)


def end(error: BaseException) -> int:
    """Say why ``error`` ended the command, and return the exit code. Takes every exception, also those of the engine's native code."""
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        if isinstance(error.code, str):
            say(plain(error.code), level=logging.CRITICAL)
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, TyperException):
        command = getattr(getattr(error, "ctx", None), "command_path", "onramp")
        say(f"{plain(usage_error(error))} (see `{command} --help`).", command, level=logging.CRITICAL)
        return WRONG_USAGE
    if isinstance(error, ReaderGoneError):
        return BROKEN_PIPE
    if isinstance(error, KeyboardInterrupt | Abort):
        say("interrupted.", level=logging.CRITICAL)
        return INTERRUPTED
    sentences = explain_failure(error)
    if sentences is None:
        sentences = [_unexpected(error)]
    elif debugging():
        _print_details(error)
    for sentence in [" ".join(sentences)] if speaks_json() else sentences:
        say(sentence, level=logging.CRITICAL)
    return 1


def _details(error: BaseException) -> str:
    return without_passwords("".join(traceback.format_exception(error)))


def _print_details(error: BaseException) -> None:
    if speaks_json():
        say(_details(error), level=logging.ERROR)
    else:
        sys.stderr.write(_details(error))


def _unexpected(error: BaseException) -> str:
    """Write the details of a bug to a file, and return the sentence that names it."""
    what = name_of(error)
    try:
        descriptor, path = tempfile.mkstemp(prefix="onramp-", suffix=".log")  # readable for its owner alone
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(_details(error))
    except OSError:
        _print_details(error)
        return f"this is a bug in onramp ({what}); please report it with the lines above."
    return f"this is a bug in onramp ({what}); please report it with the file {path}."
