"""How a fault ends a command: one sentence on standard error and an exit code, no traceback unless it is a fault of ours.

An exception class defined in this project carries a sentence for the user; that is the rule of the house. Whatever else arrives here
was not foreseen, and is shown with its traceback.
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

_ROOMS: Final = frozenset({"flows", "operators", "state", "sinks", "sources", "llm", "evaluation"})
_RECOVERY_FAULTS: Final = frozenset({"InconsistentPartitionsError", "MissingPartitionsError", "NoPartitionsError"})
_DISK_FAULTS: Final = ("disk I/O error", "database or disk is full", "No space left on device")
"""What the recovery store and the system say of a disk; the engine passes it on as text."""
BROKEN_PIPE: Final = 141  # what a shell shows for a program that SIGPIPE ended
INTERRUPTED: Final = 130

Command = TypeVar("Command", bound=Callable[..., Any])


def say(sentence: str, command: str = "onramp") -> None:
    """Print one sentence on standard error."""
    typer.echo(f"{command}: {sentence}", err=True)


def guarded(command: Command) -> Command:
    """Wrap a command so that what it raises ends it as the module says."""

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
        except Exception as error:  # noqa: BLE001 -- the last place that can turn it into a sentence
            _report(error)
            raise typer.Exit(1) from None
        return result

    return run  # type: ignore[return-value]


def _report(error: Exception) -> None:
    sentences = explain_failure(error)
    if sentences is None or os.environ.get("ONRAMP_LOG_LEVEL", "").lower() == "debug":
        traceback.print_exception(error)
    if sentences is None:
        say("this is a fault of onramp itself; please report it with the lines above.")
        return
    for sentence in sentences:
        say(sentence)


def explain_failure(error: BaseException) -> list[str] | None:
    """Return what to tell the person, a sentence each; None for a fault that nobody foresaw."""
    for cause in _causes(error):
        kind = type(cause)
        if faults := getattr(cause, "faults", None):
            return [f"the catalog has {len(faults)} {'fault' if len(faults) == 1 else 'faults'}:", *(plain(fault) for fault in faults)]
        if kind.__module__.partition(".")[0] in _ROOMS:
            return [" ".join(plain(line) for line in str(cause).splitlines())]
        if kind.__name__ in _RECOVERY_FAULTS and kind.__module__.startswith("bytewax"):
            return [f"the recovery store of the data directory is damaged or incomplete ({plain(cause)}); start afresh with --data-dir."]
        if any(sign in str(cause) for sign in _DISK_FAULTS):
            return ["the disk that holds the data directory is full or failing; make room and run the same command again, nothing is lost."]
        if isinstance(cause, OSError) and cause.strerror:
            where = f"{plain(cause.filename)}: " if cause.filename is not None else ""
            return [f"{where}{cause.strerror}."]
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error`` and what caused it. The engine wraps what a step raised in errors of its own."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__
