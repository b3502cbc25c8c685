"""The tenants' purses, on a real server."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llm.client.failures import ModelFailure
from llm.client.prices import Prices, estimate_tokens
from llm.limits.daily_budget import Allowance, Budget, BudgetSettings, Reservation, budget_keys
from tests.support.valkey import Valkey, run_valkey
from tests.support.valkey_fixtures import valkey
from tests.support.waiting import run_async

__all__ = ["valkey"]  # fixtures

SETTINGS = BudgetSettings(
    shared=Allowance(tokens=1_000, micros=10_000), personal=Allowance(tokens=100, micros=500), alert_share=0.8, answer_seconds=10
)
DAY = "2026-03-01"


def client(valkey: Valkey) -> Redis:
    return Redis.from_url(valkey.url, retry=None, socket_timeout=10, decode_responses=True)


def granted(answer: Reservation | ModelFailure) -> Reservation:
    assert isinstance(answer, Reservation), answer
    return answer


def reason(answer: Reservation | ModelFailure) -> str:
    return answer.reason if isinstance(answer, ModelFailure) else ""


def test_what_is_reserved_counts_at_once_and_what_was_not_spent_comes_back(valkey: Valkey) -> None:
    async def scenario() -> None:
        async with client(valkey) as redis:
            budget = Budget(redis, SETTINGS)
            first = granted(await budget.reserve("settled", "shared", tokens=600, micros=1_000, day=DAY))
            assert reason(await budget.reserve("settled", "shared", tokens=600, micros=1_000, day=DAY)) == "over_budget"
            await budget.settle(first, tokens=100, micros=200)
            granted(await budget.reserve("settled", "shared", tokens=900, micros=1_000, day=DAY))
            assert await redis.mget(budget_keys("settled", "shared", DAY)[:2]) == ["1000", "1200"]

    run_async(scenario())


def test_each_tenant_scope_and_day_has_its_own_budget(valkey: Valkey) -> None:
    async def scenario() -> None:
        async with client(valkey) as redis:
            budget = Budget(redis, SETTINGS)
            granted(await budget.reserve("own", "personal", tokens=100, micros=0, day=DAY))
            assert reason(await budget.reserve("own", "personal", tokens=1, micros=0, day=DAY)) == "over_budget"
            for tenant, scope, day in (("own", "shared", DAY), ("other", "personal", DAY), ("own", "personal", "2026-03-02")):
                granted(await budget.reserve(tenant, scope, tokens=1, micros=0, day=day))  # type: ignore[arg-type]

    run_async(scenario())


def test_the_share_used_is_that_of_the_tenant_that_used_most(valkey: Valkey) -> None:
    async def scenario() -> None:
        async with client(valkey) as redis:
            budget = Budget(redis, SETTINGS)
            first = granted(await budget.reserve("share", "shared", tokens=600, micros=1_000, day=DAY))
            granted(await budget.reserve("shares", "shared", tokens=100, micros=2_000, day=DAY))
            assert budget.used(DAY) == {"shared": 0.6, "personal": 0.0}
            await budget.settle(first, tokens=50, micros=0)
            assert budget.used(DAY) == {"shared": 0.2, "personal": 0.0}, "of the money of the other tenant"
            assert reason(await budget.reserve("share", "shared", tokens=2_000, micros=0, day=DAY)) == "over_budget"
            assert budget.used(DAY)["shared"] == 1.0
            assert budget.used("2026-03-02") == {"shared": 0.0, "personal": 0.0}

    run_async(scenario())


def test_money_runs_out_by_itself(valkey: Valkey) -> None:
    async def scenario() -> None:
        async with client(valkey) as redis:
            budget = Budget(redis, SETTINGS)
            granted(await budget.reserve("money", "personal", tokens=1, micros=500, day=DAY))
            assert reason(await budget.reserve("money", "personal", tokens=1, micros=1, day=DAY)) == "over_budget"

    run_async(scenario())


def test_callers_that_reserve_at_once_never_get_more_than_there_is(valkey: Valkey) -> None:
    async def scenario() -> None:
        async with client(valkey) as one, client(valkey) as other:
            pair = [Budget(one, SETTINGS), Budget(other, SETTINGS)]
            answers = await asyncio.gather(
                *(pair[number % 2].reserve("race", "shared", tokens=70, micros=1, day=DAY) for number in range(40))
            )
            assert sum(isinstance(answer, Reservation) for answer in answers) == 1_000 // 70

    run_async(scenario())


def test_the_alert_is_raised_once_a_day_when_a_budget_runs_low(valkey: Valkey) -> None:
    async def scenario() -> None:
        async with client(valkey) as redis:
            budget = Budget(redis, SETTINGS)
            assert granted(await budget.reserve("told", "shared", tokens=799, micros=0, day=DAY)).alert == ""
            told = granted(await budget.reserve("told", "shared", tokens=1, micros=0, day=DAY))
            assert told.alert.startswith("Tenant told has used 800 of 1000 tokens and $0.00 of $0.01 of its shared model budget")
            assert granted(await budget.reserve("told", "shared", tokens=1, micros=0, day=DAY)).alert == ""
            next_day = granted(await budget.reserve("told", "shared", tokens=10, micros=10, day="2026-03-02"))
            assert next_day.alert == ""
            assert await budget.settle(next_day, tokens=10, micros=8_000)  # a call that cost more than was thought
            assert not await budget.settle(
                granted(await budget.reserve("told", "shared", tokens=1, micros=1, day="2026-03-02")), tokens=1, micros=1
            )

    run_async(scenario())


def test_nothing_spent_is_no_reason_for_an_alert(valkey: Valkey) -> None:
    async def scenario() -> None:
        async with client(valkey) as redis:
            free = SETTINGS.model_copy(update={"shared": Allowance(tokens=1_000, micros=1)})
            assert granted(await Budget(redis, free).reserve("free", "shared", tokens=10, micros=0, day=DAY)).alert == ""

    run_async(scenario())


@pytest.mark.parametrize("nothing", [Allowance(tokens=0, micros=0), Allowance(tokens=1_000, micros=0), Allowance(tokens=0, micros=1_000)])
def test_a_budget_of_0_allows_no_call_even_one_that_costs_nothing(valkey: Valkey, nothing: Allowance) -> None:
    async def scenario() -> None:
        async with client(valkey) as redis:
            budget = Budget(redis, SETTINGS.model_copy(update={"shared": nothing}))
            assert [reason(await budget.reserve("none", "shared", tokens=tokens, micros=0, day=DAY)) for tokens in (0, 1)] == [
                "over_budget"
            ] * 2
            assert budget.used(DAY)["shared"] == 1.0
            assert not await redis.exists(*budget_keys("none", "shared", DAY))
            granted(await budget.reserve("none", "personal", tokens=1, micros=0, day=DAY))

    run_async(scenario())


def test_counters_end_by_themselves_and_never_go_below_zero(valkey: Valkey) -> None:
    async def scenario() -> None:
        async with client(valkey) as redis:
            budget = Budget(redis, SETTINGS)
            keys = budget_keys("kept", "shared", DAY)
            reservation = granted(await budget.reserve("kept", "shared", tokens=900, micros=9_000, day=DAY))
            assert [0 < await redis.ttl(key) <= 3 * 86_400 for key in keys] == [True] * 3
            await redis.delete(*keys)  # a server that lost its data
            await budget.settle(reservation, tokens=40, micros=50)
            assert await redis.mget(keys[:2]) == ["40", "50"]
            assert await redis.ttl(keys[0]) > 0
            await budget.settle(reservation, tokens=0, micros=0)
            assert await redis.mget(keys[:2]) == ["0", "0"]

    run_async(scenario())


def test_a_budget_that_cannot_be_checked_is_not_spent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: Valkey) -> None:
        async with client(server) as redis:
            budget = Budget(redis, SETTINGS)
            reservation = granted(await budget.reserve("away", "shared", tokens=300, micros=3_000, day=DAY))
            server.kill()
            assert reason(await budget.reserve("away", "shared", tokens=1, micros=1, day=DAY)) == "budget_unknown"
            assert await budget.settle(reservation, tokens=1, micros=1) == ""
            server.start()  # without its scripts
            granted(await budget.reserve("away", "shared", tokens=1, micros=1, day=DAY))
            assert await redis.get(budget_keys("away", "shared", DAY)[0]) == "301"  # the estimate stays spent

    with caplog.at_level(logging.INFO, "llm.limits.daily_budget"), run_valkey(tmp_path) as server:
        run_async(scenario(server))
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_negative_reservation_is_a_mistake_of_the_caller(valkey: Valkey) -> None:
    async def scenario() -> None:
        async with client(valkey) as redis:
            await Budget(redis, SETTINGS).reserve("wrong", "shared", tokens=-1, micros=0, day=DAY)

    with pytest.raises(ValueError, match="must be 0 or more"):
        run_async(scenario())


def test_costs_are_in_millionths_of_a_dollar_and_rounded_up() -> None:
    prices = Prices(input_dollars=0.15, output_dollars=0.6)
    assert prices.micros(1_000_000, 1_000_000) == 750_000
    assert prices.micros(1, 0) == 1
    assert prices.micros(0, 0) == 0
    assert Prices(input_dollars=0.1).micros(30, 0) == 3  # and not 4, for what floats make of 0.1
    assert Prices().micros(10**9, 10**9) == 0
    assert [estimate_tokens(text) for text in ("", "abcd", "abcde")] == [1, 1, 2]
