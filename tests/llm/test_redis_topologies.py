"""What the model's cache, budgets and review queue keep in Redis, in a cluster and behind a sentinel: every script, and a failover."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from llm.cache.answer_cache import AnswerCache, CachedText, CachePolicy, text_hash, user_digest
from llm.limits.daily_budget import Allowance, Budget, BudgetSettings, Reservation
from llm.review_queue import ReviewEntry, ReviewPolicy, ReviewQueue
from sinks.redis.async_client import connect_async
from tests.support.redis_topologies import Topology, fail_over, run_cluster, run_sentinel
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, run_async, until

ALLOWANCE = Allowance(tokens=1_000, micros=1_000)
BUDGETS = BudgetSettings(shared=ALLOWANCE, personal=ALLOWANCE, answer_seconds=10)
CACHES = CachePolicy(wait_seconds=10.0, local_seconds=0.0, pause_seconds=0.0)
KEY = "a" * 32


def cached(text: str) -> CachedText:
    return CachedText(text, 0.9, "small", "nudge-1", text_hash(text), 1_700_000_000_000)


def waiting(text: str, owner: str = "") -> ReviewEntry:
    return ReviewEntry(
        KEY,
        "personal" if owner else "shared",
        text,
        0.5,
        "nudge-1",
        "connect",
        "signup",
        "plain",
        "small",
        1_767_600_000_000,
        "low",
        owner=owner,
    )


@pytest.fixture(scope="module", params=["cluster", "sentinel"])
def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    directory = tmp_path_factory.mktemp("servers")
    with run_cluster(directory) if request.param == "cluster" else run_sentinel(directory) as made:
        yield made


def test_texts_budgets_and_reviews_of_many_tenants(servers: Topology) -> None:
    """The tenants lie in different slots; each test of one server in this directory holds here too."""

    async def scenario() -> None:
        client = connect_async(servers.url, 10.0)
        budget, queue = Budget(client, BUDGETS), ReviewQueue(client, ReviewPolicy(wait_seconds=10.0))
        for tenant in ("acme", "globex", "initech", "umbrella"):
            cache, other = AnswerCache(client, CACHES), AnswerCache(client, CACHES)
            await cache.put(tenant, KEY, cached("Take {step} next."))
            await cache.put(tenant, "b" * 32, cached("Your host has a typo."), user="ann")
            assert await other.get(tenant, KEY) == cached("Take {step} next.")
            assert await other.get(tenant, "b" * 32, user="ann") is not None
            assert await cache.forget(tenant, "ann")
            assert await AnswerCache(client, CACHES).get(tenant, "b" * 32, user="ann") is None
            assert cache.faults == other.faults == 0

            first = await budget.reserve(tenant, "shared", tokens=600, micros=100, day="2026-03-01")
            assert isinstance(first, Reservation)
            assert not isinstance(await budget.reserve(tenant, "shared", tokens=600, micros=100, day="2026-03-01"), Reservation)
            await budget.settle(first, tokens=100, micros=100)
            assert isinstance(await budget.reserve(tenant, "shared", tokens=600, micros=100, day="2026-03-01"), Reservation)

            own = user_digest(tenant, "ann")
            assert [await queue.put(tenant, waiting(text)) for text in ("One.", "One.", "Two.")] == ["queued", "known", "queued"]
            assert await queue.put(tenant, waiting("Three.", own)) == "queued"
            assert await queue.forget(tenant, "ann")
            assert await queue.holds(tenant, KEY)
            one, two = (await queue.waiting(tenant)).entries
            await queue.approve(tenant, one.id, "a person")
            await queue.reject(tenant, two.id, "a person")
            assert await queue.was_rejected(tenant, text_hash(two.text))
            assert (await queue.waiting(tenant)).total == 0
            assert not await queue.holds(tenant, KEY)
        await client.aclose()

    run_async(scenario())


def test_a_burst_waits_for_its_turn(servers: Topology) -> None:
    async def scenario() -> None:
        client = connect_async(servers.url, PATIENCE)
        cache = AnswerCache(client, CachePolicy(wait_seconds=PATIENCE))
        await asyncio.gather(*(cache.get(f"t{number % 7}", f"{number:032d}") for number in range(400)))
        assert (cache.faults, cache.lookups["nowhere"]) == (0, 400)
        await client.aclose()

    run_async(scenario())


def test_servers_that_are_away_are_no_error(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The cache serves its own process, budgets allow no call, and both find the servers when they are back."""

    async def scenario(made: Topology) -> None:
        client = connect_async(made.url, 2.0)
        cache, budget = AnswerCache(client, CACHES), Budget(client, BUDGETS)
        for server in made.servers:
            server.kill()
        assert await cache.get("acme", KEY) is None
        await cache.put("acme", KEY, cached("Take {step} next."))
        assert await cache.get("acme", KEY) == cached("Take {step} next.")
        answer = await budget.reserve("acme", "shared", tokens=1, micros=1, day="2026-03-01")
        assert not isinstance(answer, Reservation)
        assert answer.reason == "budget_unknown"
        assert cache.faults > 0
        await client.aclose()

    with run_cluster(tmp_path_factory.mktemp("cluster")) as made:
        run_async(scenario(made))


def role_of(made: Topology, server: Valkey) -> bytes:
    """What a server is now; nothing while it changes and drops its clients."""
    with suppress(RedisConnectionError):
        return bytes(made.ask(server, "ROLE")[0])
    return b""


def test_they_follow_a_primary_that_steps_down(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The connections to the old primary live on, and it is a replica now."""

    async def scenario(made: Topology) -> None:
        primary, replica = made.servers
        client = connect_async(made.url, 10.0)
        budget = Budget(client, BUDGETS)
        assert isinstance(await budget.reserve("acme", "shared", tokens=1, micros=1, day="2026-03-01"), Reservation)
        await asyncio.to_thread(fail_over, made)

        async def reserved() -> bool:
            return isinstance(await budget.reserve("acme", "shared", tokens=1, micros=1, day="2026-03-02"), Reservation)

        for server, role in ((replica, b"master"), (primary, b"slave")):
            await until(lambda server=server, role=role: role_of(made, server) == role, "the servers to change roles")  # type: ignore[misc]
        await until(reserved, "a reservation at the new primary")
        with made.client(replica) as direct:
            assert direct.get("onramp:{acme}:budget:shared:2026-03-02:tokens") == b"1"
        await client.aclose()

    with run_sentinel(tmp_path_factory.mktemp("sentinel")) as made:
        run_async(scenario(made))
