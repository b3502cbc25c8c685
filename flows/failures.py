"""Says in sentences why a job or a command has ended: what is known of its exception, its causes included.

The rule: the text of every exception class of this project is a sentence for the user. All other exceptions are unexpected, except
damaged recovery stores, disk faults, errors of the operating system and text that is not Unicode.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Final

from state.plain_text import plain
from state.quantity import count

_ROOMS: Final = frozenset(
    {"cli", "evaluation", "flows", "gateway", "llm", "local", "operators", "reports", "sinks", "sources", "state", "system"}
)
_RECOVERY_FAULTS: Final = frozenset({"InconsistentPartitionsError", "MissingPartitionsError", "NoPartitionsError"})
_DISK_FAULTS: Final = ("disk I/O error", "database or disk is full", "No space left on device", "Disk quota exceeded")
"""Parts of disk errors of the recovery store and the system; the engine passes them on as text."""
_DAMAGE: Final = ("file is not a database", "database disk image is malformed")
"""The same of damaged files of the recovery store."""
_PASSWORD: Final = re.compile(r"(?:(://[^/\s:@]*:)\S*|(://)[^/\s]+)@")
"""Greedy, up to the last @: a password may contain @, / or : that was not escaped. A user without a password may be a token."""
_RESTORE: Final = "restore it, or use another --data-dir."


def debugging() -> bool:
    """Whether the environment asks for the details of failures. A command may fail before it has settings, or because of them."""
    return os.environ.get("ONRAMP_LOG_LEVEL", "").lower() == "debug"


def explain_failure(error: BaseException) -> list[str] | None:
    """Return the sentences for the user; None for an unexpected error."""
    for cause in _causes(error):
        kind = type(cause)
        text = str(cause)
        if faults := getattr(cause, "faults", None):
            what = getattr(cause, "document", "the catalog")
            return [f"{what} has {count(len(faults), 'fault')}:", *map(plain, faults)]
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


def name_of(error: BaseException) -> str:
    """Return the class and the first line of an unexpected error, passwords in addresses masked."""
    return f"{type(error).__name__}: {plain(without_passwords(next(iter(str(error).splitlines()), '')))[:200]}".rstrip(": ")


def without_passwords(text: str) -> str:
    """Return ``text`` with the password in each address masked, or the user where there is no password.

    For everything that a library may have written: it may name the address that it could not reach.
    """
    return _PASSWORD.sub(r"\1\2***@", text)


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
