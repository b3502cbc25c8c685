"""How many calls may be in flight at once, over all workers and processes: places in a sorted set in Redis, each with the time it expires.

The server's clock rules, so that processes need not agree on the time. A place whose owner was killed frees itself when it expires. While
Redis is away every process keeps to a small limit of its own; places taken so are not counted by anybody else.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from redis.asyncio import Redis
from redis.exceptions import RedisError

from llm.cancellation import cancellation_kept

_log = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.01  # seconds between two tries for a place; doubles, because a call lasts a second or more
_LONGEST_PAUSE: Final = 0.16

TAKE: Final = """
local time = redis.call('TIME')
local now, hold = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + hold, ARGV[1])
redis.call('PEXPIRE', KEYS[1], math.max(hold, redis.call('PTTL', KEYS[1])))
return 1
"""
"""Take the place ARGV[1] among ARGV[2] for ARGV[3] milliseconds: 1, or 0 where all are taken. One key a call."""


class SemaphoreSettings(BaseModel):
    """How many calls at once, and for how long at most."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    places: Annotated[int, Field(ge=1, le=10_000, description="Calls in flight at once, all processes together.")] = 64
    local_places: Annotated[
        int, Field(ge=1, le=10_000, description="Calls in flight at once for each process while Redis is away: fewer, nobody adds them up.")
    ] = 4
    hold_seconds: Annotated[
        float,
        Field(gt=0, le=600, description="Seconds until a place frees itself. Longer than the longest call, or places are given twice."),
    ] = 30.0
    answer_seconds: Annotated[
        float,
        Field(gt=0, le=10, description="Seconds for an answer of Redis: it takes under a millisecond, a failover takes longer than that."),
    ] = 0.25
    away_seconds: Annotated[
        float, Field(gt=0, le=600, description="Seconds without asking Redis after it did not answer, so that not every call waits for it.")
    ] = 2.0


class Lease(msgspec.Struct, frozen=True, gc=False):
    """One place. ``local``: taken from this process's own limit while Redis was away."""

    token: str
    local: bool = False


class Semaphore:
    """Places for calls. Use it from one event loop. ``client`` should not retry by itself; it is not closed here.

    Not fair: who waits tries again at random moments. All who name the same ``name`` share the places and must agree on the settings.
    """

    def __init__(
        self, client: Redis, name: str, settings: SemaphoreSettings | None = None, *, jitter: Callable[[], float] = random.random
    ) -> None:
        self.settings = settings or SemaphoreSettings()
        self.key = f"onramp:{{calls:{name}}}:places"
        self.away = False
        self._client = client
        self._jitter = jitter
        self._take = client.register_script(TAKE)
        self._ask_again_at = 0.0
        self._local: set[str] = set()

    async def acquire(self, deadline: float) -> Lease | None:
        """Take a place, waiting until ``deadline`` (the loop's clock) for one: None where none came free. Tries once in any case.

        Whoever gets one releases it in ``finally``. A cancelled wait leaves nothing behind, or at worst a place that expires.
        """
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE
        while True:
            lease = await self._try(loop.time())
            left = deadline - loop.time()
            if lease is not None or left <= 0:
                return lease
            await asyncio.sleep(min(left, pause * (0.5 + 0.5 * self._jitter())))
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def release(self, lease: Lease) -> None:
        """Give a place back; harmless when it was given back or expired. Never raises: with Redis away the place frees itself."""
        if lease.local:
            self._local.discard(lease.token)
        else:
            await self._remove(lease.token)

    async def in_flight(self) -> int | None:
        """Places taken now, over all processes, for a gauge; None while Redis is away."""
        try:
            with cancellation_kept():
                async with asyncio.timeout(self.settings.answer_seconds):
                    seconds, micros = await self._client.time()
                    return await self._client.zcount(self.key, f"({seconds * 1000 + micros // 1000}", "+inf")
        except (RedisError, OSError, TimeoutError):
            return None

    async def _try(self, now: float) -> Lease | None:
        if self.away and now < self._ask_again_at:
            return self._take_local()
        lease = Lease(secrets.token_hex(8))
        try:
            with cancellation_kept():
                async with asyncio.timeout(self.settings.answer_seconds):
                    hold = round(self.settings.hold_seconds * 1000)
                    taken = await self._take(keys=[self.key], args=[lease.token, self.settings.places, hold])
        except asyncio.CancelledError:
            await self._remove(lease.token)  # the script may have run
            raise
        except (RedisError, OSError, TimeoutError) as error:
            self._ask_again_at = now + self.settings.away_seconds
            if not self.away:
                self.away = True
                places = self.settings.local_places
                _log.warning("Redis is away (%s); this process makes at most %d model calls at once.", type(error).__name__, places)
            return self._take_local()
        if self.away:
            self.away = False
            _log.info("Redis is back; model calls are counted over all processes again.")
        return lease if taken else None

    def _take_local(self) -> Lease | None:
        if len(self._local) >= self.settings.local_places:
            return None
        lease = Lease(secrets.token_hex(8), local=True)
        self._local.add(lease.token)
        return lease

    async def _remove(self, token: str) -> None:
        try:
            with cancellation_kept():
                async with asyncio.timeout(self.settings.answer_seconds):
                    await self._client.zrem(self.key, token)
        except (RedisError, OSError, TimeoutError) as error:
            _log.debug("A place among the model calls was not given back (%s); it frees itself.", type(error).__name__)
