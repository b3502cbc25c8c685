"""Asks once for many who want to know at the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

KEPT_SECONDS: Final = 2.0
"""Readiness checks come every few seconds from each balancer, without a key: whoever sends more of them must not load what is behind."""


class RecentAnswer(Generic[T]):
    """What ``ask`` answered, at most ``KEPT_SECONDS`` after it was asked. Use it on one event loop."""

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, T]], clock: Callable[[], float] = time.monotonic) -> None:
        """Ask nothing yet. ``clock`` is in seconds."""
        self._ask = ask
        self._clock = clock
        self._asked: asyncio.Task[T] | None = None
        self._asked_at = 0.0

    async def answer(self) -> T:
        """Return the answer. Never asks twice at once. Raises what ``ask`` raises."""
        if self._asked is None or (self._asked.done() and self._clock() - self._asked_at >= KEPT_SECONDS):
            self._asked_at = self._clock()
            self._asked = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asked)
