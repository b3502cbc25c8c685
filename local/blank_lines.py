"""Erases lines of a file in place: it writes blanks of the same length, so that the writer's positions in the file stay right."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def blank_lines(path: Path, concerned: Callable[[bytes], bool]) -> int:
    """Overwrite every whole line that is ``concerned`` with blanks, durably, and return how many. Nothing where there is no file.

    The writer of the file may append meanwhile. Raises ``OSError``.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return 0
    blanked = 0
    try:
        position = 0
        with os.fdopen(os.dup(descriptor), "rb") as file:
            for line in file:
                if line.endswith(b"\n") and not line.isspace() and concerned(line):
                    blanks = memoryview(b" " * (len(line) - 1))
                    at = position
                    while blanks:
                        written = os.pwrite(descriptor, blanks, at)
                        blanks, at = blanks[written:], at + written
                    blanked += 1
                position += len(line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return blanked
