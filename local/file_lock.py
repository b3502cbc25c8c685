"""A lock on a file that the kernel releases when its holder dies, however it dies: there are no stale locks."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

_PAUSE = 0.02  # between two tries; nobody notices it


class FileLock:
    """An exclusive lock between processes (and between two ``FileLock`` of one process). The file holds a note on who has it."""

    def __init__(self, path: Path) -> None:
        """Touch nothing yet."""
        self._path = path
        self._fd: int | None = None

    @property
    def fd(self) -> int:
        """The open file that carries the lock. A child that inherits it keeps the lock after this process is gone."""
        if self._fd is None:
            raise RuntimeError("the lock is not held")
        return self._fd

    @property
    def is_mine(self) -> bool:
        """Whether this object holds the lock."""
        return self._fd is not None

    def acquire(self, note: str, wait_seconds: float) -> bool:
        """Take the lock and leave ``note`` in the file; block up to ``wait_seconds``. Return whether it was got. Raises ``OSError``."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(fd)
                    return False
                time.sleep(_PAUSE)
            else:
                break
        os.ftruncate(fd, 0)
        os.write(fd, note.encode())
        self._fd = fd
        return True

    def release(self) -> None:
        """Give the lock back; harmless when it is not held. Children that inherited it must be gone by then."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None

    def is_held(self) -> bool:
        """Whether any process has the lock now. Does not block; disturbs a concurrent ``acquire`` for microseconds at most."""
        try:
            fd = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def note(self) -> str:
        """What the holder wrote; empty when there is none."""
        try:
            return self._path.read_text(errors="replace").strip()
        except FileNotFoundError:
            return ""
