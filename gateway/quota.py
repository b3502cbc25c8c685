"""How many events a day each tenant may store, counted in Redis for all gateways together.

A request is judged by what this process knows, so that it waits for nothing: the total that Redis told last, and what was counted here
since. Once a second the one is added to the other. So gateways together may exceed a quota by what they take within a second. Without
Redis each goes on from the last total, and adds what it counted meanwhile when Redis is back. A process that is killed loses a second.

What comes from pages is counted once more by itself: anybody has a publishable key, and must leave something of the quota to the servers.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from gateway.errors import RefusedError

FLUSH_SECONDS: Final = 1.0
KEPT_SECONDS: Final = 3 * 86_400
"""For how long a day's count stays in Redis."""
_DAY_MS: Final = 86_400_000
_STOP_SECONDS: Final = 2.0
PAGES_PERCENT: Final = 80
"""The share of a quota that publishable keys and user tokens may use together."""


Part = tuple[str, int, bool]
"""A tenant, a day in UTC, in days since 1970, and whether what comes from pages is meant, or everything."""


class _Count:
    """The events of one part: ``total`` as Redis told it, and ``pending`` ones that it has not yet."""

    __slots__ = ("pending", "told", "total")

    def __init__(self) -> None:
        self.total = 0
        self.pending = 0
        self.told = False


class Quota:
    """Counts events by tenant and day in UTC. For one event loop."""

    def __init__(self, per_day: Callable[[str], int | None], add: Callable[[str, int], Awaitable[int]], clock: Callable[[], int]) -> None:
        """``per_day`` returns the events a day of a tenant, None for no quota: then nothing is counted.

        ``add`` adds to a counter in Redis, and returns what it has then, or raises ``RefusedError``. ``clock`` is in milliseconds.
        """
        self._per_day = per_day
        self._add = add
        self._clock = clock
        self._counts: dict[Part, _Count] = {}
        self._loading: dict[Part, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    def start(self) -> None:
        """Begin to add up, in a task."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Add what is pending, for a moment at most, and stop."""
        self._ended.set()
        if self._task is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._task, _STOP_SECONDS)

    async def check(self, tenant: str, events: int, *, pages: bool = False) -> None:
        """Raise ``RefusedError`` (429) if ``events`` more would exceed the quota, or from ``pages`` their share of it.

        The first call for a tenant and day asks Redis.
        """
        quota = self._per_day(tenant)
        if quota is None:
            return
        day = self._clock() // _DAY_MS
        await self._check((tenant, day, False), events, quota)
        if pages:
            await self._check((tenant, day, True), events, math.ceil(quota * PAGES_PERCENT / 100))

    async def _check(self, key: Part, events: int, most: int) -> None:
        if key not in self._counts:
            await self._load(key)
        count = self._counts[key]
        if count.total + count.pending + events > most:
            raise self._refusal(most, "pages of the tenant" if key[2] else "the tenant")

    def count(self, tenant: str, events: int, *, pages: bool = False) -> tuple[Part, ...]:
        """Count events that are about to be stored. Return what ``take_back`` needs; nothing without a quota, where nothing counts."""
        if self._per_day(tenant) is None:
            return ()
        day = self._clock() // _DAY_MS
        counted: tuple[Part, ...] = ((tenant, day, False), (tenant, day, True)) if pages else ((tenant, day, False),)
        for key in counted:
            self._add_to(key, events)
        return counted

    def take_back(self, counted: tuple[Part, ...], events: int) -> None:
        """Take back events that were not stored after all from the day on which they counted."""
        for key in counted:
            self._add_to(key, -events)

    def _add_to(self, key: Part, events: int) -> None:
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = _Count()
        count.pending += events

    async def flush(self) -> None:
        """Add what is pending to the counters in Redis, and learn the totals. What cannot be added stays pending."""
        today = self._clock() // _DAY_MS
        for key in [key for key, count in self._counts.items() if key[1] < today and not count.pending]:
            del self._counts[key]
        await asyncio.gather(*(self._send(key, count) for key, count in self._counts.items() if count.pending or not count.told))

    async def _run(self) -> None:
        while not self._ended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), FLUSH_SECONDS)
            await self.flush()

    async def _load(self, key: Part) -> None:
        """Ask Redis for the total of a tenant that is new here; once for all requests that come meanwhile."""
        loading = self._loading.get(key)
        if loading is None:
            loading = self._loading[key] = asyncio.create_task(self._send(key, _Count()))
            loading.add_done_callback(lambda _: self._loading.pop(key, None))
        await asyncio.shield(loading)

    async def _send(self, key: Part, count: _Count) -> None:
        sent = count.pending
        try:
            total = await self._add(quota_key(*key), sent)
        except RefusedError:
            pass
        else:
            count.total, count.pending, count.told = total, count.pending - sent, True
        self._counts.setdefault(key, count)

    def _refusal(self, most: int, who: str) -> RefusedError:
        wait = max(1, math.ceil((_DAY_MS - self._clock() % _DAY_MS) / 1000))
        return RefusedError(
            429,
            "quota_exceeded",
            f"{who} may store {most:,} events a day, and these would be more; the next day begins in {wait:,} s",
            headers={"retry-after": str(wait)},
        )


def quota_key(tenant: str, day: int, pages: bool = False) -> str:
    """Key of a tenant's counter for one day, in days since 1970: of everything, or of what comes from ``pages``."""
    return f"onramp:quota:{{{tenant}}}:{day}{':pages' if pages else ''}"
