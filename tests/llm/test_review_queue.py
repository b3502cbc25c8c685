"""The queue of texts that a person decides on, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import msgspec
import pytest
from redis import Redis

from llm.cache.answer_cache import AnswerCache, CachePolicy, entry_name, rejected_name, text_hash, user_digest
from llm.review_queue import InForce, NoSuchEntryError, ReviewEntry, ReviewPolicy, ReviewQueue, ReviewUnavailableError
from sinks.redis.async_client import connect_async
from tests.llm.review_entries import entry
from tests.support.valkey import Valkey, run_valkey
from tests.support.valkey_fixtures import redis, valkey
from tests.support.waiting import run_async

__all__ = ["redis", "valkey"]  # fixtures

T = TypeVar("T")
PATIENT = ReviewPolicy(wait_seconds=10.0)  # a busy machine is no reason to fail


@pytest.fixture
def tenant() -> str:
    return f"t{uuid4().hex[:8]}"


def run(url: str, test: Callable[[ReviewQueue, AnswerCache], Awaitable[T]], policy: ReviewPolicy = PATIENT) -> T:
    async def main() -> T:
        client = connect_async(url, 10.0)
        try:
            return await test(ReviewQueue(client, policy, now_ms=lambda: 2_000_000), AnswerCache(client, CachePolicy(wait_seconds=10.0)))
        finally:
            await client.aclose()

    return run_async(main())


def test_the_same_text_for_the_same_key_waits_once(valkey: Valkey, tenant: str) -> None:
    async def test(queue: ReviewQueue, cache: AnswerCache) -> None:
        assert await queue.put(tenant, entry()) == "queued"
        assert await queue.put(tenant, entry(created_ms=1_000_005)) == "known"
        assert await queue.put(tenant, entry(key="1" * 32, created_ms=999_999)) == "queued"
        assert await queue.put(tenant, entry("Other text", created_ms=1_000_001)) == "queued"
        found = await queue.waiting(tenant)
        assert [each.created_ms for each in found.entries] == [999_999, 1_000_000, 1_000_001]
        assert (found.total, found.dropped) == (3, 0)
        assert len({each.id for each in found.entries}) == 3
        assert all(len(each.id) == 12 for each in found.entries)
        assert [each.created_ms for each in (await queue.waiting(tenant, 1)).entries] == [999_999]
        assert (await queue.waiting("elsewhere")).total == 0

    run(valkey.url, test)


def test_the_oldest_give_way_and_are_counted(valkey: Valkey, redis: Redis, tenant: str) -> None:
    async def test(queue: ReviewQueue, cache: AnswerCache) -> None:
        for number in range(7):
            assert await queue.put(tenant, entry(f"text {number}", created_ms=1_000 + number)) == "queued"
        found = await queue.waiting(tenant)
        assert [each.text for each in found.entries] == ["text 4", "text 5", "text 6"]
        assert (found.total, found.dropped) == (3, 4)
        await queue.put(tenant, entry("much later", created_ms=1_000 + 5_000_005))
        assert [each.text for each in (await queue.waiting(tenant)).entries] == ["text 6", "much later"]  # the others waited for too long
        assert (await queue.waiting(tenant)).dropped == 6

    run(valkey.url, test, ReviewPolicy(most=3, longest_seconds=5_000, wait_seconds=10))
    assert redis.hlen(entry_name(tenant, "review")) == redis.zcard(entry_name(tenant, "review:order")) == 2


def test_an_approved_text_serves_everybody_as_long_as_it_is_used(valkey: Valkey, redis: Redis, tenant: str) -> None:
    name, half_a_year = entry_name(tenant, entry().key), 179 * 86_400_000

    async def test(queue: ReviewQueue, cache: AnswerCache) -> None:
        await queue.put(tenant, entry())
        assert await cache.get(tenant, entry().key) is None
        decision = await queue.approve(tenant, entry().id, "ann")
        assert decision.promoted
        assert "connect_source upon signup by moderate_tooltip, until the catalog or the prompt has a new version" in decision.sentence
        assert redis.pttl(name) > half_a_year, "its time begins with the approval; a look-up begins it anew"
        found = await cache.get(tenant, entry().key)
        assert found is not None
        assert (found.text, found.approved_by, found.confidence) == (entry().text, "ann", 0.55)
        assert found.unfilled_hash == text_hash(entry().text)
        assert (await queue.waiting(tenant)).total == 0
        with pytest.raises(NoSuchEntryError, match="was decided already"):
            await queue.approve(tenant, entry().id, "bob")
        redis.pexpire(name, 3_600_000)  # nearly half a year later, or approved by a version that kept it for a week
        redis.set(other := entry_name(tenant, "1" * 32), msgspec.json.encode(msgspec.structs.replace(found, approved_by="")), px=3_600_000)
        later = AnswerCache(cache._client, CachePolicy(wait_seconds=10))
        assert await later.get(tenant, entry().key) == found
        assert await later.get(tenant, "1" * 32) is not None
        assert redis.pttl(name) > half_a_year, "each use begins its time anew"
        assert redis.pttl(other) <= 3_600_000, "a text that nobody approved ends"

    run(valkey.url, test)


def test_a_place_is_held_until_somebody_decides_about_each_of_its_texts(valkey: Valkey, redis: Redis, tenant: str) -> None:
    key, other, month = entry().key, "1" * 32, 30 * 86_400_000

    async def test(queue: ReviewQueue, cache: AnswerCache) -> None:
        one, two, twin = entry(), entry("Another text"), entry(key=other)
        assert not await queue.holds(tenant, key)
        for each in (one, two, twin):
            await queue.put(tenant, each)
        assert [await queue.holds(tenant, each) for each in (key, other, "2" * 32)] == [True, True, False]
        assert not await queue.holds("elsewhere", key)
        assert month - 600_000 < redis.pttl(entry_name(tenant, f"{key}:waits")) <= month
        await queue.reject(tenant, one.id, "ann")
        assert [await queue.holds(tenant, each) for each in (key, other)] == [True, False], "the twin was rejected with it"
        await queue.approve(tenant, two.id, "ann")
        assert not await queue.holds(tenant, key)
        await queue.reject(tenant, two.id, "ann")
        assert not await queue.holds(tenant, key), "who takes an approval back wants another text"

    run(valkey.url, test)
    assert not redis.keys(f"onramp:llm:{{{tenant}}}:*:waits")


def test_a_place_whose_text_was_dropped_undecided_stays_held(valkey: Valkey, redis: Redis, tenant: str) -> None:
    """Else a model is asked for each of more places than the queue holds, again and again."""

    async def test(queue: ReviewQueue, cache: AnswerCache) -> None:
        for number in range(3):
            await queue.put(tenant, entry(key=f"{number:032d}", created_ms=1_000_000 + number))
        assert (await queue.waiting(tenant)).total == 1
        assert [await queue.holds(tenant, f"{number:032d}") for number in range(3)] == [True] * 3
        redis.delete(entry_name(tenant, f"{2:032d}:waits"))
        assert await queue.put(tenant, entry(key=f"{2:032d}")) == "known"
        assert await queue.holds(tenant, f"{2:032d}"), "as where an earlier version of Onramp queued the text"

    run(valkey.url, test, ReviewPolicy(most=1, wait_seconds=10))


def test_a_text_for_one_user_holds_no_place(valkey: Valkey, redis: Redis, tenant: str) -> None:
    async def test(queue: ReviewQueue, cache: AnswerCache) -> None:
        await queue.put(tenant, entry(owner=user_digest(tenant, "ann")))
        assert not await queue.holds(tenant, entry().key)

    run(valkey.url, test)
    assert not redis.keys(f"onramp:llm:{{{tenant}}}:*:waits"), "the place of such a text is derived from the user"


def test_an_entry_of_an_earlier_version_names_no_language(valkey: Valkey, tenant: str) -> None:
    stored = msgspec.json.decode(msgspec.json.encode(entry()))
    del stored["language"]
    assert msgspec.convert(stored, ReviewEntry) == entry()


def test_a_personal_text_is_never_promoted(valkey: Valkey, redis: Redis, tenant: str) -> None:
    async def test(queue: ReviewQueue, cache: AnswerCache) -> None:
        own = entry(owner=user_digest(tenant, "ann"))
        await queue.put(tenant, own)
        decision = await queue.approve(tenant, own.id, "bob")
        assert not decision.promoted
        assert decision.sentence.startswith("Removed, not approved")
        assert (await queue.waiting(tenant)).total == 0
        assert await cache.get(tenant, own.key) is None

    run(valkey.url, test)
    assert not redis.exists(entry_name(tenant, entry().key))


def test_a_rejected_text_never_comes_back_under_any_key(valkey: Valkey, redis: Redis, tenant: str) -> None:
    async def test(queue: ReviewQueue, cache: AnswerCache) -> None:
        await queue.put(tenant, entry())
        await queue.put(tenant, entry(key="1" * 32))
        await queue.put(tenant, entry("Another"))
        digest = text_hash(entry().text)
        assert not await queue.was_rejected(tenant, digest)
        await queue.reject(tenant, entry().id, "ann")
        assert [each.text for each in (await queue.waiting(tenant)).entries] == ["Another"]
        for key in ("0" * 32, "1" * 32, "2" * 32):
            assert await queue.put(tenant, entry(key=key)) == "rejected"
        assert await queue.was_rejected(tenant, digest)
        assert not await queue.was_rejected("elsewhere", digest)
        assert (await queue.waiting(tenant)).dropped == 0  # decided, not dropped

    run(valkey.url, test)
    note = redis.hget(rejected_name(tenant), text_hash(entry().text))
    assert note is not None
    assert msgspec.json.decode(note) == {"by": "ann", "atMs": 2_000_000}


def test_an_approval_can_be_taken_back(valkey: Valkey, redis: Redis, tenant: str) -> None:
    async def test(queue: ReviewQueue, cache: AnswerCache) -> None:
        twin, newer = entry(key="1" * 32), entry("Newer text")
        for each in (entry(), twin):
            await queue.put(tenant, each)
            await queue.approve(tenant, each.id, "ann")
        assert [(each.entry, each.by, each.at_ms) for each in await queue.approved(tenant)] == [
            (each, "ann", 2_000_000) for each in (entry(), twin)
        ]
        await queue.put(tenant, entry(key="2" * 32))
        decision = await queue.reject(tenant, entry().id, "bob")
        assert (decision.entry, decision.promoted) == (entry(), False)
        assert "for up to a minute more" in decision.sentence
        assert not redis.exists(entry_name(tenant, entry().key))
        assert await cache.get(tenant, entry().key) is None
        assert await cache.get(tenant, twin.key) is None, "the same text in another place"
        assert await queue.put(tenant, entry()) == "rejected"
        assert ((await queue.waiting(tenant)).total, await queue.approved(tenant)) == (0, ())
        with pytest.raises(NoSuchEntryError):
            await queue.reject(tenant, entry().id, "bob")

        older = entry("Older text")
        for each in (older, newer):
            await queue.put(tenant, each)
        await queue.approve(tenant, older.id, "ann")
        await queue.approve(tenant, newer.id, "ann")
        assert [each.entry for each in await queue.approved(tenant)] == [newer], "it took the place of the older one"
        redis.delete(entry_name(tenant, newer.key))  # as after half a year without use
        assert await queue.approved(tenant) == ()
        assert not redis.exists(entry_name(tenant, "review:approved"))

    run(valkey.url, test)


@pytest.mark.parametrize(
    ("catalog", "prompt", "serves"),
    [
        ("saas@1", "nudge-1", False),
        ("saas@2", "nudge-1", True),
        ("saas@2", "nudge-0", False),
        ("", "nudge-1", True),
        ("", "nudge-0", False),
    ],
)
def test_a_text_serves_the_catalog_and_the_prompts_that_it_was_written_for(catalog: str, prompt: str, serves: bool) -> None:
    written = msgspec.structs.replace(entry(), catalog=catalog, prompt_version=prompt)
    assert InForce("saas@2", ("nudge-1", "nudge-2")).serves(written) is serves


def test_an_approval_after_a_new_catalog_is_too_late(valkey: Valkey, tenant: str) -> None:
    async def test(queue: ReviewQueue, cache: AnswerCache) -> None:
        old, new = (msgspec.structs.replace(entry(text), catalog=f"saas@{text}") for text in "12")
        for each in (old, new):
            await queue.put(tenant, each)
        late = await queue.approve(tenant, old.id, "ann", InForce("saas@2", ("nudge-1",)))
        assert not late.promoted
        assert "Too late" in late.sentence
        assert "saas@1 and nudge-1" in late.sentence
        assert await cache.get(tenant, old.key) is None
        assert await queue.approved(tenant) == ()
        assert (await queue.approve(tenant, new.id, "ann", InForce("saas@2", ("nudge-1",)))).promoted
        assert [each.entry.catalog for each in await queue.approved(tenant)] == ["saas@2"]
        assert (await queue.waiting(tenant)).total == 0

    run(valkey.url, test)


def test_an_entry_of_an_earlier_version_names_no_catalog(valkey: Valkey, redis: Redis, tenant: str) -> None:
    stored = msgspec.json.decode(msgspec.json.encode(entry()))
    del stored["catalog"]
    redis.hset(entry_name(tenant, "review"), entry().id, msgspec.json.encode(stored))
    redis.zadd(entry_name(tenant, "review:order"), {entry().id: 1})

    async def test(queue: ReviewQueue, cache: AnswerCache) -> None:
        assert (await queue.waiting(tenant)).entries == (entry(),)
        assert (await queue.approve(tenant, entry().id, "ann", InForce("saas@2", ("nudge-1",)))).promoted

    run(valkey.url, test)


def test_of_two_reviewers_at_once_one_is_too_late(valkey: Valkey, tenant: str) -> None:
    async def test(queue: ReviewQueue, cache: AnswerCache) -> None:
        await queue.put(tenant, entry())
        approved, again = await asyncio.gather(
            queue.approve(tenant, entry().id, "ann"), queue.approve(tenant, entry().id, "bob"), return_exceptions=True
        )
        assert sum(isinstance(end, NoSuchEntryError) for end in (approved, again)) == 1
        other = entry("Other text", key="1" * 32)
        await queue.put(tenant, other)
        approved, rejected = await asyncio.gather(
            queue.approve(tenant, other.id, "ann"), queue.reject(tenant, other.id, "bob"), return_exceptions=True
        )
        assert not isinstance(rejected, BaseException), "whichever comes first, the rejection holds"
        assert await queue.was_rejected(tenant, text_hash(other.text))
        assert await cache.get(tenant, other.key) is None
        assert isinstance(approved, NoSuchEntryError) or approved.promoted  # type: ignore[union-attr]

    run(valkey.url, test)


def test_what_waits_of_a_deleted_person_goes(valkey: Valkey, tenant: str) -> None:
    async def test(queue: ReviewQueue, cache: AnswerCache) -> None:
        await queue.put(tenant, entry("for ann", owner=user_digest(tenant, "ann")))
        await queue.put(tenant, entry("for bob", owner=user_digest(tenant, "bob")))
        await queue.put(tenant, entry("for all"))
        assert await queue.forget(tenant, "ann")
        assert {each.text for each in (await queue.waiting(tenant)).entries} == {"for bob", "for all"}

    run(valkey.url, test)


def test_what_waits_of_one_person_ends_by_itself_within_a_day(valkey: Valkey, redis: Redis, tenant: str) -> None:
    half_a_day = 43_200_000

    async def test(queue: ReviewQueue, cache: AnswerCache) -> None:
        await queue.put(tenant, entry("for all"))
        await queue.put(tenant, entry("for ann", created_ms=1_000_000, owner=user_digest(tenant, "ann")))
        await queue.put(tenant, entry("for bob", created_ms=1_000_001 + half_a_day, owner=user_digest(tenant, "bob")))
        found = await queue.waiting(tenant)
        assert ([each.text for each in found.entries], found.dropped) == (["for all", "for bob"], 1)

    run(valkey.url, test)
    for key, life in (("review", 60 * half_a_day), ("review:own", half_a_day)):
        for each in (key, f"{key}:order"):
            assert life - 600_000 < redis.pttl(entry_name(tenant, each)) <= life, each


def test_what_waits_of_one_person_from_before_it_had_keys_of_its_own_is_still_found(valkey: Valkey, redis: Redis, tenant: str) -> None:
    for text, user in (("for ann", "ann"), ("for bob", "bob"), ("for cem", "cem")):
        old = entry(text, owner=user_digest(tenant, user))
        redis.hset(entry_name(tenant, "review"), old.id, msgspec.json.encode(old))
        redis.zadd(entry_name(tenant, "review:order"), {old.id: old.created_ms})

    async def test(queue: ReviewQueue, cache: AnswerCache) -> None:
        assert await queue.forget(tenant, "ann")
        await queue.reject(tenant, entry("for bob").id, "eve")
        assert [each.text for each in (await queue.waiting(tenant)).entries] == ["for cem"]

    run(valkey.url, test)


def test_an_unreadable_entry_is_passed_over(valkey: Valkey, redis: Redis, tenant: str) -> None:
    redis.hset(entry_name(tenant, "review"), "abc", b"not ours")
    redis.zadd(entry_name(tenant, "review:order"), {"abc": 1})

    async def test(queue: ReviewQueue, cache: AnswerCache) -> None:
        await queue.put(tenant, entry())
        assert (await queue.waiting(tenant)).total == 1
        with pytest.raises(NoSuchEntryError):
            await queue.approve(tenant, "abc", "ann")

    run(valkey.url, test)


def test_without_redis_the_job_goes_on_and_a_person_gets_a_sentence(tmp_path: Path) -> None:
    with run_valkey(tmp_path) as server:

        async def test(queue: ReviewQueue, cache: AnswerCache) -> None:
            server.kill()
            assert await queue.put("t", entry()) == "away"
            assert await queue.was_rejected("t", text_hash("anything"))  # rather the template than a text thrown out
            assert not await queue.forget("t", "ann")
            assert not await queue.holds("t", "0" * 32), "the budget cannot be read either, so no call is made"
            for call in (queue.waiting("t"), queue.approved("t"), queue.approve("t", "abc", "ann"), queue.reject("t", "abc", "ann")):
                with pytest.raises(ReviewUnavailableError, match=r"Redis did not answer \(.*\); check that") as caught:
                    await call
                assert "correct-horse" not in str(caught.value)

        run(server.url, test)
