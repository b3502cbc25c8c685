"""Turns exceptions of a command into one sentence on standard error and an exit code. Only unexpected ones get a traceback.

The rule: the text of every exception class of this project is a sentence for the user. All other exceptions are unexpected, except
damaged recovery stores, disk faults and errors of the operating system.
"""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import typer

from reports.safe_text import plain

_ROOMS: Final = frozenset({"cli", "evaluation", "flows", "llm", "local", "operators", "reports", "sinks", "sources", "state"})
_RECOVERY_FAULTS: Final = frozenset({"InconsistentPartitionsError", "MissingPartitionsError", "NoPartitionsError"})
_DISK_FAULTS: Final = ("disk I/O error", "database or disk is full", "No space left on device")
"""Parts of disk errors of the recovery store and the system; the engine passes them on as text."""
BROKEN_PIPE: Final = 141  # the exit code that a shell shows for a program that SIGPIPE ended
INTERRUPTED: Final = 130

Command = TypeVar("Command", bound=Callable[..., Any])


def say(sentence: str, command: str = "onramp") -> None:
    """Print one sentence on standard error."""
    typer.echo(f"{command}: {sentence}", err=True)


def guarded(command: Command) -> Command:
    """Wrap a command so that its exceptions end it as described in the module docstring."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            result = command(*arguments, **options)
            if sys.stdout is not None:  # a caller may have closed it
                sys.stdout.flush()
        except BrokenPipeError:  # the reader has gone, as in ``onramp report | head``
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(BROKEN_PIPE) from None
        except KeyboardInterrupt:
            say("interrupted.")
            raise typer.Exit(INTERRUPTED) from None
        except (typer.Exit, typer.BadParameter):
            raise
        except Exception as error:  # noqa: BLE001 -- the last place that can turn an exception into a sentence
            _report(error)
            raise typer.Exit(1) from None
        return result

    return run  # type: ignore[return-value]


def _report(error: Exception) -> None:
    sentences = explain_failure(error)
    if sentences is None or os.environ.get("ONRAMP_LOG_LEVEL", "").lower() == "debug":
        traceback.print_exception(error)
    if sentences is None:
        say("this is a bug in onramp; please report it with the lines above.")
        return
    for sentence in sentences:
        say(sentence)


def explain_failure(error: BaseException) -> list[str] | None:
    """Return the sentences for the user; None for an unexpected error."""
    for cause in _causes(error):
        kind = type(cause)
        if faults := getattr(cause, "faults", None):
            return [f"the catalog has {len(faults)} {'fault' if len(faults) == 1 else 'faults'}:", *(plain(fault) for fault in faults)]
        if kind.__module__.partition(".")[0] in _ROOMS:
            return [" ".join(plain(line) for line in str(cause).splitlines())]
        if kind.__name__ in _RECOVERY_FAULTS and kind.__module__.startswith("bytewax"):
            return [f"the recovery store of the data directory is damaged ({plain(cause)}); restore it, or use another --data-dir."]
        if any(sign in str(cause) for sign in _DISK_FAULTS):
            return ["the disk of the data directory is full or failing; free space and run the same command again, nothing is lost."]
        if isinstance(cause, OSError) and cause.strerror:
            where = f"{plain(cause.filename)}: " if cause.filename is not None else ""
            return [f"{where}{cause.strerror}."]
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error`` and its causes. The engine wraps the exceptions of steps in its own."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__
