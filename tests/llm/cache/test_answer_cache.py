"""The cache of model texts, on a real server that is killed and halted under it."""

from __future__ import annotations

import logging
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from llm.cache.answer_cache import (
    AnswerCache,
    CachedText,
    CachePolicy,
    _Local,
    entry_name,
    index_name,
    rejected_name,
    text_hash,
    user_digest,
)
from sinks.redis.async_client import connect_async
from tests.support.valkey import Valkey, run_valkey
from tests.support.valkey_fixtures import redis, valkey
from tests.support.waiting import let_pass, run_async, suspend

__all__ = ["redis", "valkey"]  # fixtures

T = TypeVar("T")
KEY = "a" * 32
PATIENT = CachePolicy(wait_seconds=10.0)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def cached(text: str = "Take {step} next.") -> CachedText:
    return CachedText(text, 0.9, "small", "nudge-1", text_hash(text), 1_700_000_000_000)


@pytest.fixture
def tenant() -> str:
    return f"t{uuid4().hex[:8]}"


def run(url: str, test: Callable[..., Awaitable[T]], *policies: CachePolicy) -> T:
    """Run ``test`` with a cache for each policy, all on one server, as several processes would.

    A busy machine is no reason to fail: only who asks for it waits for a short time.
    """

    async def main() -> T:
        clients = [connect_async(url, policy.wait_seconds) for policy in policies or (PATIENT,)]
        try:
            return await test(*(AnswerCache(client, policy) for client, policy in zip(clients, policies or (PATIENT,), strict=True)))
        finally:
            for client in clients:
                await client.aclose()

    return run_async(main())


def test_what_one_process_put_another_finds_and_both_count_it(valkey: Valkey, redis: Redis, tenant: str) -> None:
    async def test(one: AnswerCache, other: AnswerCache) -> None:
        assert await one.get(tenant, KEY) is None
        await one.put(tenant, KEY, cached())
        assert await one.get(tenant, KEY) == cached()
        assert await other.get(tenant, KEY) == cached()
        assert await other.get(tenant, KEY) == cached()
        assert await other.get(tenant, "1" * 32) is None
        assert await other.get("elsewhere", KEY) is None
        assert one.lookups == {"process": 1, "redis": 0, "nowhere": 1}
        assert other.lookups == {"process": 1, "redis": 1, "nowhere": 2}

    run(valkey.url, test, PATIENT, CachePolicy(ttl_seconds=100, wait_seconds=10))
    assert 604_000_000 < redis.pttl(entry_name(tenant, KEY)) <= 604_800_000


def test_the_first_text_for_a_key_stays(valkey: Valkey, tenant: str) -> None:
    async def test(one: AnswerCache, other: AnswerCache, third: AnswerCache) -> None:
        await one.put(tenant, KEY, cached("first"))
        await other.put(tenant, KEY, cached("second"))
        assert await third.get(tenant, KEY) == cached("first")

    run(valkey.url, test, PATIENT, PATIENT, PATIENT)


def test_a_text_that_nobody_approved_is_a_miss_where_only_approved_ones_count(valkey: Valkey, redis: Redis, tenant: str) -> None:
    approved = msgspec.structs.replace(cached("second"), approved_by="eve")

    async def test(one: AnswerCache, other: AnswerCache) -> None:
        await one.put(tenant, KEY, cached("first"))
        for each in (one, other):
            assert await each.get(tenant, KEY, approved_only=True) is None
            assert each.lookups == {"process": 0, "redis": 0, "nowhere": 1}
        redis.set(entry_name(tenant, KEY), msgspec.json.encode(approved))
        for each in (one, other):
            assert await each.get(tenant, KEY, approved_only=True) == approved, "at once, though this process holds the other text"
            assert await each.get(tenant, KEY) == approved
            assert each.lookups == {"process": 1, "redis": 1, "nowhere": 1}

    run(valkey.url, test, PATIENT, PATIENT)


def test_a_deleted_person_s_own_texts_go_and_nobody_else_s(valkey: Valkey, redis: Redis, tenant: str) -> None:
    async def test(one: AnswerCache, other: AnswerCache) -> None:
        for number in range(3):
            await one.put(tenant, f"{number:032}", cached(f"for ann {number}"), user="ann")
        await one.put(tenant, "9" * 32, cached("for bob"), user="bob")
        await one.put(tenant, "8" * 32, cached("for all"))
        assert await other.get(tenant, f"{0:032}", user="ann") is not None  # now in both processes
        assert await one.forget(tenant, "ann")
        assert await other.forget(tenant, "ann")  # as the other process is told too
        for cache in (one, other):
            assert [await cache.get(tenant, f"{number:032}", user="ann") for number in range(3)] == [None] * 3
            assert await cache.get(tenant, "9" * 32, user="bob") is not None
            assert await cache.get(tenant, "8" * 32) is not None
        assert other.lookups == {"process": 0, "redis": 3, "nowhere": 3}

    run(valkey.url, test, PATIENT, PATIENT)
    left = {key.decode() for key in redis.scan_iter(f"onramp:llm:{{{tenant}}}:*")}
    assert left == {entry_name(tenant, "9" * 32), entry_name(tenant, "8" * 32), index_name(tenant, user_digest(tenant, "bob"))}
    assert 0 < redis.pttl(index_name(tenant, user_digest(tenant, "bob"))) <= 86_400_000
    assert 0 < redis.pttl(entry_name(tenant, "9" * 32)) <= 86_400_000
    assert "ann" not in str(left)


def test_an_entry_is_looked_up_again_so_that_a_rejection_reaches_every_process(valkey: Valkey, redis: Redis, tenant: str) -> None:
    clock = Clock()

    async def test(cache: AnswerCache) -> None:
        await cache.put(tenant, KEY, cached())
        redis.hset(rejected_name(tenant), text_hash(cached().text), b"{}")
        assert await cache.get(tenant, KEY) is not None
        clock.now += 60
        assert await cache.get(tenant, KEY) is None
        assert not redis.exists(entry_name(tenant, KEY))
        await cache.put(tenant, "1" * 32, cached("other"))
        redis.delete(entry_name(tenant, "1" * 32))
        clock.now += 60
        assert await cache.get(tenant, "1" * 32) is None  # what expired in Redis is gone here too

    run(valkey.url, test, CachePolicy(clock=clock, wait_seconds=10))


def test_a_value_that_is_none_of_ours_is_a_miss_and_makes_room(valkey: Valkey, redis: Redis, tenant: str) -> None:
    redis.set(entry_name(tenant, KEY), b"not ours")

    async def test(cache: AnswerCache) -> None:
        assert await cache.get(tenant, KEY) is None
        await cache.put(tenant, KEY, cached())

    run(valkey.url, test)
    data = redis.get(entry_name(tenant, KEY))
    assert data is not None
    assert msgspec.json.decode(data, type=CachedText) == cached()


# --------------------------------------------------------------------------------------------------------------- without Redis


def test_redis_away_is_said_once_and_never_raises(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llm.cache.answer_cache")
    clock = Clock()
    with run_valkey(tmp_path) as server:

        async def test(cache: AnswerCache) -> None:
            await cache.put("t", KEY, cached())
            server.kill()
            clock.now += 60
            assert await cache.get("t", KEY) == cached()  # stale, and better than nothing
            assert await cache.get("t", "1" * 32) is None
            await cache.put("t", "1" * 32, cached("while away"))
            assert await cache.get("t", "1" * 32) == cached("while away")
            assert not await cache.forget("t", "ann")
            clock.now += 5
            assert await cache.get("t", "2" * 32) is None
            assert cache.faults == 3, "of five requests: two were not sent"
            server.start()
            assert await cache.get("t", "2" * 32) is None  # still left alone
            clock.now += 5
            assert await cache.get("t", KEY) == cached()
            assert cache.lookups["redis"] == 1
            assert await cache.forget("t", "ann")

        run(server.url, test, CachePolicy(clock=clock, wait_seconds=10))
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "correct-horse" not in caplog.text


def test_a_slow_redis_holds_nobody(tmp_path: Path) -> None:
    with run_valkey(tmp_path) as server:

        async def test(cache: AnswerCache, other: AnswerCache) -> None:
            await cache.put("t", KEY, cached())
            assert await other.get("t", "1" * 32) is None  # connected
            assert server.process is not None
            suspend(server.process.pid)
            try:
                assert await other.get("t", KEY) is None
                await other.put("t", "2" * 32, cached("slow"))
                for number in range(100):
                    await other.get("t", f"{number:032}")
                assert other.faults == 1, "it is waited for once, then left alone"
            finally:
                server.process.send_signal(signal.SIGCONT)
            await let_pass(0.1, "late answers come, which must not be taken for those of other questions")
            other._silent_until = 0
            assert await other.get("t", "3" * 32) is None
            assert await other.get("t", KEY) == cached()

        run(server.url, test, PATIENT, CachePolicy(pause_seconds=60, wait_seconds=2))


# --------------------------------------------------------------------------------------------------------------------- bounds


def test_this_process_forgets_a_text_when_its_time_is_over() -> None:
    clock = Clock()
    local = _Local(CachePolicy(clock=clock))
    local.put("all", cached(), 100, "")
    local.put("own", cached(), 100, user_digest("t", "ann"))
    clock.now += 86_399
    assert local.get("own") is not None
    clock.now += 1
    assert local.get("own") is None
    clock.now += 6 * 86_400 - 1
    assert local.get("all") is not None
    clock.now += 1
    assert local.get("all") is None
    assert (local.entries, local.size) == ({}, 0)


@given(puts=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 300)), max_size=60))
def test_this_process_keeps_within_both_bounds(puts: list[tuple[int, int]]) -> None:
    local = _Local(CachePolicy(entries=5, size=1_500))
    for number, length in puts:
        local.put(str(number), cached("x" * length), 100 + length, "")
        assert len(local.entries) <= 5
        assert local.size == sum(entry.size for entry in local.entries.values()) <= 1_500
        found = local.get(str(number))
        assert found is not None
        assert found.cached == cached("x" * length)


def test_the_least_recently_used_goes_first() -> None:
    local = _Local(CachePolicy(entries=3))
    for number in range(3):
        local.put(str(number), cached(), 100, "")
    assert local.get("0") is not None
    local.put("3", cached(), 100, "")
    assert [local.get(str(number)) is not None for number in range(4)] == [True, False, True, True]


# ---------------------------------------------------------------------------------------------------------- failing answers


def test_a_key_that_fails_again_and_again_is_left_alone_for_a_while(valkey: Valkey) -> None:
    clock = Clock()

    async def test(cache: AnswerCache) -> None:
        cache.rejected("a")
        cache.rejected("a")
        assert not cache.blocked("a")
        cache.rejected("a")
        assert cache.blocked("a")
        assert not cache.blocked("b")
        clock.now += 900
        assert not cache.blocked("a")
        cache.rejected("a")  # one try after the pause
        assert cache.blocked("a")
        await cache.put("t", "a", cached())
        assert not cache.blocked("a")
        cache.rejected("a")
        assert not cache.blocked("a")  # the row begins anew
        for number in range(100):
            cache.rejected(str(number))
        assert len(cache._failures) == 4

    run(valkey.url, test, CachePolicy(rejections=3, block_seconds=900, entries=4, clock=clock, wait_seconds=10))
