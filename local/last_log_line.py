"""The last line of a process's log, for the sentence that says why it ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

_END: Final = 4096
"""Bytes at the end of the log that are read."""


def last_log_line(log: Path) -> str:
    """Return the last line with text, without a full stop; that it said nothing where there is none, or no log. Never raises.

    Of a line that is a JSON object it returns the ``message``.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _END))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        lines = []
    found = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    return _message_of(found).removeprefix("onramp: ").removesuffix(".")


def _message_of(line: str) -> str:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return line
    return str(said.get("message", line)) if isinstance(said, dict) else line
