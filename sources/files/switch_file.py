"""The switches of guidance for runs on files: one event a line, in the order in which people in charge wrote them.

A file has no live log to write to. So ``onramp guidance`` appends to a file of the data directory, and the next run takes what is new
before it reads on. The snapshot has the number of lines taken, so that a run that was killed takes them at the same place, or not again.
"""

from __future__ import annotations

import os
from pathlib import Path

from sources.errors import InputError


def append_switch(path: Path, value: bytes) -> None:
    """Append one event, durably. Raises ``InputError``."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # by a power cut; it becomes a dead letter
            os.write(descriptor, (b"\n" if torn else b"") + value + b"\n")  # one write, so that two commands do not mix their lines
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error


def read_switches(path: Path) -> list[bytes]:
    """Return all whole lines; none where there is no file. Raises ``InputError``."""
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
