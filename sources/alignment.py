"""Keeps the partitions of a log in step while they catch up: none is read far ahead of another that has older messages.

The users of a job meet across partitions: a visitor's events are in one, and the sign-in that tells who the visitor was is in another. If
one partition of a backlog were read to its end before the other, a visitor who signed in long ago would get an alarm, and events would come
late. A job that has caught up reads all partitions to their ends, and none waits for another.

A partition is waited for while it has messages in hand, and for ``PATIENCE_S`` while it fetches some: its broker may be down, and the
others go on then. Only the partitions of one process are kept in step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

MOST_AHEAD_MS: Final = 60_000
"""How far a partition may be ahead of another that is behind. Less would make batches smaller where a log is dense."""
BEHIND_MS: Final = 60_000
"""A partition is behind if its next message is older than this. A partition whose writer has a fast clock need not wait for others."""
PATIENCE_S: Final = 2.0
FIRST_PATIENCE_S: Final = 5.0
"""For the first messages, for which the client has to connect."""
NEVER: Final = 1 << 62
"""After every log time."""


class PartitionAlignment:
    """What is known of the next message of each partition of this process. Workers call it for their own partitions, from any thread.

    ``now`` returns wall-clock milliseconds. Without it every partition that has not ended counts as behind, and with ``most_ahead_ms`` 0
    the messages of all partitions come in the order of log time, then partition.
    """

    __slots__ = ("_most_ahead_ms", "_next", "_now", "_unpolled")

    def __init__(self, *, now: Callable[[], int] | None, most_ahead_ms: int = MOST_AHEAD_MS) -> None:
        self._now = now
        self._most_ahead_ms = most_ahead_ms
        self._next: dict[int, tuple[int, float]] = {}
        """Partition → the log time that its next message has at least, and until when it is waited for."""
        self._unpolled: set[int] = set()

    def add(self, partition: int) -> None:
        """The partition was opened, and will be polled."""
        self._unpolled.add(partition)

    def is_first_poll(self, partition: int) -> bool:
        """Whether the partition is polled for the first time, before another one: then nothing is known of that one's messages."""
        if partition not in self._unpolled:
            return False
        self._unpolled.discard(partition)
        return bool(self._unpolled)

    def has_next(self, partition: int, at: int) -> None:
        """The next message of the partition is in hand. It has the log time ``at``."""
        self._next[partition] = at, math.inf

    def fetches(self, partition: int, at: int) -> None:
        """Nothing is in hand, and more may follow, at the log time ``at`` or later."""
        known = self._next.get(partition)
        if known is None:
            self._next[partition] = at, time.monotonic() + FIRST_PATIENCE_S
        elif math.isinf(known[1]):
            self._next[partition] = at, time.monotonic() + PATIENCE_S

    def end(self, partition: int) -> None:
        """The partition was read to its end."""
        self._next[partition] = NEVER, 0.0

    def until(self, partition: int) -> int:
        """Return the log time (ms) before which messages of the partition may be read now."""
        limit, clock = NEVER, time.monotonic()
        behind = NEVER if self._now is None else self._now() - BEHIND_MS
        for other, (at, waits_until) in tuple(self._next.items()):  # a copy, because other threads add partitions
            if other != partition and at < behind and clock < waits_until:
                limit = min(limit, at + self._most_ahead_ms + (other > partition))
        return limit
