"""Requests that are cancelled, services that close and a Redis that goes: nothing stays behind, and what was reserved is charged."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from redis import Redis

from llm.answer import Answer
from llm.cache.answer_cache import CachePolicy
from llm.service import WordingService
from state.decision.wording_request import WordingRequest
from tests.llm.wording_service import GOOD, PATIENT, FewTurns, a_request, model, redis, run, service, spent, tenant, valkey
from tests.support import model_server as scripts
from tests.support.model_server import ModelServer
from tests.support.valkey import Valkey, run_valkey
from tests.support.waiting import let_pass, until

__all__ = ["model", "redis", "tenant", "valkey"]  # fixtures


def test_a_cancelled_request_leaves_nothing_behind(valkey: Valkey, model: ModelServer, tenant: str, redis: Redis) -> None:
    model.script = scripts.hang

    async def test() -> None:
        limit = FewTurns(4)
        async with service(valkey.url, model, rate_limit=limit, patience=60) as made:
            before = asyncio.all_tasks()
            asked = [a_request(tenant, place=number) for number in range(10)]
            requests = in_flight(made, model, *asked)
            await until(lambda: model.in_flight == 4 and limit.turns == -6, "four calls, and six requests that wait for a turn")
            all_ten = spent(redis, tenant)
            billed = [answer.usage for each in asked if (answer := made.cancel(each)) is not None]
            for each in requests:
                each.cancel()
            ended = await asyncio.gather(*requests, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ended)
            await until(lambda: asyncio.all_tasks() <= before, "the end of all tasks")
            assert made.model.breaker.in_flight == 0
            assert len(billed) == 4, "only those that were sent may have been billed"
            assert 0 < spent(redis, tenant) == sum(each.input_tokens + each.output_tokens for each in billed) < all_ten

    run(test)


def in_flight(made: WordingService, model: ModelServer, *requests: WordingRequest) -> list[asyncio.Task[Answer]]:
    return [asyncio.create_task(made.answer(each)) for each in requests]


def test_a_cancelled_request_costs_what_the_budget_reserved(valkey: Valkey, model: ModelServer, tenant: str, redis: Redis) -> None:
    model.script = scripts.hang

    async def test() -> None:
        async with service(valkey.url, model, patience=60) as made:
            assert made.cancel(a_request(tenant)) is None
            (asked,) = in_flight(made, model, a_request(tenant))
            await until(lambda: model.in_flight == 1, "the call")
            await let_pass(0.05, "the call has lasted a while, which its row says")
            found = made.cancel(a_request(tenant))
            asked.cancel()
            await asyncio.wait([asked])
            await until(lambda: not len(made._calls), "the end of the call")
            assert found is not None
            assert (found.source, found.reason, found.usage.attempts) == ("call", "", 1)
            assert found.usage.latency_ms > 0
            assert found.usage.input_tokens + found.usage.output_tokens == spent(redis, tenant) > 400
            assert found.usage.cost_micros == made.model.client.prices.micros(found.usage.input_tokens, found.usage.output_tokens) > 0
            assert made.cancel(a_request(tenant)) is None
            assert len(made._costs) == 0

    run(test)


def test_a_shared_call_is_charged_once_whichever_waiters_leave(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    people = [a_request(tenant, name) for name in ("ann", "ben", "cem")]

    async def test() -> None:
        async with service(valkey.url, model, patience=60) as made:
            gate = threading.Event()
            model.script = scripts.held(gate, scripts.changed(text=GOOD))
            tasks = in_flight(made, model, *people)
            await until(lambda: model.in_flight == 1 and len(made._costs) == 3, "all three to share the call")
            left = made.cancel(people[0])
            tasks[0].cancel()
            gate.set()
            others = await asyncio.gather(*tasks[1:])
            assert left is not None
            assert (left.source, left.usage.cost_micros, left.usage.attempts) == ("coalesced", 0, 0)
            assert sorted(each.source for each in others) == ["call", "coalesced"]
            assert sorted(each.usage.cost_micros > 0 for each in others) == [False, True]

            model.script = scripts.hang
            elsewhere = [a_request(tenant, each.record.user_id, place=1) for each in people]
            tasks = in_flight(made, model, *elsewhere)
            await until(lambda: model.in_flight == 1 and len(made._costs) == 3, "all three to share the call")
            all_left = [made.cancel(each) for each in elsewhere]  # at once, before any of them has ended
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            assert [each.source for each in all_left if each is not None] == ["coalesced", "coalesced", "call"]
            assert len(made._costs) == 0

    run(test)


def test_a_request_that_was_not_sent_costs_nothing_when_it_is_cancelled(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    model.script = scripts.hang

    async def test() -> None:
        async with service(valkey.url, model, rate_limit=FewTurns(1), patience=60) as made:
            tasks = in_flight(made, model, a_request(tenant, place=1))
            await until(lambda: model.in_flight == 1, "the call")
            tasks += in_flight(made, model, a_request(tenant, place=2))
            await until(lambda: len(made._costs) == 2, "a request that waits for its turn")
            assert made.cancel(a_request(tenant, place=2)) is None
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    run(test)


def test_a_call_without_an_answer_in_time_costs_what_the_budget_reserved(
    valkey: Valkey, model: ModelServer, tenant: str, redis: Redis
) -> None:
    model.script = scripts.hang

    async def test() -> None:
        async with service(valkey.url, model, patience=0.3) as made:
            found = await made.answer(a_request(tenant))
            assert (found.reason, found.usage.attempts) == ("timeout", 1)
            assert found.usage.input_tokens + found.usage.output_tokens == spent(redis, tenant) > 400

    run(test)


def test_closing_ends_calls_in_flight_without_an_exception(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    model.script = scripts.hang

    async def test() -> None:
        async with service(valkey.url, model, patience=60) as made:
            under_way = asyncio.create_task(made.answer(a_request(tenant)))
            await until(lambda: model.in_flight == 1, "the call")
            await made.close()
            found = await under_way
            assert (found.reason, found.source, found.usage.attempts) == ("cancelled", "call", 1)

    run(test)


def test_closing_ends_requests_that_have_not_begun_their_call(
    valkey: Valkey, model: ModelServer, tenant: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with service(valkey.url, model) as made:
            early = asyncio.create_task(made.answer(a_request(tenant)))
            await made.close()
            for found in (await early, await made.answer(a_request(tenant))):
                assert (found.reason, found.usage.attempts) == ("cancelled", 0)

    run(test)
    assert not model.requests
    assert not caplog.records


def test_redis_may_go_and_come_back_at_any_time(tmp_path: Path, model: ModelServer) -> None:
    with run_valkey(tmp_path) as server:

        async def test() -> None:
            cache = CachePolicy(pause_seconds=600, local_seconds=60.0, wait_seconds=PATIENT)
            async with service(server.url, model) as made:
                made.cache._policy = cache  # type: ignore[misc]
                made.cache._local.policy = cache
                assert (await made.answer(a_request("t", place=0))).reason == ""
                gate = threading.Event()
                model.script = scripts.held(gate)
                in_flight = asyncio.create_task(made.answer(a_request("t", place=1)))
                await until(lambda: model.in_flight == 1, "the call")
                server.kill()
                gate.set()
                assert (await in_flight).reason in ("", "rejected_by_person"), "what nobody can say was not rejected is not shown"
                assert (await made.answer(a_request("t", place=0))).source == "cache"
                gone = await asyncio.gather(*(made.answer(a_request("t", place=number)) for number in range(2, 12)))
                assert {each.reason for each in gone} == {"budget_unknown"}
                await made.forget("t", "u1")
                server.start()
                made.cache._silent_until = 0.0  # as if the pause had passed
                assert (await made.answer(a_request("t", place=20))).reason == ""

        run(test)
