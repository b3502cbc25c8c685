"""Keeps the partitions of a log in step while they catch up: none is read far ahead of another that has older messages.

A person's events may be in two partitions: the visitor's in one, and the sign-in, which tells who the visitor was, in another. If one
partition of a backlog were read to its end before the other, a visitor who signed in long ago would get an alarm, and events would come
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
"""For the first poll of a partition, and for its first messages, for which the client has to connect."""
NEVER: Final = 1 << 62
"""After every log time."""


class PartitionAlignment:
    """What is known of the next message of each partition of this process. Workers call it for their own partitions, from any thread.

    ``now`` returns wall-clock milliseconds. Without it every partition that has not ended counts as behind, and with ``most_ahead_ms`` 0
    the messages of all partitions come in the order of log time, then partition.
    """

    __slots__ = ("_changes", "_earliest", "_earliest_until", "_found_at", "_most_ahead_ms", "_next", "_now", "_unpolled", "_unpolled_until")

    def __init__(self, *, now: Callable[[], int] | None, most_ahead_ms: int = MOST_AHEAD_MS) -> None:
        self._now = now
        self._most_ahead_ms = most_ahead_ms
        self._next: dict[int, tuple[int, float]] = {}
        """Partition → the log time that its next message has at least, and until when it is waited for."""
        self._unpolled: set[int] = set()
        self._unpolled_until = math.inf  # when those are not waited for any more; from the next poll of another one on
        self._earliest: list[tuple[int, int]] = []
        """The next log times of the two partitions that come first, with the partitions."""
        self._earliest_until = -math.inf  # when they must be found again, because somebody is not waited for any more
        self._changes, self._found_at = 0, 0

    def add(self, partition: int) -> None:
        """The partition was opened, and will be polled."""
        self._unpolled.add(partition)
        self._unpolled_until = math.inf

    def ticks(self, partition: int, at: int) -> None:
        """The partition emits a tick. If it was not polled for messages yet, the first has the log time ``at``, or a later one."""
        if partition in self._unpolled:
            self.has_next(partition, at)

    def has_next(self, partition: int, at: int) -> None:
        """The next message of the partition is in hand, or will be after the next poll. It has the log time ``at``, or a later one."""
        self._set(partition, (at, math.inf))

    def fetches(self, partition: int, at: int) -> None:
        """Nothing is in hand, and more may follow, at the log time ``at`` or later. It is waited for from the first such call on."""
        known = self._next.get(partition)
        if known is None:
            self._set(partition, (at, time.monotonic() + FIRST_PATIENCE_S))
        elif math.isinf(known[1]):
            self._set(partition, (at, time.monotonic() + PATIENCE_S))

    def end(self, partition: int) -> None:
        """The partition was read to its end, or is closed."""
        self._set(partition, (NEVER, 0.0))

    def limit(self, partition: int) -> int:
        """The partition is polled for messages. Return the log time (ms) before which they may be read now; 0 if none may be read.

        That is so while another partition was not polled yet, of which nothing is known, and while others have messages that come before
        the next one of this partition.
        """
        if self._waits_for_first_poll(partition):
            return 0
        until = self._until(partition)
        at, waits_until = self._next.get(partition, (0, 0.0))
        return 0 if at >= until and math.isinf(waits_until) else until

    def _waits_for_first_poll(self, partition: int) -> bool:
        """Return whether another one was not polled yet. It is waited for for ``FIRST_PATIENCE_S``: it may not come to that."""
        unpolled = self._unpolled
        unpolled.discard(partition)
        if not unpolled:
            return False
        clock = time.monotonic()
        if math.isinf(self._unpolled_until):
            self._unpolled_until = clock + FIRST_PATIENCE_S
        elif clock >= self._unpolled_until:
            unpolled.clear()
        return bool(unpolled)

    def _until(self, partition: int) -> int:
        """Return the log time before which messages of the partition may be read, whatever is in hand."""
        if self._changes != self._found_at or time.monotonic() >= self._earliest_until:
            self._find_earliest()
        for at, other in self._earliest:
            if other != partition:
                is_behind = self._now is None or at < self._now() - BEHIND_MS
                return at + self._most_ahead_ms + (other > partition) if is_behind else NEVER
        return NEVER

    def _set(self, partition: int, known: tuple[int, float]) -> None:
        self._unpolled.discard(partition)
        if self._next.get(partition) != known:
            self._next[partition] = known
            self._changes += 1

    def _find_earliest(self) -> None:
        """Find the two that come first. With many partitions it is asked for far more often than anything changes."""
        self._found_at, clock = self._changes, time.monotonic()  # first: what another thread changes meanwhile is found the next time
        waited_for = [(at, other, waits) for other, (at, waits) in tuple(self._next.items()) if clock < waits]
        self._earliest = [(at, other) for at, other, _ in sorted(waited_for)[:2]]
        self._earliest_until = min((waits for _, _, waits in waited_for), default=math.inf)
