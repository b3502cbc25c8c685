"""Deletes from a local event log what a gateway would delete by its retention."""

from __future__ import annotations

from pathlib import Path

from sources.local_log.log import EventLog
from sources.local_log.retention import Retention, delete_oldest
from sources.local_log.store import Store

_MOST = 100_000


def delete_old(path: Path, at: int, *, max_age_ms: int = 1) -> None:
    """Delete the messages of the log in ``path`` that are older than ``max_age_ms`` at the time ``at``."""
    store = Store(path, writes=True)
    try:
        assert any(not delete_oldest(store, Retention(max_age_ms=max_age_ms), at) for _ in range(_MOST)), "there is always more to delete"
    finally:
        store.close()


def apply(log: EventLog, policy: Retention, now: int) -> None:
    """Delete from the open ``log`` what ``policy`` does not keep at the time ``now``."""
    for _ in range(1_000):
        if not delete_oldest(log._store, policy, now):
            return
    raise AssertionError("the retention does not come to an end")
