"""What a request may cost, and how many there may be: breaker, budget and rate."""

from __future__ import annotations

import asyncio
import logging
import re
import time

import pytest
from redis import Redis

from llm.limits.circuit_breaker import BreakerPolicy
from llm.limits.daily_budget import budget_keys
from llm.service import RATE_WAIT_SECONDS
from state.times import day_of
from tests.llm.wording_service import NoMoreTurns, Noted, OneInstant, a_request, model, redis, run, service, spent, tenant, valkey
from tests.support import model_server as scripts
from tests.support.model_server import ModelServer
from tests.support.valkey import Valkey

__all__ = ["model", "redis", "tenant", "valkey"]  # fixtures


def test_the_breaker_opens_and_closes(valkey: Valkey, model: ModelServer, tenant: str, caplog: pytest.LogCaptureFixture) -> None:
    model.script = scripts.error(401)  # not asked again within a call
    policy = BreakerPolicy(failures_in_a_row=3, cooldown_seconds=600, longest_cooldown_seconds=600)

    async def test() -> None:
        async with service(valkey.url, model, breaker=policy) as made:
            down = [(await made.answer(a_request(tenant, place=number))).reason for number in range(20)]
            assert down == ["denied"] * 3 + ["breaker_open"] * 17
            assert len(model.requests) == 3
            model.script = scripts.good()
            made.model.breaker.try_again_at = 0.0  # as if the cool-down had passed
            assert [(await made.answer(a_request(tenant, place=number))).reason for number in range(20)] == [""] * 20
            assert made.model.breaker.state == "closed"

    with caplog.at_level(logging.WARNING):
        run(test)
    said = [record.getMessage() for record in caplog.records if "breaker" in record.getMessage()]
    assert [re.findall(r"breaker (\w+)", each)[0] for each in said] == ["open", "half_open", "closed"]


def test_why_calls_fail_is_logged_once_with_what_to_check(
    valkey: Valkey, model: ModelServer, tenant: str, caplog: pytest.LogCaptureFixture
) -> None:
    model.script = scripts.in_turn(*[scripts.error(401)] * 4, *[scripts.raw(b"<html>It works</html>")] * 6)

    async def test() -> None:
        async with service(valkey.url, model) as made:
            reasons = [(await made.answer(a_request(tenant, "ann", "my import fails", place=number))).reason for number in range(6)]
            assert reasons == ["denied"] * 4 + ["garbled"] * 2

    with caplog.at_level(logging.WARNING):
        run(test)
    said = [record.getMessage() for record in caplog.records if record.name == "llm.client.failure_log"]
    assert len(said) == 2
    assert said[0].startswith(f"calls of the model at {model.url}: the model server does not accept the key: check ONRAMP_LLM_API_KEY (")
    assert "(denied, the server answered 401" in said[0]
    assert "something that is no chat completion: check the address" in said[1]
    assert "my import fails" not in caplog.text
    assert "It works" not in caplog.text


def test_unfit_answers_do_not_open_the_breaker(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    model.script = scripts.no_json

    async def test() -> None:
        async with service(valkey.url, model, breaker=BreakerPolicy(failures_in_a_row=1)) as made:
            assert {(await made.answer(a_request(tenant, place=number))).reason for number in range(10)} == {"not_json"}
            assert made.model.breaker.state == "closed"

    run(test)


def test_when_the_budget_is_used_up_no_call_is_made(valkey: Valkey, model: ModelServer, tenant: str, redis: Redis) -> None:
    async def test() -> None:
        async with service(valkey.url, model, tokens=2_000) as made:
            reasons = [(await made.answer(a_request(tenant, place=number))).reason for number in range(8)]
            asked = reasons.count("")
            assert 0 < asked < 8
            assert reasons == [""] * asked + ["over_budget"] * (8 - asked)
            assert (await made.answer(a_request(tenant, place=0))).source == "cache", "what was paid for goes on"
        assert len(model.requests) == asked
        assert spent(redis, tenant) <= 2_000

    run(test)


def test_who_spent_the_budget_of_the_day_takes_no_turn_of_others(valkey: Valkey, model: ModelServer, tenant: str, redis: Redis) -> None:
    poor, rich = f"{tenant}a", f"{tenant}b"
    redis.set(budget_keys(poor, "shared", day_of(time.time_ns() // 1_000_000))[0], 10_000)
    limit = NoMoreTurns(6)

    async def test() -> None:
        async with service(valkey.url, model, rate_limit=limit, tokens=10_000) as made:
            of_poor = await asyncio.gather(*(made.answer(a_request(poor, place=number)) for number in range(50)))
            assert {each.reason for each in of_poor} == {"over_budget"}
            of_rich = await asyncio.gather(*(made.answer(a_request(rich, place=number)) for number in range(5)))
            assert [each.reason for each in of_rich] == [""] * 5
            own = await made.answer(a_request(poor, "ann", "my import fails"))
            assert own.reason == "", "the budget for personal texts is another one"
        assert limit.turns == 0

    run(test)
    assert len(model.requests) == 6


def test_a_call_without_a_turn_gives_its_budget_back(valkey: Valkey, model: ModelServer, tenant: str, redis: Redis) -> None:
    async def test() -> None:
        async with service(valkey.url, model, rate_limit=NoMoreTurns(0)) as made:
            found = await asyncio.gather(*(made.answer(a_request(tenant, place=number)) for number in range(5)))
            assert [each.reason for each in found] == ["over_rate"] * 5
            assert spent(redis, tenant) == 0

    run(test)
    assert not model.requests


def test_calls_that_failed_cost_nothing_but_those_that_may_have_been_billed(
    valkey: Valkey, model: ModelServer, tenant: str, redis: Redis
) -> None:
    async def test() -> None:
        model.script = scripts.error(401)
        async with service(valkey.url, model) as made:
            await made.answer(a_request(tenant, place=1))
            assert spent(redis, tenant) == 0
        model.script = scripts.hang
        async with service(valkey.url, model, patience=0.3) as made:
            await made.answer(a_request(tenant, place=2))
            assert spent(redis, tenant) > 400

    run(test)


def test_a_burst_waits_for_the_rate_in_turn(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    limit = Noted(2)

    async def test() -> None:
        async with service(valkey.url, model, rate_limit=limit) as made:
            found = await asyncio.gather(*(made.answer(a_request(tenant, place=number)) for number in range(4)))
            assert [each.reason for each in found] == [""] * 4

    run(test)
    assert len(limit.turns) == len(model.requests) == 4
    assert all(request.arrived >= turn for request, turn in zip(model.requests, limit.turns, strict=True)), "no call before its turn"


def test_calls_that_would_wait_too_long_for_the_rate_fail(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    async def test() -> None:
        async with service(valkey.url, model, rate_limit=OneInstant(4)) as made:
            found = await asyncio.gather(*(made.answer(a_request(tenant, place=number)) for number in range(60)))
        assert len(model.requests) == 1 + 4 * RATE_WAIT_SECONDS, "one at once, and all whose turn comes within the longest wait"
        assert sum(each.reason == "over_rate" for each in found) == 60 - len(model.requests)

    run(test)
