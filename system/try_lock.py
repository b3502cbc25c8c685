"""The exclusive lock of an open file, without waiting for it."""

from __future__ import annotations

import fcntl


def try_lock(descriptor: int) -> bool:
    """Lock the open file for this process alone. Returns whether it did: not if another one has it locked. Never blocks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
