"""Says in one sentence what is wrong with a command line: the value, the option or the command, and which there are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from typer.exceptions import TyperException

from state.value_complaint import complaint


def usage_error(error: TyperException) -> str:
    """Return the sentence for wrong usage, without its full stop."""
    invalid: Any = error.__cause__
    if callable(getattr(invalid, "errors", None)):  # the value of an option, which the library refused in words for programmers
        error.message = complaint(invalid.errors()[0])
    said = error.format_message().rstrip(".")
    command = getattr(getattr(error, "ctx", None), "command", None)
    if hasattr(error, "possibilities"):  # an option that does not exist
        options = sorted({name for each in getattr(command, "params", ()) for name in each.opts if name.startswith("--")} - {"--help"})
        return f"{error.message.rstrip('.')}{_suggestion(error.possibilities or (), options)}"
    if re.fullmatch(r"No such command '.*'", said, re.DOTALL):  # and none is similar, else it is suggested
        return f"{said}{_suggestion((), getattr(command, 'commands', ()))}"
    return said


def _suggestion(similar: Iterable[str], known: Iterable[str]) -> str:
    if close := sorted(similar):
        return f"; did you mean {' or '.join(close)}?"
    return f"; there are {', '.join(known)}"
