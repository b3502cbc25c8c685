"""Files of the data directory to which commands append lines, and which a run on files reads."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from sources.errors import InputError


def append_lines(path: Path, lines: bytes) -> None:
    """Append ``lines``, each with its newline, durably, to a file that only its owner may read. They stay together: others wait.

    What a power cut left of a line before stays a line of its own. Raises ``InputError``.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            left = memoryview((b"\n" if torn else b"") + lines)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}; check its rights and the disk, and repeat the command.") from error


def whole_lines(path: Path) -> list[bytes]:
    """Return all lines that have their newline, without it; none where there is no file. Raises ``InputError``."""
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; check its rights and the disk, and repeat the command.") from error
