"""Builds the wording service from the settings: the model's client with its limits, cache, guardrails and review queue."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from pydantic import SecretStr

from flows.catalogs import prompt_directories
from flows.settings import Settings, SettingsError
from llm.answer import Answer
from llm.cache.answer_cache import AnswerCache, CachePolicy
from llm.call_facts import CallCounters
from llm.called_model import CalledModel
from llm.catalog_wording import CatalogWording
from llm.client.model_client import ModelClient, ModelSettings, ProxyError
from llm.client.prices import Prices
from llm.limits.circuit_breaker import Breaker
from llm.limits.daily_budget import Allowance, Budget, BudgetSettings
from llm.limits.rate_limit import RateLimit
from llm.prompts import PromptTemplate, load_prompts
from llm.review_queue import ReviewPolicy, ReviewQueue
from llm.service import WordingService
from operators.async_map import AsyncCalls, AsyncPolicy, Gate, background_loop, run_in_background
from operators.cancel_calls import name
from operators.enrich import Wording, decode, encode
from sinks.otlp.tracer import Tracer
from sinks.redis.async_client import connect_async
from state.catalog.by_tenant import ByTenant, Plans
from state.catalog.plan import Plan
from state.decision.wording_request import WordingRequest

SWITCH_SECONDS: Final = 0.001
"""After which a thread must let another one run. With 50 calls a second other people's guidance took 10 ms (p95) instead of 36 ms with
the usual 5 ms (``python -m benchmarks.model_latency``)."""

_REDIS_SECONDS: Final = 1.0
"""The longest wait for Redis. No person waits for the text, and busy workers delay the loop that reads the answer."""

_FORGET_SECONDS: Final = 5.0
"""The longest wait, at the end of a run, for the removal of deleted people's texts."""

_PATIENCE: Final = 4.0
"""Deadline of a request, as a multiple of the call's own: it also waits for its turn, the rate limit and Redis."""


@dataclass(frozen=True)
class ModelService:
    """The wording service, and what the dataflow needs of it."""

    service: WordingService
    wording: Wording

    @property
    def gate(self) -> Gate:
        """How many decisions wait for a text."""
        return self.wording.calls.gate


def prompts_for(plan: Plan, name: str) -> dict[str, PromptTemplate]:
    """The prompts that a catalog names: from ``prompts/`` beside its file ``name`` or in that directory, else built in.

    Raises ``PromptError``.
    """
    policy = plan.catalog.wording
    versions = [prompt.version for prompt in policy.prompts] if policy is not None else []
    return load_prompts(versions, prompt_directories(name))


@contextmanager
def open_model(
    settings: Settings,
    plans: Plans,
    redis_url: str,
    *,
    stopping: Callable[[], bool],
    live: bool = False,
    at_once: bool = False,
    tracer: Tracer | None = None,
) -> Iterator[ModelService | None]:
    """Yield the model of the settings, which must name one; None where no catalog allows texts by a model. Closes it after the block.

    ``live`` is as in ``WordingService``; ``tracer`` hears of each answer. ``at_once``: simulated time stands still while a call is
    pending, so the answer is taken as soon as it arrives. Opens no connection before the first request. Raises ``PromptError`` and
    ``SettingsError``, a sentence for the user.
    """
    if not any(plan.wording is not None for plan in plans.distinct):
        yield None
        return
    catalogs = plans.map(lambda plan: CatalogWording.of(plan, prompts_for(plan, settings.catalog)))
    try:
        service, close = run_in_background(_service(settings, catalogs, redis_url, live=live, tracer=tracer))
    except ProxyError as error:
        raise SettingsError(str(error)) from None
    policy = AsyncPolicy(
        poll_seconds=0.002 if at_once else 0.03,
        in_flight=settings.llm_in_flight,
        most_pending=settings.llm_most_pending,
        deadline_seconds=settings.llm_timeout_seconds * _PATIENCE,
        drain_seconds=settings.llm_timeout_seconds * _PATIENCE,
    )
    calls = AsyncCalls(service.answer, name, encode, decode, policy, stopping=stopping, on_cancel=service.cancel)
    forgetting: set[Future[None]] = set()

    def forget(tenant: str, user: str) -> None:
        removal = asyncio.run_coroutine_threadsafe(service.forget(tenant, user), background_loop())
        forgetting.add(removal)
        removal.add_done_callback(forgetting.discard)

    # The calls' thread shares the interpreter with the workers, which must get it back sooner than within the usual five milliseconds.
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield ModelService(service, Wording(calls, forget, CallCounters(), service.shared_model_name))
    finally:
        wait(forgetting.copy(), timeout=_FORGET_SECONDS)
        run_in_background(close())


async def _service(
    settings: Settings, catalogs: ByTenant[CatalogWording | None], redis_url: str, *, live: bool, tracer: Tracer | None
) -> tuple[WordingService, Callable[[], Awaitable[None]]]:
    """Build the service on the loop that uses it; second what closes it."""
    client = connect_async(redis_url, _REDIS_SECONDS)
    micros = round(settings.llm_daily_dollars * 1e6)
    share = settings.llm_personal_share
    budget = BudgetSettings(
        shared=Allowance(tokens=settings.llm_daily_tokens, micros=micros),
        personal=Allowance(tokens=round(settings.llm_daily_tokens * share), micros=round(micros * share)),
        alert_share=settings.llm_alert_share,
        answer_seconds=_REDIS_SECONDS,
    )
    service = WordingService(
        catalogs=catalogs,
        model=_first_model(settings),
        shared_model=_shared_model(settings),
        keeps_calls=settings.llm_keep_days > 0,
        budget=Budget(client, budget),
        cache=AnswerCache(client, CachePolicy(wait_seconds=_REDIS_SECONDS)),
        review_queue=ReviewQueue(client, ReviewPolicy(wait_seconds=_REDIS_SECONDS)),
        live=live,
        on_answer=None if tracer is None else partial(_trace, tracer),
    )

    async def close() -> None:
        await service.close()
        await client.aclose()

    return service, close


def _trace(tracer: Tracer, request: WordingRequest, answer: Answer, began: int, ended: int) -> None:
    attributes: dict[str, str | int | float] = {"onramp.source": answer.source, "onramp.prompt": request.prompt}
    if answer.source == "call":
        used = answer.usage
        attributes |= {"llm.model": used.model, "llm.input_tokens": used.input_tokens, "llm.output_tokens": used.output_tokens}
    tracer.asked(request.record, began, ended, attributes, answer.reason)


def _first_model(settings: Settings) -> CalledModel:
    return CalledModel(
        client=ModelClient(model_settings(settings), prices_of(settings)), breaker=Breaker(), rate_limit=_rate_limit(settings)
    )


def _shared_model(settings: Settings) -> CalledModel | None:
    """It has a breaker and a rate limit of its own: a model that fails or is slow must not stop the other."""
    if settings.llm_shared_model is None:
        return None
    names = [("ONRAMP_LLM_MODEL", "ONRAMP_LLM_SHARED_MODEL")]
    if settings.llm_shared_api_key is not None or settings.llm_shared_url is not None:
        names.append(("ONRAMP_LLM_API_KEY", "ONRAMP_LLM_SHARED_API_KEY"))
    return CalledModel(
        client=ModelClient(shared_model_settings(settings), shared_prices_of(settings)),
        breaker=Breaker(),
        rate_limit=_rate_limit(settings),
        what="the model for shared texts",
        setting_names=tuple(names),
    )


def _rate_limit(settings: Settings) -> RateLimit:
    return RateLimit(settings.llm_calls_per_second, max(1.0, settings.llm_calls_per_second))


def prices_of(settings: Settings) -> Prices:
    """What the first model costs."""
    return Prices(input_dollars=settings.llm_input_price, output_dollars=settings.llm_output_price)


def shared_prices_of(settings: Settings) -> Prices:
    """What the model for shared texts costs: as much as the first one, unless it has prices of its own."""
    first, sent, received = prices_of(settings), settings.llm_shared_input_price, settings.llm_shared_output_price
    return Prices(
        input_dollars=first.input_dollars if sent is None else sent,
        output_dollars=first.output_dollars if received is None else received,
    )


def model_settings(settings: Settings) -> ModelSettings:
    """The part of the settings that the client needs. Only where ``llm_url`` is set."""
    assert settings.llm_url is not None
    return ModelSettings(
        base_url=settings.llm_url.get_secret_value(),
        model=settings.llm_model,
        timeout_seconds=settings.llm_timeout_seconds,
        api_key=settings.llm_api_key or SecretStr(""),
        temperature=settings.llm_temperature,
        max_output_tokens=settings.llm_max_output_tokens,
        output_limit_field=settings.llm_output_limit_field,
    )


def shared_model_settings(settings: Settings) -> ModelSettings:
    """Those of the model for shared texts. Only where ``llm_shared_model`` is set. The key of one server is never sent to another one."""
    first = model_settings(settings)
    assert settings.llm_shared_model is not None
    url, key = settings.llm_shared_url, settings.llm_shared_api_key
    return ModelSettings(
        **{
            **first.model_dump(),
            "base_url": first.base_url if url is None else url.get_secret_value(),
            "model": settings.llm_shared_model,
            "api_key": key or (first.api_key if url is None else SecretStr("")),
        }
    )
