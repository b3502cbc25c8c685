"""A file lock that the kernel releases when its owner ends, even after a kill. There are no stale locks."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from system.try_lock import try_lock

_PAUSE = 0.02  # seconds between two tries


class FileLock:
    """An exclusive lock between processes, and between two ``FileLock`` of one process. The file contains a note on its owner."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet."""
        self._path = path
        self._fd: int | None = None

    @property
    def fd(self) -> int:
        """The open file that has the lock. A child that inherits it keeps the lock after this process has ended."""
        if self._fd is None:
            raise RuntimeError("the lock is not held")
        return self._fd

    @property
    def is_mine(self) -> bool:
        """Whether this object has the lock."""
        return self._fd is not None

    def acquire(self, note: str, wait_seconds: float) -> bool:
        """Acquire the lock and write ``note`` to the file. Blocks up to ``wait_seconds``. Returns whether it did.

        Raises ``OSError`` (disk full); the lock is not held then.
        """
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + wait_seconds
            while not try_lock(fd):
                if time.monotonic() >= deadline:
                    return False
                time.sleep(_PAUSE)
            os.ftruncate(fd, 0)
            os.write(fd, note.encode())
            self._fd = fd
            return True
        finally:
            if self._fd != fd:  # whatever ended this: an open file would keep the lock for as long as the process lives
                os.close(fd)

    def release(self) -> None:
        """Release the lock; harmless if it is not held. Children that inherited it must have ended before."""
        if self._fd is not None:
            try:
                os.ftruncate(self._fd, 0)
            finally:
                self.hand_over()

    def hand_over(self) -> None:
        """Give the lock up to the children that inherited it: it is free when the last of them has ended. Harmless if it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def is_held(self) -> bool:
        """Return whether any process has the lock now. Does not block; delays a concurrent ``acquire`` by microseconds at most."""
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
        """Return the note of the owner; empty if there is none."""
        try:
            return self._path.read_text(errors="replace").strip()
        except FileNotFoundError:
            return ""
