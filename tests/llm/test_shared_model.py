"""A model of its own for shared texts: who is asked what, with which limits, at which price, and under which key texts are cached."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from llm.answer import Answer
from llm.call_facts import call_facts
from llm.called_model import CalledModel
from llm.client.model_client import ModelSettings
from llm.client.prices import Prices
from llm.limits.circuit_breaker import BreakerPolicy
from llm.limits.daily_budget import Scope, budget_keys
from llm.limits.rate_limit import RateLimit
from state.decision.wording_request import cache_key
from state.records.facts import LlmCallFact
from state.times import day_of
from tests.llm.wording_service import GOOD, FewTurns, a_request, called, model, redis, run, service, tenant, valkey
from tests.support import model_server as scripts
from tests.support.model_server import ModelServer
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, until

__all__ = ["model", "redis", "tenant", "valkey"]  # fixtures

NOTE = "E42 the warehouse said no"


@pytest.fixture
def cheap() -> Iterator[ModelServer]:
    with ModelServer(scripts.changed(text=GOOD)) as server:
        yield server


def of(
    cheap: ModelServer,
    breaker: BreakerPolicy | None = None,
    rate_limit: RateLimit | None = None,
    name: str = "small",
    patience: float = PATIENCE,
) -> CalledModel:
    settings = ModelSettings(base_url=cheap.url, model=name, timeout_seconds=patience, max_output_tokens=300)
    made = called(settings, Prices(input_dollars=0.1, output_dollars=0.3), breaker, rate_limit)
    names = (("ONRAMP_LLM_MODEL", "ONRAMP_LLM_SHARED_MODEL"),)
    return replace(made, what="the model for shared texts", setting_names=names)


def test_shared_texts_come_from_it_at_its_price_and_personal_ones_from_the_first(
    valkey: Valkey, model: ModelServer, cheap: ModelServer, tenant: str, redis: Redis
) -> None:
    shared, personal = a_request(tenant, "ann"), a_request(tenant, "ben", NOTE)

    async def test() -> None:
        async with service(valkey.url, model, shared_model=of(cheap), keeps_calls=True) as made:
            day = day_of(int(made.clock() * 1000))
            found = [await made.answer(shared), await made.answer(personal), await made.answer(a_request(tenant, "cem"))]
            assert [(each.reason, each.source, each.usage.model) for each in found] == [
                ("", "call", "small"), ("", "call", "scripted"), ("", "cache", "small"),
            ]  # fmt: skip
            assert [each.exchange.model for each in found if each.exchange is not None] == ["small", "scripted"]
            scopes: tuple[Scope, ...] = ("shared", "personal")
            for answer, scope, (sent, received) in zip(found, scopes, ((0.1, 0.3), (1.0, 2.0)), strict=False):
                used = answer.usage
                cost = Prices(input_dollars=sent, output_dollars=received).micros(used.input_tokens, used.output_tokens)
                assert used.cost_micros == cost > 0
                spent: Any = redis.mget(budget_keys(tenant, scope, day)[:2])
                assert [int(each) for each in spent] == [used.input_tokens + used.output_tokens, cost]
        assert all(each.client._sdk.is_closed() for each in made.models)

    run(test)
    assert ([each.body["model"] for each in cheap.requests], [each.body["model"] for each in model.requests]) == (["small"], ["scripted"])
    assert NOTE not in cheap.requests[0].user


def test_without_it_one_model_words_all_and_texts_keep_their_keys(
    valkey: Valkey, model: ModelServer, cheap: ModelServer, tenant: str
) -> None:
    model.script = scripts.changed(text=GOOD)

    async def test() -> None:
        async with service(valkey.url, model) as made:
            await made.answer(a_request(tenant))
            assert await made.cache.get(tenant, cache_key(a_request(tenant))) is not None
        async with service(valkey.url, model, shared_model=of(cheap)) as made:
            assert (await made.answer(a_request(tenant))).usage.model == "small", "a text of the first model is not served in its place"
        async with service(valkey.url, model, shared_model=of(cheap, name="smaller")) as made:
            assert (await made.answer(a_request(tenant))).usage.model == "smaller"
        async with service(valkey.url, model) as made:
            again = await made.answer(a_request(tenant))
            assert (again.source, again.usage.model) == ("cache", "scripted")

    run(test)
    assert (len(model.requests), len(cheap.requests)) == (1, 2)


def test_the_key_of_a_text_holds_the_model_only_where_it_is_shared() -> None:
    shared, personal = a_request("t"), a_request("t", "u", NOTE)
    keys = {cache_key(shared), cache_key(shared, "small"), cache_key(shared, "smaller")}
    assert len(keys) == 3
    assert cache_key(personal, "small") == cache_key(personal)
    (row,) = (each for each in call_facts(shared, Answer(reason="over_rate", source="call"), "small") if isinstance(each, LlmCallFact))
    assert row.cache_key == cache_key(shared, "small")


def test_a_model_that_fails_or_has_no_turn_does_not_stop_the_other(
    valkey: Valkey, model: ModelServer, cheap: ModelServer, tenant: str, caplog: pytest.LogCaptureFixture
) -> None:
    cheap.script = scripts.error(404)
    policy = BreakerPolicy(failures_in_a_row=2, cooldown_seconds=600, longest_cooldown_seconds=600)

    async def test() -> None:
        async with service(valkey.url, model, shared_model=of(cheap, policy)) as made:
            reasons = [(await made.answer(a_request(tenant, place=place))).reason for place in range(4)]
            assert reasons == ["denied", "denied", "breaker_open", "breaker_open"]
            assert [each.breaker.state for each in made.models] == ["closed", "open"]
            assert (await made.answer(a_request(tenant, "u1", NOTE))).reason == ""
            shown = await made.preview(a_request(tenant))
            assert "check the address and ONRAMP_LLM_SHARED_MODEL" in shown.advice or "check ONRAMP_LLM_SHARED_MODEL" in shown.advice
        model.script = scripts.error(401)
        cheap.script = scripts.changed(text=GOOD)
        async with service(valkey.url, model, shared_model=of(cheap), breaker=policy) as made:
            reasons = [(await made.answer(a_request(tenant, f"p{number}", NOTE))).reason for number in range(3)]
            assert reasons == ["denied", "denied", "breaker_open"]
            assert (await made.answer(a_request(tenant, place=9))).reason == ""
        async with service(valkey.url, model, shared_model=of(cheap, rate_limit=RateLimit(0.001, 1)), rate_limit=FewTurns(100)) as made:
            reasons = [(await made.answer(a_request(tenant, place=place))).reason for place in (20, 21)]
            assert reasons == ["", "over_rate"]
            assert (await made.answer(a_request(tenant, "p9", NOTE))).reason == "denied", "it was asked"

    run(test)
    said = [each.getMessage() for each in caplog.records]
    assert [each for each in said if each.startswith(f"calls of the model for shared texts at {cheap.url}: ")]
    assert [each for each in said if each.startswith("calls of the model for shared texts: breaker open")]


def test_what_a_late_call_may_cost_is_reserved_and_charged_at_its_price(
    valkey: Valkey, model: ModelServer, cheap: ModelServer, tenant: str, redis: Redis
) -> None:
    cheap.script = scripts.hang

    async def test() -> None:
        async with service(valkey.url, model, shared_model=of(cheap, patience=0.3)) as made:
            found = await made.answer(a_request(tenant))
            cost = Prices(input_dollars=0.1, output_dollars=0.3).micros(found.usage.input_tokens, 300)
            assert (found.reason, found.usage.output_tokens, found.usage.cost_micros) == ("timeout", 300, cost)
            spent: Any = redis.mget(budget_keys(tenant, "shared", day_of(int(made.clock() * 1000)))[:2])
            assert [int(each) for each in spent] == [found.usage.input_tokens + 300, cost]
        async with service(valkey.url, model, shared_model=of(cheap, patience=60)) as made:
            waiting = asyncio.create_task(made.answer(a_request(tenant, place=1)))
            await until(lambda: cheap.in_flight == 1, "the call")
            reserved: Any = redis.mget(budget_keys(tenant, "shared", day_of(int(made.clock() * 1000)))[:2])
            assert [int(after) - int(before) for before, after in zip(spent, reserved, strict=True)] == [int(each) for each in spent]
            waiting.cancel()

    run(test)
    assert not model.requests
