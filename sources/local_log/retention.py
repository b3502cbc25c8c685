"""Deletes the oldest messages of the event log, by age and by size. A job that has not read them refuses to go on (``OffsetGapError``)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sources.errors import LogError
from sources.local_log.store import Store
from sources.log_time import MAX_AHEAD_MS

_LOG = logging.getLogger(__name__)

EVERY_S: Final = 10.0
_ROWS: Final = 200
_BYTES: Final = 16 * 1024 * 1024
"""Rows, and about as many bytes, that one transaction deletes: appends wait for it."""
_PAUSE_S: Final = 0.005
"""Between two of these transactions, so that appends get the lock."""


@dataclass(frozen=True)
class Retention:
    """What to keep: messages younger than ``max_age_ms``, and no more than ``max_bytes`` of file in use. The file itself never shrinks.

    The default keeps a week, as Kafka does, and 10 GiB.
    """

    max_bytes: int = 10 * 1024**3
    max_age_ms: int = 7 * 86_400_000


DEFAULT_RETENTION: Final = Retention()


class RetentionThread:
    """Applies ``policy`` in a daemon thread once in ``every_s``. Holds ``lock`` while it uses ``store``."""

    def __init__(self, store: Store, lock: threading.Lock, policy: Retention, now: Callable[[], int], *, every_s: float = EVERY_S) -> None:
        self._store = store
        self._lock = lock
        self._policy = policy
        self._now = now
        self._every_s = every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="event-log-retention", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Blocks for the transaction that runs now."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        pause = 0.0  # a log that was not written for long may have much to delete
        while not self._ended.wait(pause):
            pause = self._every_s
            try:
                with self._lock:
                    if delete_oldest(self._store, self._policy, self._now()):
                        pause = _PAUSE_S
            except LogError as error:
                _LOG.warning("Old messages cannot be deleted now; trying again. %s", error)


def delete_oldest(store: Store, policy: Retention, now: int) -> bool:
    """Delete some of the oldest messages beyond ``policy``, in one transaction. Return whether it deleted any. Raises ``LogError``."""
    with store.errors_as_sentences():
        oldest = _oldest(store, now)
        if oldest is None or not (_excess(store, policy) > 0 or oldest[0] < now - policy.max_age_ms):
            return False
    with store.transaction() as database:
        oldest = _oldest(store, now)  # another process may have deleted it
        if oldest is None:
            return False
        _, partition = oldest
        rows = database.execute(
            f"SELECT first + count, time, length(messages) FROM p{partition:d} ORDER BY first LIMIT {_ROWS}"  # noqa: S608 - a number
        ).fetchall()
        floor, excess, deleted = None, _excess(store, policy), 0
        for end, time, size in rows:
            if (excess <= 0 and _time(time, now) >= now - policy.max_age_ms) or deleted >= _BYTES:
                break
            floor = end
            excess -= size
            deleted += size
        if floor is None:
            return False
        database.execute(f"DELETE FROM p{partition:d} WHERE first < ?", (floor,))  # noqa: S608 - a number
        database.execute("UPDATE floors SET floor = ? WHERE partition = ?", (floor, partition))
        return True


def _time(time: int, now: int) -> int:
    """The append time, or 0 for one in the future: a clock that was once ahead must not keep a message, and delete others for it."""
    return time if time <= now + MAX_AHEAD_MS else 0


def _oldest(store: Store, now: int) -> tuple[int, int] | None:
    """Return the append time of the oldest message, and its partition; None without one."""
    found: list[tuple[int, int]] = []
    for partition in range(store.identity.partitions):
        row = store.database.execute(f"SELECT time FROM p{partition:d} ORDER BY first LIMIT 1").fetchone()  # noqa: S608 - a number
        if row is not None:
            found.append((_time(row[0], now), partition))
    return min(found, default=None)


def _excess(store: Store, policy: Retention) -> int:
    """Return by how many bytes the file in use is larger than it may be."""
    (pages,) = store.database.execute("PRAGMA page_count").fetchone()
    (free,) = store.database.execute("PRAGMA freelist_count").fetchone()
    (size,) = store.database.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size - policy.max_bytes)
