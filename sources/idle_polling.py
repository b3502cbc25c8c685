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
"""Polls without a pause. The partition that must be read first is nearly always of the same worker, and read between two of them."""
_NONE: Final = timedelta()
_SHORTEST: Final = timedelta(milliseconds=SHORTEST_MS)
_SHARE: Final = 50
"""The pause is a fiftieth of the time since the last message: 2 ms for a tenth of a second, 64 ms from 1.6 seconds on."""


class IdlePolling:
    """Polls one partition. Call ``found`` for each batch, and ``next_awake`` while there is none.

    Pauses end on a common grid, so that all idle partitions of a worker are polled in one go.
    """

    __slots__ = ("_found_at", "_while_idle")

    def __init__(self, while_idle: Callable[[], None]) -> None:
        """``while_idle`` is called at the beginning of each pause (``BatchPolicy``)."""
        self._while_idle = while_idle
        self._found_at = time.monotonic()

    def found(self) -> None:
        """There was a message."""
        self._found_at = time.monotonic()

    @staticmethod
    def next_try(tries: int) -> datetime:
        """Return when to poll again where a message may not be read yet, after so many tries: at once, later after the shortest pause."""
        return datetime.now(UTC) + (_SHORTEST if tries > _AT_ONCE else _NONE)

    def next_awake(self) -> datetime:
        """Begin a pause. Return when to poll again."""
        self._while_idle()
        idle_ms = (time.monotonic() - self._found_at) * 1000
        pause, wanted = SHORTEST_MS if idle_ms < _BUSY_MS else 2 * SHORTEST_MS, idle_ms / _SHARE
        while pause < min(wanted, LONGEST_MS):
            pause *= 2
        return datetime.fromtimestamp((time.time_ns() // 1_000_000 // pause + 1) * pause / 1000, UTC)
