"""Erases lines of a file in place: it writes blanks of the same length, so that the writer's positions in the file stay right."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def blank_lines(path: Path, concerned: Callable[[bytes], bool], left_of: Callable[[bytes], bytes] = lambda _line: b"") -> int:
    """Overwrite every whole line that is ``concerned`` with blanks, durably, and return how many. Nothing where there is no file.

    ``left_of`` returns what stands before the blanks, which is no longer than the line. The writer of the file may append meanwhile.
    Raises ``OSError``.
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
                    left = memoryview(left_of(line).ljust(len(line) - 1))
                    if len(left) >= len(line):
                        raise ValueError("what is left of a line is longer than the line")
                    at = position
                    while left:
                        written = os.pwrite(descriptor, left, at)
                        left, at = left[written:], at + written
                    blanked += 1
                position += len(line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return blanked
