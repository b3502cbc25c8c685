"""Opens what words guidance: the model's client with its limits, cache, checks and queue, where the settings name a server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from flows.catalogs import BUILT_IN
from flows.settings import Settings
from llm.answer import Answer
from llm.breaker import Breaker
from llm.budget import Allowance, Budget, BudgetSettings
from llm.cache import AnswerCache, CachePolicy, connect
from llm.client import ModelClient, ModelSettings
from llm.guardrails import Guardrails
from llm.intake import Intake
from llm.prices import Prices
from llm.prompts import PromptTemplate, load_prompts
from llm.rate import TokenBucket
from llm.review import ReviewPolicy, ReviewQueue
from llm.semaphore import Semaphore, SemaphoreSettings
from llm.service import Parts, Wordsmith
from operators.async_map import AsyncCalls, AsyncPolicy, Gate, background_loop, run_in_background
from operators.enrich import Desk, decode, encode, name
from state.catalog.plan import Plan
from state.decision.wording_request import Wish

SWITCH_SECONDS: Final = 0.001
"""After which a thread must let another one go on. With 50 calls a second other people's guidance took 10 ms (p95) instead of 36 ms with
the usual 5 ms (``python -m benchmarks.model_latency``)."""

_REDIS_SECONDS: Final = 1.0
"""Longest wait for Redis: nobody waits for the text, and beside workers that compute the answer of Redis is not looked at at once."""

_HOLD_SECONDS: Final = 5.0
"""By so much longer than a call its place is held."""

_FORGET_SECONDS: Final = 5.0
"""The longest wait, at the end of a run, for texts of deleted people to be gone."""

_PATIENCE: Final = 4.0
"""Deadlines of a call, as a multiple of the model's own: turns, rate and a place are waited for as well."""


@dataclass(frozen=True)
class ModelService:
    """A desk with who sits at it."""

    desk: Desk
    wordsmith: Wordsmith
    cache: AnswerCache

    @property
    def gate(self) -> Gate:
        """How many decisions wait for a text."""
        return self.desk.calls.gate


def prompts_for(plan: Plan, catalog: str) -> dict[str, PromptTemplate]:
    """The prompts that the catalog names: from ``prompts/`` beside it, else built in. Raises ``PromptError``."""
    policy = plan.catalog.wording
    versions = [prompt.version for prompt in policy.prompts] if policy is not None else []
    return load_prompts(versions, [Path(catalog).parent / "prompts", BUILT_IN / "prompts"])


@contextmanager
def open_model(
    settings: Settings, plan: Plan, redis_url: str, *, stopping: Callable[[], bool], at_once: bool = False
) -> Iterator[ModelService | None]:
    """Yield the model of the settings, None where there is none or the catalog lets it word nothing; close it at the end of the block.

    ``at_once``: somebody waits for each answer. Connects to nothing before the first wish. Raises ``PromptError``, a sentence for the user.
    """
    if settings.llm_url is None or plan.wording is None:
        yield None
        return
    prompts = prompts_for(plan, settings.catalog)
    wordsmith, cache, close = run_in_background(_make(settings, plan, redis_url, prompts))
    policy = AsyncPolicy(
        poll_seconds=0.002 if at_once else 0.03,
        in_flight=settings.llm_in_flight,
        most_pending=settings.llm_most_pending,
        deadline_seconds=settings.llm_timeout_seconds * _PATIENCE,
        drain_seconds=settings.llm_timeout_seconds * _PATIENCE,
    )
    calls: AsyncCalls[Wish, Answer] = AsyncCalls(wordsmith.answer, name, encode, decode, policy, stopping, wordsmith.give_up)

    forgetting: set[Future[None]] = set()

    def forget(tenant: str, user: str) -> None:
        under_way = asyncio.run_coroutine_threadsafe(wordsmith.forget(tenant, user), background_loop())
        forgetting.add(under_way)
        under_way.add_done_callback(forgetting.discard)

    # The calls' thread shares the interpreter with the workers; they shall get it back sooner than within the usual five milliseconds.
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield ModelService(Desk(calls, forget), wordsmith, cache)
    finally:
        wait(forgetting.copy(), timeout=_FORGET_SECONDS)
        run_in_background(close())


async def _make(settings: Settings, plan: Plan, redis_url: str, prompts: dict[str, PromptTemplate]):  # type: ignore[no-untyped-def]
    """On the loop, where everything of it is used."""
    assert settings.llm_url is not None
    assert plan.wording is not None
    client = connect(redis_url, _REDIS_SECONDS)
    cache = AnswerCache(client, CachePolicy(wait_seconds=_REDIS_SECONDS))
    micros = round(settings.llm_daily_dollars * 1e6)
    share = settings.llm_personal_share
    budget = BudgetSettings(
        shared=Allowance(tokens=settings.llm_daily_tokens, micros=micros),
        personal=Allowance(tokens=round(settings.llm_daily_tokens * share), micros=round(micros * share)),
        alert_share=settings.llm_alert_share,
        answer_seconds=_REDIS_SECONDS,
    )
    wordsmith = Wordsmith(
        Parts(
            plan=plan,
            prompts=prompts,
            intake=Intake(plan.wording, plan.catalog.slots),
            guardrails=Guardrails(plan, prompts),
            client=ModelClient(model_settings(settings)),
            breaker=Breaker(),
            bucket=TokenBucket(settings.llm_calls_per_second, max(1.0, settings.llm_calls_per_second)),
            places=Semaphore(client, settings.llm_model, _places(settings)),
            budget=Budget(client, budget),
            prices=Prices(input_dollars=settings.llm_input_price, output_dollars=settings.llm_output_price),
            cache=cache,
            review=ReviewQueue(client, ReviewPolicy(wait_seconds=_REDIS_SECONDS)),
        )
    )

    async def close() -> None:
        await wordsmith.close()
        await client.aclose()

    return wordsmith, cache, close


def _places(settings: Settings) -> SemaphoreSettings:
    """A place is held for longer than the longest call, or it would be given twice."""
    hold = settings.llm_timeout_seconds + _HOLD_SECONDS
    return SemaphoreSettings(places=settings.llm_in_flight, hold_seconds=hold, answer_seconds=_REDIS_SECONDS)


def model_settings(settings: Settings) -> ModelSettings:
    """The part of the settings that the client needs. Only where ``llm_url`` is set."""
    assert settings.llm_url is not None
    return ModelSettings(
        base_url=settings.llm_url.get_secret_value(),
        model=settings.llm_model,
        timeout_seconds=settings.llm_timeout_seconds,
        api_key=settings.llm_api_key or SecretStr(""),
    )
