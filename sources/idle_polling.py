"""How often an idle partition is polled: often soon after a message, less often later. So a caught-up job costs little."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

SHORTEST_MS: Final = 1
_BUSY_MS: Final = 10
"""For so long after a message the pause is the shortest one, then at least twice that. With 2,000 events/s in six partitions the next
message nearly always comes sooner. With 20 it hardly ever does, and looking so often would cost CPU for nothing."""
LONGEST_MS: Final = 64
"""The longest pause. A message in an idle partition may wait this long, and an epoch may end this much later: Bytewax ends it when all
partitions are awake. ``python -m benchmarks.speed latency`` shows what the shortest pause costs, ``idle`` what the longest does."""
_AT_ONCE: Final = 100
"""Polls without a pause while a message waits for those of another partition. That is nearly always of the same worker, and is read between
two of them."""
_NONE: Final = timedelta()
_SHORTEST: Final = timedelta(milliseconds=SHORTEST_MS)
_SHARE: Final = 50
"""The pause is a fiftieth of the time since the last message: 2 ms for a tenth of a second, 64 ms from 1.6 seconds on."""


class IdlePolling:
    """Says when one partition is polled again. Call ``begin`` at each poll, then what it has found, and then ``next_awake``.

    Pauses end on a common grid, so that all idle partitions of a worker are polled in one go.
    """

    __slots__ = ("_found_at", "_held", "_is_idle", "_tries", "_while_idle")

    def __init__(self, while_idle: Callable[[], None]) -> None:
        """``while_idle`` is called at the beginning of each pause (``BatchPolicy``)."""
        self._while_idle = while_idle
        self._found_at = time.monotonic()
        self._is_idle = False
        self._held = 0  # polls in a row after which a message in hand could not be read
        self._tries = 0  # those before this poll

    def begin(self) -> None:
        """A poll begins. It finds nothing, unless one of the next three says otherwise."""
        self._is_idle, self._tries, self._held = True, self._held, 0

    def found(self) -> None:
        """There was a message."""
        self._is_idle, self._found_at = False, time.monotonic()

    def goes_on(self) -> None:
        """There was no message yet, and more to do."""
        self._is_idle = False

    def waits(self) -> None:
        """There is a message, which may not be read before those of other partitions."""
        self._held = self._tries + 1

    def next_awake(self) -> datetime | None:
        """Return when to poll again, None for at once. Begins a pause if there was nothing."""
        if self._held:
            return datetime.now(UTC) + (_SHORTEST if self._held > _AT_ONCE else _NONE)
        return self._pause() if self._is_idle else None

    def _pause(self) -> datetime:
        self._while_idle()
        idle_ms = (time.monotonic() - self._found_at) * 1000
        pause, wanted = SHORTEST_MS if idle_ms < _BUSY_MS else 2 * SHORTEST_MS, idle_ms / _SHARE
        while pause < min(wanted, LONGEST_MS):
            pause *= 2
        return datetime.fromtimestamp((time.time_ns() // 1_000_000 // pause + 1) * pause / 1000, UTC)
