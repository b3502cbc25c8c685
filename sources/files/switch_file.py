"""The switches of guidance for runs on files: one event a line, in the order in which operators wrote them.

A file has no live log to write to. So ``onramp guidance`` appends to a file of the data directory, and the next run takes what is new
before it reads on. The snapshot has the number of lines taken, so that a run that was killed takes them at the same place, or not again.
"""

from __future__ import annotations

from pathlib import Path

from sources.files.appended_lines import append_lines, whole_lines


def append_switch(path: Path, value: bytes) -> None:
    """Append one event, durably. Raises ``InputError``."""
    append_lines(path, value + b"\n")


def read_switches(path: Path) -> list[bytes]:
    """Return all whole lines; none where there is no file. Raises ``InputError``."""
    return whole_lines(path)
