"""The quota of a tenant: refused with its own code until midnight, counted for all gateways, kept over restarts and without Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from gateway.errors import RefusedError, unavailable
from gateway.quota import Quota, quota_key
from gateway.tokens import mint
from tests.gateway.read_setup import NOON, Clock
from tests.support.gateway import Gateway, event, run_gateway
from tests.support.valkey import Valkey
from tests.support.valkey_fixtures import valkey
from tests.support.waiting import run_async, wait_until

__all__ = ["valkey"]  # fixtures

DAY = NOON // 86_400
FIVE = [event(f"e{number}", timestamp="2026-01-01T11:00:00Z") for number in range(5)]


@contextmanager
def gateway_of(directory: Path, valkey: Valkey | None, clock: Clock, per_day: int = 12) -> Iterator[Gateway]:
    directory.mkdir(exist_ok=True)
    url = None if valkey is None else valkey.url
    with run_gateway(directory, redis_url=lambda: url, clock=clock, events_per_day=per_day) as gateway:
        yield gateway


def counted(valkey: Valkey, tenant: str = "default", *, pages: bool = False) -> int:
    client = redis.Redis.from_url(valkey.url)
    found = client.get(quota_key(tenant, DAY, pages))
    client.close()
    assert found is None or isinstance(found, bytes)
    return int(found or 0)


def forget(valkey: Valkey) -> None:
    client = redis.Redis.from_url(valkey.url)
    client.flushall()
    client.close()


def test_what_is_over_the_quota_is_refused_until_midnight(valkey: Valkey, tmp_path: Path) -> None:
    forget(valkey)
    clock = Clock()
    with gateway_of(tmp_path / "a", valkey, clock) as gateway:
        key, other = gateway.key("server"), gateway.key("server", "acme")
        assert [gateway.post("/v1/events", FIVE, key=key).status_code for _ in range(3)] == [202, 202, 429]
        refused = gateway.post("/v1/track", {"userId": "u", "event": "e"} | {"messageId": "m"}, key=key)
        assert refused.status_code == 200, "two more fit"
        refused = gateway.post("/v1/events", FIVE[:2], key=key)
        assert (refused.json()["code"], refused.headers["retry-after"]) == ("quota_exceeded", str(12 * 3600))
        assert gateway.post("/v1/onboarding/start", {"userId": "u", "timestamp": "2026-01-01T11:00:00Z"}, key=key).status_code == 202
        assert gateway.post("/v1/onboarding/start", {"userId": "u"}, key=key).json()["code"] == "quota_exceeded"
        assert gateway.post("/v1/events", [{**each, "tenantId": "acme"} for each in FIVE], key=other).status_code == 202, "each has its own"
        assert len(gateway.stored()) == 17
        clock.now += 12 * 3600
        assert gateway.post("/v1/events", FIVE, key=key).status_code == 202, "a new day"


DELETION = event("d1", eventType="user_deleted", timestamp="2026-01-01T11:00:00Z")


def test_a_quota_delays_no_deletion(tmp_path: Path) -> None:
    with gateway_of(tmp_path / "a", None, Clock()) as gateway:
        key, page = gateway.key("server"), gateway.key("publishable")
        gateway.store.set_quota("default", 0)
        assert gateway.post("/v1/events", DELETION, key=key).status_code == 202
        assert gateway.post("/v1/events", [DELETION, DELETION], key=key).status_code == 202
        assert gateway.post("/v1/events", [DELETION, FIVE[0]], key=key).status_code == 429, "what is with it does not fit"
        assert gateway.post("/v1/events", DELETION, key=page).status_code == 429


def test_pages_leave_a_fifth_of_a_quota_to_servers(valkey: Valkey, tmp_path: Path) -> None:
    forget(valkey)
    with (
        gateway_of(tmp_path / "a", valkey, Clock(), per_day=20) as first,
        gateway_of(tmp_path / "b", valkey, Clock(), per_day=20) as second,
    ):
        signing = first.store.create("signing")[0]
        token = mint(signing.secret or "", key_id=signing.id, tenant="default", user="u-17", now=NOON)
        pages = [first.key("publishable"), first.key("publishable"), token]
        assert [first.post("/v1/events", FIVE, key=key).status_code for key in pages] == [202, 202, 202]
        refused = first.post("/v1/events", FIVE[:2], key=pages[0])
        assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
        assert "pages of the tenant may store 16 events" in refused.json()["message"]
        wait_until(lambda: counted(valkey, pages=True) == counted(valkey) == 15, "the counts in Redis")
        assert second.post("/v1/events", FIVE[:2], key=second.key("publishable")).status_code == 429
        assert second.post("/v1/events", FIVE[0], key=second.key("publishable")).status_code == 202
        assert second.post("/v1/events", FIVE[:4], key=second.key("server")).status_code == 202
        assert second.post("/v1/events", FIVE[0], key=second.key("server")).status_code == 429
        wait_until(lambda: (counted(valkey, pages=True), counted(valkey)) == (16, 20), "the counts in Redis")


def test_servers_may_use_all_of_a_quota(tmp_path: Path) -> None:
    with gateway_of(tmp_path / "a", None, Clock(), per_day=10) as gateway:
        key, page = gateway.key("server"), gateway.key("publishable")
        assert [gateway.post("/v1/events", FIVE, key=each).status_code for each in (key, key, page)] == [202, 202, 429]


SIGNUP = {"type": "track", "userId": "u", "event": "Signed Up", "timestamp": "2026-01-01T11:00:00Z"}
ODD = {"type": "nonsense"}


def test_a_call_counts_as_the_events_that_are_stored_of_it(valkey: Valkey, tmp_path: Path) -> None:
    """A sign-up of Segment becomes a ``track`` and a ``signup``, and a call of a batch that is not valid a dead letter."""
    forget(valkey)
    with gateway_of(tmp_path / "a", valkey, Clock(), per_day=7) as gateway:
        key = gateway.key("server")

        def batch(*calls: dict[str, str]) -> int:
            return gateway.post(
                "/v1/batch", {"batch": [{**call, "messageId": f"m{n}"} for n, call in enumerate(calls)]}, key=key
            ).status_code

        assert batch(SIGNUP, SIGNUP, ODD) == 200
        assert len(gateway.log.records) == 5
        assert batch(SIGNUP, ODD) == 429, "three more do not fit"
        assert gateway.post("/v1/track", {**SIGNUP, "messageId": "m"}, key=key).status_code == 200
        assert len(gateway.log.records) == 7
        assert batch(ODD) == 429
        assert gateway.post("/v1/track", {**SIGNUP, "event": "x", "messageId": "n"}, key=key).json()["code"] == "quota_exceeded"
        wait_until(lambda: counted(valkey) == 7, "the count in Redis")


def test_the_rate_counts_the_events_of_a_call(tmp_path: Path) -> None:
    with run_gateway(tmp_path, events_per_second=5.0, clock=Clock()) as gateway:
        key = gateway.key("server")
        calls = {"batch": [{**SIGNUP, "messageId": f"m{n}"} for n in range(4)]}
        assert [gateway.post("/v1/batch", calls, key=key).status_code for _ in range(2)] == [200, 429]


def test_what_was_not_stored_does_not_count(valkey: Valkey, tmp_path: Path) -> None:
    forget(valkey)
    with gateway_of(tmp_path / "a", valkey, Clock()) as gateway:
        key = gateway.key("server")
        for _ in range(4):
            assert gateway.post("/v1/events", [{}] * 5, key=key).status_code == 400
        gateway.log.failure = "the disk is full"
        assert {gateway.post("/v1/events", FIVE, key=key).status_code for _ in range(4)} == {503}
        gateway.log.failure = None
        wait_until(lambda: gateway.post("/v1/events", FIVE, key=key).status_code == 202, "a log that works again")
        wait_until(lambda: counted(valkey) == 5, "the count in Redis")


def test_a_restart_and_another_gateway_know_the_count(valkey: Valkey, tmp_path: Path) -> None:
    forget(valkey)
    with gateway_of(tmp_path / "a", valkey, Clock()) as first, gateway_of(tmp_path / "b", valkey, Clock()) as second:
        key, same = first.key("server"), second.key("server")
        assert first.post("/v1/events", FIVE, key=key).status_code == 202
        assert second.post("/v1/events", FIVE, key=same).status_code == 202
        wait_until(lambda: counted(valkey) == 10, "the count in Redis")
    with gateway_of(tmp_path / "c", valkey, Clock()) as anew:
        key = anew.key("server")
        assert anew.post("/v1/events", FIVE, key=key).json()["code"] == "quota_exceeded"
        assert anew.post("/v1/events", FIVE[:2], key=key).status_code == 202
    assert counted(valkey) == 12, "a gateway that ends in order forgets nothing"
    client = redis.Redis.from_url(valkey.url)
    assert 0 < int(str(client.ttl(quota_key("default", DAY)))) <= 3 * 86_400
    client.close()


def test_without_redis_each_gateway_counts_by_itself(tmp_path: Path) -> None:
    with gateway_of(tmp_path / "a", None, Clock()) as gateway:
        key = gateway.key("server")
        assert [gateway.post("/v1/events", FIVE, key=key).status_code for _ in range(3)] == [202, 202, 429]


class Counter:
    """Stands for Redis. ``away``: it does not answer."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self.away = False
        self.asked = 0

    async def add(self, key: str, by: int) -> int:
        self.asked += 1
        if self.away:
            raise unavailable("Redis is away", 1)
        self.totals[key] = self.totals.get(key, 0) + by
        return self.totals[key]


def test_an_outage_is_counted_from_the_last_total_and_made_up_for() -> None:
    async def scenario() -> None:
        store, clock = Counter(), Clock()
        quota = Quota(lambda _: 100, store.add, clock)
        await quota.check("t", 1)
        quota.count("t", 60)
        await quota.flush()
        store.away = True
        quota.count("t", 30)
        await quota.flush()
        await quota.check("t", 10)
        with pytest.raises(RefusedError):
            await quota.check("t", 11)
        store.away = False
        store.totals[quota_key("t", DAY)] += 5  # another gateway
        await quota.flush()
        assert store.totals == {quota_key("t", DAY): 95}
        await quota.check("t", 5)
        with pytest.raises(RefusedError):
            await quota.check("t", 6)

    run_async(scenario())


def test_a_day_that_ended_in_an_outage_is_added_to_its_own_count_and_forgotten() -> None:
    async def scenario() -> None:
        store, clock = Counter(), Clock()
        quota = Quota(lambda _: 100, store.add, clock)
        store.away = True
        await quota.check("t", 1)
        quota.count("t", 7)
        clock.now += 86_400
        await quota.check("t", 100)
        store.away = False
        await quota.flush()
        assert store.totals == {quota_key("t", DAY): 7, quota_key("t", DAY + 1): 0}
        asked = store.asked
        await quota.flush()
        assert store.asked == asked, "nothing to add, nothing to ask"

    run_async(scenario())


@pytest.mark.parametrize("flushes", [0, 1, 2])
def test_events_that_were_not_stored_after_all_are_taken_back_from_the_day_on_which_they_counted(flushes: int) -> None:
    async def scenario() -> None:
        store, clock = Counter(), Clock()
        quota = Quota(lambda _: 100, store.add, clock)
        await quota.check("t", 7)
        counted = quota.count("t", 7)
        clock.now += 86_400
        for _ in range(flushes):
            await quota.flush()
        quota.take_back(counted, 5)
        await quota.check("t", 100)
        with pytest.raises(RefusedError):
            await quota.check("t", 101)
        await quota.flush()
        assert store.totals == {quota_key("t", DAY): 2, quota_key("t", DAY + 1): 0}

    run_async(scenario())


def test_what_counted_for_no_quota_is_not_taken_from_one_that_is_set_meanwhile() -> None:
    async def scenario() -> None:
        store = Counter()
        per_day: list[int | None] = [None]
        quota = Quota(lambda _: per_day[0], store.add, Clock())
        counted = quota.count("t", 7)
        per_day[0] = 5
        quota.take_back(counted, 7)
        await quota.check("t", 5)
        with pytest.raises(RefusedError):
            await quota.check("t", 6)

    run_async(scenario())


def test_many_first_requests_ask_once() -> None:
    async def scenario() -> None:

        store = Counter()
        quota = Quota(lambda _: 100, store.add, Clock())
        await asyncio.gather(*(quota.check("t", 1) for _ in range(50)))
        assert store.asked == 1

    run_async(scenario())


def test_no_quota_costs_no_question(valkey: Valkey, tmp_path: Path) -> None:
    forget(valkey)
    parts: dict[str, Any] = {"redis_url": lambda: valkey.url}
    with run_gateway(tmp_path, **parts) as gateway:
        assert gateway.post("/v1/events", event(), key=gateway.key("server")).status_code == 202
    client = redis.Redis.from_url(valkey.url)
    assert client.keys("*") == []
    client.close()


def test_a_tenant_has_a_quota_of_its_own_as_soon_as_it_is_set(valkey: Valkey, tmp_path: Path) -> None:
    forget(valkey)
    with gateway_of(tmp_path / "a", valkey, Clock(), per_day=5) as gateway:
        keys = {tenant: gateway.key("server", tenant) for tenant in ("default", "acme", "small")}
        gateway.store.set_quota("acme", None)
        gateway.store.set_quota("small", 4)

        def answers(tenant: str) -> list[int]:
            return [gateway.post("/v1/events", FIVE, key=keys[tenant]).status_code for _ in range(2)]

        assert {tenant: answers(tenant) for tenant in keys} == {"default": [202, 429], "acme": [202, 202], "small": [429, 429]}
        gateway.store.remove_quota("small")
        assert answers("small") == [202, 429]
        gateway.store.set_quota("acme", 0)
        assert answers("acme") == [429, 429]
