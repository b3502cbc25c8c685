"""Limits what a tenant spends on the model in a day, in tokens and in money, over all processes. The counters are in Redis.

A call reserves its estimated cost before it is sent, and settles the real cost afterwards. A tenant has two budgets: ``shared`` for texts
that serve everybody in the same place, ``personal`` for texts that serve one person and cannot be cached for others. While Redis does not
answer, no call is made. The reservation of a killed process stays spent for the day, because its call may have been sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisError

from llm.client.failures import ModelFailure

_log = logging.getLogger(__name__)

Scope = Literal["shared", "personal"]

_KEPT_SECONDS: Final = 3 * 86_400  # a day is over at different times for different clocks, and people ask about yesterday

RESERVE: Final = """
local tokens = tonumber(redis.call('GET', KEYS[1]) or 0) + ARGV[1]
local micros = tonumber(redis.call('GET', KEYS[2]) or 0) + ARGV[2]
if tokens > tonumber(ARGV[3]) or micros > tonumber(ARGV[4]) then return {0, tokens, micros, 0} end
redis.call('INCRBY', KEYS[1], ARGV[1])
redis.call('INCRBY', KEYS[2], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[6])
redis.call('EXPIRE', KEYS[2], ARGV[6])
local alert = 0
if (tokens > 0 and tokens >= ARGV[3] * ARGV[5]) or (micros > 0 and micros >= ARGV[4] * ARGV[5]) then
  if redis.call('SET', KEYS[3], 1, 'NX', 'EX', ARGV[6]) then alert = 1 end
end
return {1, tokens, micros, alert}
"""
"""Add ARGV[1] tokens and ARGV[2] micros unless that exceeds ARGV[3] or ARGV[4]; say whether the share ARGV[5] is passed for the first time.

Keys: tokens, micros, alerted. ARGV[6]: seconds to keep them.
"""

SETTLE: Final = """
local function correct(key, reserved, spent)
  -- a counter that is gone (a server without its data) no longer holds the reservation
  local change = spent
  if redis.call('EXISTS', key) == 1 then change = spent - reserved end
  local now = redis.call('INCRBY', key, string.format('%.0f', change))
  if now < 0 then now = 0 redis.call('SET', key, 0) end
  redis.call('EXPIRE', key, ARGV[8])
  return now
end
local tokens = correct(KEYS[1], ARGV[1], ARGV[3])
local micros = correct(KEYS[2], ARGV[2], ARGV[4])
local alert = 0
if (tokens > 0 and tokens >= ARGV[5] * ARGV[7]) or (micros > 0 and micros >= ARGV[6] * ARGV[7]) then
  if redis.call('SET', KEYS[3], 1, 'NX', 'EX', ARGV[8]) then alert = 1 end
end
return {tokens, micros, alert}
"""
"""Replace a reservation (ARGV[1], ARGV[2]) by what was spent (ARGV[3], ARGV[4]); limits, share and seconds as above."""


@contextmanager
def cancellation_kept() -> Iterator[None]:
    """Raise ``CancelledError`` at the end of the block where the task was cancelled inside and the block swallowed it.

    redis-py waits with ``asyncio.wait_for``, which in Python 3.11 drops a cancellation that meets a result.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    yield
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError


class Allowance(BaseModel):
    """One budget for a day. 0 of either allows no call, whatever it costs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: Annotated[int, Field(ge=0, le=10**12, description="Tokens a day, sent and received.")]
    micros: Annotated[int, Field(ge=0, le=10**12, description="Millionths of a dollar a day.")]


class BudgetSettings(BaseModel):
    """What each tenant may spend a day, and when a warning is logged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shared: Annotated[Allowance, Field(description="For texts that serve everybody; the cache keeps their calls few.")] = Allowance(
        tokens=5_000_000, micros=5_000_000
    )
    personal: Annotated[
        Allowance, Field(description="For texts that serve one user. No cache reduces them, so they have their own budget.")
    ] = Allowance(tokens=2_000_000, micros=2_000_000)
    alert_share: Annotated[
        float, Field(gt=0, le=1, description="Share of a budget at which a warning is logged, before it is used up.")
    ] = 0.8
    answer_seconds: Annotated[
        float, Field(gt=0, le=10, description="Seconds for an answer of Redis; the call to the model waits for it.")
    ] = 0.5


class Reservation(msgspec.Struct, frozen=True, gc=False):
    """The estimated cost of one call. ``alert`` is a sentence to log where this call passed the alert share, else empty."""

    tenant: str
    scope: Scope
    day: str
    tokens: int
    micros: int
    alert: str = ""


def budget_keys(tenant: str, scope: Scope, day: str) -> list[str]:
    """Keys of a budget: tokens, micros, alerted. The braces are a Redis Cluster hash tag: one tenant's keys share a slot."""
    return [f"onramp:{{{tenant}}}:budget:{scope}:{day}:{kind}" for kind in ("tokens", "micros", "alerted")]


class Budget:
    """The budgets of all tenants, for one event loop. ``client`` must not retry, because it could reserve twice; it is not closed here."""

    def __init__(self, client: Redis | RedisCluster, settings: BudgetSettings | None = None) -> None:
        self.settings = settings or BudgetSettings()
        self.away = False
        self._used: dict[tuple[str, Scope], tuple[str, float]] = {}
        self._reserve = client.register_script(RESERVE)
        self._settle = client.register_script(SETTLE)

    async def reserve(self, tenant: str, scope: Scope, *, tokens: int, micros: int, day: str) -> Reservation | ModelFailure:
        """Reserve the estimated cost of a call; or return (not raise) ``over_budget``, or ``budget_unknown`` while Redis does not answer.

        Settle every reservation in ``finally``, at its own figures where the real cost is unknown. A wait that is cancelled may leave the
        cost reserved. Raises ``ValueError`` below 0.
        """
        if tokens < 0 or micros < 0:
            raise ValueError("tokens and micros to reserve must be 0 or more")
        allowance = self._allowance(scope)
        if not (allowance.tokens and allowance.micros):  # also a call that costs nothing, as where no prices are set
            self._note(tenant, scope, day, 0, 0)
            return ModelFailure("over_budget", f"the {scope} budget allows no call")
        args = [tokens, micros, allowance.tokens, allowance.micros, self.settings.alert_share, _KEPT_SECONDS]
        try:
            with cancellation_kept():
                async with asyncio.timeout(self.settings.answer_seconds):
                    fits, all_tokens, all_micros, alert = await self._reserve(keys=budget_keys(tenant, scope, day), args=args)
        except (RedisError, OSError) as error:
            self._gone(error)
            return ModelFailure("budget_unknown", f"Redis did not say what is left of the {scope} budget ({type(error).__name__})")
        self._back()
        self._note(tenant, scope, day, all_tokens, all_micros)
        if not fits:
            return ModelFailure("over_budget", f"the {scope} budget of {day} does not hold another call")
        sentence = self._alert(tenant, scope, day, all_tokens, all_micros) if alert else ""
        return Reservation(tenant, scope, day, tokens, micros, sentence)

    async def settle(self, reservation: Reservation, *, tokens: int, micros: int) -> str:
        """Replace a reservation by the real cost, 0 where no call was made; once for each. Counts on the day of the reservation.

        Returns the sentence to log, usually empty. Never raises: where Redis does not answer, the estimate stays spent.
        """
        scope, day = reservation.scope, reservation.day
        allowance = self._allowance(scope)
        spent = [reservation.tokens, reservation.micros, max(0, tokens), max(0, micros)]
        args = [*spent, allowance.tokens, allowance.micros, self.settings.alert_share, _KEPT_SECONDS]
        try:
            with cancellation_kept():
                async with asyncio.timeout(self.settings.answer_seconds):
                    all_tokens, all_micros, alert = await self._settle(keys=budget_keys(reservation.tenant, scope, day), args=args)
        except (RedisError, OSError) as error:
            self._gone(error)
            return ""
        self._back()
        self._note(reservation.tenant, scope, day, all_tokens, all_micros)
        return self._alert(reservation.tenant, scope, day, all_tokens, all_micros) if alert else ""

    def used(self, day: str) -> dict[Scope, float]:
        """For each budget: the share of ``day`` that is used, of the tenant that used most, as this process saw it. From any thread."""
        found: dict[Scope, float] = {"shared": 0.0, "personal": 0.0}
        for (_, scope), (seen, share) in tuple(self._used.items()):
            if seen == day:
                found[scope] = max(found[scope], share)
        return found

    def _note(self, tenant: str, scope: Scope, day: str, tokens: int, micros: int) -> None:
        allowance = self._allowance(scope)
        shares = (spent / limit if limit else 1.0 for spent, limit in ((tokens, allowance.tokens), (micros, allowance.micros)))
        self._used[tenant, scope] = (day, min(1.0, max(shares)))  # what was refused would be above it

    def _allowance(self, scope: Scope) -> Allowance:
        return self.settings.personal if scope == "personal" else self.settings.shared

    def _alert(self, tenant: str, scope: Scope, day: str, tokens: int, micros: int) -> str:
        allowance = self._allowance(scope)
        return (
            f"Tenant {tenant} has used {tokens} of {allowance.tokens} tokens and ${micros / 1e6:.2f} of ${allowance.micros / 1e6:.2f} "
            f"of its {scope} model budget for {day}; when it is used up, templates stay."
        )

    def _gone(self, error: Exception) -> None:
        if not self.away:
            self.away = True
            _log.warning("Redis does not answer for the model budgets (%s); no call is made until it does.", type(error).__name__)

    def _back(self) -> None:
        if self.away:
            self.away = False
            _log.info("Redis answers for the model budgets again.")
