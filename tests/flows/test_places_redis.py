"""What Redis holds about a user is found and goes, and nothing of others goes with it: on a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from flows.places.redis import ModelTexts, UserRecords
from llm.cache.answer_cache import AnswerCache, CachedText, CachePolicy, text_hash, user_digest
from llm.review_queue import ReviewEntry, ReviewPolicy, ReviewQueue
from sinks.redis.async_client import connect_async
from sinks.redis.client import connect
from sinks.redis.errors import StoreUnavailableError
from sinks.redis.record import TOMBSTONE
from state.records.progress import progress_key
from state.records.recommendation import redis_key, shown_key
from state.records.subject import Deletion, Subject
from state.times import milliseconds_of
from tests.support.valkey import Valkey
from tests.support.valkey_fixtures import valkey
from tests.support.waiting import run_async, wait_until

__all__ = ["valkey"]  # fixtures

ANN, BEN = Subject("default", ("ann-who-leaves", "cookie-of-ann")), Subject("default", ("ben-who-stays",))
OTHER = Subject("other", ANN.ids)
NOBODY = "redis://127.0.0.1:1"


@pytest.fixture
def redis(valkey: Valkey) -> Iterator[Redis]:
    client = connect(valkey.url)
    client.flushall()
    yield client
    client.close()


def test_records_go_a_tombstone_stays_until_maintenance_and_then_no_byte_is_left(valkey: Valkey, redis: Redis) -> None:
    user, visitor = ANN.ids
    hers = [redis_key("default", user), progress_key("default", user), shown_key("default", visitor)]
    for key in (*hers, redis_key("default", BEN.ids[0]), redis_key("other", user)):
        redis.set(key, b'{"userId": "somebody"}')
    tombstone = redis_key("default", visitor)
    redis.set(tombstone, TOMBSTONE + b': true, "version": 1}')
    place = UserRecords(valkey.url, embedded=True)
    assert place.held(ANN) == [{"key": key, "value": {"userId": "somebody"}} for key in hers]
    place.erase(ANN)
    assert (place.held(ANN), len(place.held(BEN)), len(place.held(OTHER))) == ([], 1, 1)
    assert redis.get(tombstone) is not None
    place.maintain(ANN)
    assert redis.get(tombstone) is None
    redis.delete(redis_key("other", user))  # has the same id
    UserRecords(valkey.url, embedded=True).maintain(ANN)

    def bytes_left() -> bytes:
        return b"".join(path.read_bytes() for path in valkey.directory.rglob("*") if path.is_file())

    wait_until(lambda: not any(each.encode() in bytes_left() for each in ANN.ids), "a file without her ids")
    assert BEN.ids[0].encode() in bytes_left()


def test_records_of_a_new_life_stay(valkey: Valkey, redis: Redis) -> None:
    user, visitor = ANN.ids
    deleted = ANN._replace(deleted=Deletion(0, milliseconds_of("2026-01-05T08:00:00Z")))
    redis.set(redis_key("default", user), b'{"createdAt": "2026-01-05T08:00:00.001Z"}')
    redis.set(shown_key("default", user), b"decision")
    redis.set(progress_key("default", visitor), b'{"updatedAt": "2026-01-05T08:00:00.000Z"}')
    place = UserRecords(valkey.url)
    assert [each["key"] for each in place.held(deleted)] == [progress_key("default", visitor)]
    place.erase(deleted)
    place.maintain(deleted)
    assert sorted(redis.keys("*")) == sorted(each("default", user).encode() for each in (redis_key, shown_key))


def entry(number: int, subject: Subject) -> ReviewEntry:
    owner = user_digest(subject.tenant, subject.ids[-1])
    return ReviewEntry(f"{number:032}", "personal", "For {name}", 0.5, "v", "step", "signup", "arm", "small", number, "why", owner)


def test_texts_that_a_model_wrote_for_her_go_and_those_of_others_stay(valkey: Valkey, redis: Redis) -> None:
    async def write() -> None:
        client = connect_async(valkey.url, 10.0)
        try:
            cache = AnswerCache(client, CachePolicy(wait_seconds=10.0))
            queue = ReviewQueue(client, ReviewPolicy(wait_seconds=10.0), now_ms=lambda: 1_000)
            for number, subject in enumerate((ANN, BEN, OTHER)):
                text = CachedText("For {name}", 0.9, "small", "v", text_hash("For {name}"), 1_000)
                await cache.put(subject.tenant, f"{number:032}", text, user=subject.ids[0])
                assert await queue.put(subject.tenant, entry(number, subject)) == "queued"
        finally:
            await client.aclose()

    run_async(write())
    place = ModelTexts(valkey.url)
    held = place.held(ANN)
    assert [*(each["cached"]["text"] for each in held if "cached" in each), held[-1]] == ["For {name}", {"waitsForReview": "For {name}"}]
    assert len(held) == 2
    place.erase(ANN)
    assert [len(place.held(each)) for each in (ANN, BEN, OTHER)] == [0, 2, 2]


@pytest.mark.parametrize("url", [NOBODY, NOBODY.replace("redis://", "redis+cluster://")])
def test_a_server_that_does_not_answer_is_no_empty_one(url: str) -> None:
    for ask in (UserRecords(url).held, UserRecords(url).erase, ModelTexts(url).held):
        with pytest.raises(StoreUnavailableError, match="did not answer"):
            ask(ANN)
    with pytest.raises(StoreUnavailableError, match="did not confirm"):
        ModelTexts(url).erase(ANN)
