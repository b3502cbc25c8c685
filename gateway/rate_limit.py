"""Limits what each key sends: a token bucket a key, in this process."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_MOST_BUCKETS: Final = 100_000
"""Buckets in memory: the oldest is forgotten, and would be nearly full again."""


class RateLimiter:
    """Allows ``per_second`` events on average, and ``burst`` at once, for each key."""

    def __init__(self, *, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with full buckets. ``clock`` is in seconds; one that is set back only refills nothing meanwhile."""
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, events: int) -> int:
        """Take ``events`` from the bucket of ``key``. Returns 0, or the seconds to wait where there are too few; then nothing is taken.

        A batch larger than the bucket is allowed when the bucket is full, and leaves a debt.
        """
        now = self._clock()
        level, since = self._buckets.pop(key, (self._burst, now))
        if now > since:
            level += (now - since) * self._per_second
            level = min(level, self._burst)
        allowed = level >= events or level >= self._burst
        self._buckets[key] = (level - events if allowed else level, now)
        if len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)
        if allowed:
            return 0
        return max(1, math.ceil((min(events, self._burst) - level) / self._per_second))
