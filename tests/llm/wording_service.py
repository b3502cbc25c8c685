"""A wording service with a model on a real socket and a real Valkey, for tests: fixtures to import, and helpers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
import pytest
from redis import Redis

from llm.cache.answer_cache import AnswerCache, CachePolicy
from llm.called_model import CalledModel
from llm.catalog_wording import CatalogWording
from llm.client.model_client import ModelClient, ModelSettings
from llm.client.prices import Prices
from llm.guardrails.input_guardrails import InputGuardrails
from llm.guardrails.output_guardrails import OutputGuardrails
from llm.limits.circuit_breaker import Breaker, BreakerPolicy
from llm.limits.daily_budget import Allowance, Budget, BudgetSettings, budget_keys
from llm.limits.rate_limit import RateLimit
from llm.prompts import BUILT_IN, load_prompts
from llm.review_queue import ReviewPolicy, ReviewQueue
from llm.service import WordingService
from sinks.redis.async_client import connect_async
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.decision.wording_request import WordingRequest
from state.times import day_of
from tests.llm.wording_requests import PLAN, request_for
from tests.support.model_server import ModelServer
from tests.support.valkey_fixtures import redis, valkey
from tests.support.waiting import run_async

__all__ = ["redis", "valkey"]  # fixtures, to import from here with the others

T = TypeVar("T")
GOOD = "Test connection tells you which entry to look at, {firstName}. Then you can {step}."
PROMPTS = load_prompts(["nudge-1"], [BUILT_IN])
PROMPTS |= {f"nudge-1+{place}": PROMPTS["nudge-1"] for place in range(1, 1_000)}
"""The prompt of each place of ``a_request``."""
PATIENT = 10.0  # a busy machine is no reason to fail
WORDING = PLAN.catalog.wording


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:  # one for each test: no test counts what another has left in flight
        yield server


@pytest.fixture
def tenant() -> str:
    return f"t{uuid4().hex[:8]}"


class FewTurns(RateLimit):
    """Gives so many turns at once; the next one comes in an hour."""

    def __init__(self, turns: int) -> None:
        super().__init__(1.0)
        self.turns = turns

    def reserve(self, now: float, longest_wait: float) -> float:
        self.turns -= 1
        return 0.0 if self.turns >= 0 else 3600.0


class NoMoreTurns(RateLimit):
    """Gives so many turns at once, and no other one."""

    def __init__(self, turns: int) -> None:
        super().__init__(1.0)
        self.turns = turns

    def reserve(self, now: float, longest_wait: float) -> float | None:
        if not self.turns:
            return None
        self.turns -= 1
        return 0.0


class Noted(RateLimit):
    """Remembers when the turns are that it gave."""

    def __init__(self, per_second: float) -> None:
        super().__init__(per_second)
        self.turns: list[float] = []

    def reserve(self, now: float, longest_wait: float) -> float | None:
        wait = super().reserve(now, longest_wait)
        if wait is not None:
            self.turns.append(now + wait)
        return wait


class OneInstant(RateLimit):
    """For which no time passes."""

    def reserve(self, now: float, longest_wait: float) -> float | None:
        return super().reserve(0.0, longest_wait)


def called(
    settings: ModelSettings, prices: Prices, breaker: BreakerPolicy | None = None, rate_limit: RateLimit | None = None
) -> CalledModel:
    return CalledModel(
        client=ModelClient(settings, prices, jitter=lambda: 0.0),
        breaker=Breaker(breaker or BreakerPolicy(failures_in_a_row=1000, window_calls=1000)),
        rate_limit=rate_limit or RateLimit(10_000, 10_000),
    )


@asynccontextmanager
async def service(
    url: str,
    model: ModelServer,
    *,
    patience: float = PATIENT,
    breaker: BreakerPolicy | None = None,
    rate_limit: RateLimit | None = None,
    tokens: int = 10**9,
    wait: float = PATIENT,
    guardrails: OutputGuardrails | None = None,
    shared_model: CalledModel | None = None,
    keeps_calls: bool = False,
    plan: Plan = PLAN,
) -> AsyncIterator[WordingService]:
    """``wait`` is the longest wait for Redis, ``patience`` the one for the model."""
    assert WORDING is not None
    client = connect_async(url, wait)
    allowance = Allowance(tokens=tokens, micros=10**9)
    settings = ModelSettings(base_url=model.url, model="scripted", timeout_seconds=patience)
    made = WordingService(
        catalogs=ByTenant(
            CatalogWording(plan, PROMPTS, InputGuardrails(WORDING, plan.catalog.slots), guardrails or OutputGuardrails(plan))
        ),
        model=called(settings, Prices(input_dollars=1.0, output_dollars=2.0), breaker, rate_limit),
        shared_model=shared_model,
        keeps_calls=keeps_calls,
        budget=Budget(client, BudgetSettings(shared=allowance, personal=allowance, answer_seconds=wait)),
        cache=AnswerCache(client, CachePolicy(wait_seconds=wait, local_seconds=0.0)),
        review_queue=ReviewQueue(client, ReviewPolicy(wait_seconds=wait)),
    )
    try:
        yield made
    finally:
        await made.close()
        await client.aclose()


def run(test: Callable[[], Awaitable[T]]) -> T:
    async def main() -> T:
        return await test()

    return run_async(main())


def a_request(tenant: str, user: str = "u1", *notes: str, place: int = 0, of: WordingRequest | None = None) -> WordingRequest:
    """A request of ``user``; requests of another ``place`` share no answer."""
    made = of or request_for()
    record = msgspec.structs.replace(made.record, tenant_id=tenant, user_id=user, decision_id=f"d-{user}-{place}")
    return msgspec.structs.replace(made, record=record, notes=notes, prompt=f"{made.prompt}+{place}" if place else made.prompt)


def spent(redis: Redis, tenant: str, scope: Any = "shared") -> int:
    value: Any = redis.get(budget_keys(tenant, scope, day_of(time.time_ns() // 1_000_000))[0])
    return int(value or 0)
