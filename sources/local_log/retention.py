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
from state.duration import DAY

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
    max_age_ms: int = 7 * DAY


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
    oldest_kept = now - policy.max_age_ms
    with store.errors_as_sentences():
        partition = _next_to_delete(store, now, oldest_kept=oldest_kept, too_large=_excess(store, policy) > 0)
        if partition is None:
            return False
    with store.transaction() as database:  # another process may delete at the same time: what to delete is read in here
        rows = database.execute(
            f"SELECT first + count, time, length(messages) FROM p{partition:d} ORDER BY first LIMIT {_ROWS}"  # noqa: S608 - a number
        ).fetchall()
        floor, excess, deleted = None, _excess(store, policy), 0
        for end, time, size in rows:
            ahead = time > now + MAX_AHEAD_MS
            if (ahead and floor is not None) or deleted >= _BYTES:
                break
            known = _time_before(store, partition, now) if ahead else time
            if excess <= 0 and (known is None or known >= oldest_kept):
                break
            floor = end
            excess -= size
            deleted += size
        if floor is None:
            return False
        database.execute(f"DELETE FROM p{partition:d} WHERE first < ?", (floor,))  # noqa: S608 - a number
        database.execute("UPDATE floors SET floor = ? WHERE partition = ?", (floor, partition))
        return True


def _next_to_delete(store: Store, now: int, *, oldest_kept: int, too_large: bool) -> int | None:
    """Return the partition whose oldest message is beyond its age, or, if the log is too large, was appended first of all; else None.

    A message from a clock that was ahead was appended before the next one of its partition with a time that has been. If there is none, age
    does not delete it, and size deletes it first: it costs no message of another partition.
    """
    found: list[tuple[int, int]] = []
    for partition in range(store.identity.partitions):
        row = store.database.execute(f"SELECT time FROM p{partition:d} ORDER BY first LIMIT 1").fetchone()  # noqa: S608 - a number
        if row is None:
            continue
        known = row[0] if row[0] <= now + MAX_AHEAD_MS else _time_before(store, partition, now)
        if too_large or (known is not None and known < oldest_kept):
            found.append((known or 0, partition))
    return min(found)[1] if found else None


def _time_before(store: Store, partition: int, now: int) -> int | None:
    """Return the time of the first message that a clock was not ahead for; None without one."""
    row = store.database.execute(
        f"SELECT time FROM p{partition:d} WHERE time <= ? ORDER BY first LIMIT 1",  # noqa: S608 - a number
        (now + MAX_AHEAD_MS,),
    ).fetchone()
    return None if row is None else int(row[0])


def _excess(store: Store, policy: Retention) -> int:
    """Return by how many bytes the file in use is larger than it may be."""
    (pages,) = store.database.execute("PRAGMA page_count").fetchone()
    (free,) = store.database.execute("PRAGMA freelist_count").fetchone()
    (size,) = store.database.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size - policy.max_bytes)
