"""Redis: the records that apps read, and the texts that a model wrote for the user alone."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, cast

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisError

from flows.places.place import Place
from llm.cache.answer_cache import AnswerCache, CachePolicy, entry_name, index_name, user_digest
from llm.review_queue import ReviewPolicy, ReviewQueue, ReviewUnavailableError
from sinks.redis.async_client import connect_async
from sinks.redis.client import ANSWER_SECONDS, RedisServers, connect, refusal
from sinks.redis.errors import RecommendationStoreError, StoreUnavailableError
from sinks.redis.record import TOMBSTONE
from state.records.progress import progress_key
from state.records.recommendation import redis_key, shown_key
from state.records.subject import Subject
from state.times import milliseconds_of

T = TypeVar("T")
_MOST: Final = 1_000_000
_REWRITING: Final = ("aof_rewrite_in_progress", "aof_rewrite_scheduled")
_REWRITE_S: Final = 120.0
_PAUSE_S: Final = 0.1


class UserRecords(Place):
    """The recommendation, the progress and the decision shown last, for each id."""

    name = "redis"
    note = "a tombstone without content, under a key with the id, for ten minutes"

    def __init__(self, url: str, *, embedded: bool = False) -> None:
        """Open no connection yet. ``embedded``: the server is the data directory's own."""
        self._url, self._embedded = url, embedded

    def held(self, subject: Subject) -> list[Any]:
        """Return each record that is not a tombstone."""
        records = self._records(subject)
        return [{"key": key, "value": _readable(data)} for key, data in records.items() if not data.startswith(TOMBSTONE)]

    def erase(self, subject: Subject) -> None:
        """Remove the records. A tombstone of the job stays."""
        named = {each["key"] for each in self.held(subject)}
        self._ask(subject, lambda client, key: client.delete(key) if key in named else None)

    def maintain(self, subject: Subject) -> None:
        """Remove tombstones too: without a job nobody writes late. The embedded server writes its file again without what was removed."""
        named = self._records(subject)
        self._ask(subject, lambda client, key: client.delete(key) if key in named else None)
        if not self._embedded:
            return
        client = connect(self._url)
        try:
            client.bgrewriteaof()
            deadline = time.monotonic() + _REWRITE_S
            while any(client.info("persistence")[name] for name in _REWRITING):
                if time.monotonic() > deadline:
                    raise StoreUnavailableError("Redis does not end writing its file again; repeat the command.")
                time.sleep(_PAUSE_S)
        except (RedisError, OSError) as error:
            raise StoreUnavailableError(f"Redis did not write its file again ({type(error).__name__}); repeat the command.") from error
        finally:
            client.close()

    def _records(self, subject: Subject) -> dict[str, bytes]:
        """All records, tombstones too, but those of an id that has begun a new life since the deletion."""
        found = {key: data for key, data in self._ask(subject, lambda client, key: client.get(key)) if data is not None}
        for each in subject.ids:
            keys = [make(subject.tenant, each) for make in (redis_key, progress_key, shown_key)]
            if any(key in found and not subject.is_before(_written_at(found[key])) for key in keys):
                found = {key: data for key, data in found.items() if key not in keys}
        return found

    def _ask(self, subject: Subject, ask: Callable[[Any, str], Any]) -> list[tuple[str, Any]]:
        keys = [make(subject.tenant, each) for each in subject.ids for make in (redis_key, progress_key, shown_key)]
        servers = RedisServers(self._url)
        try:
            routes = servers.routes([key.encode() for key in keys])
            return [(keys[at], ask(client, keys[at])) for client, positions in routes for at in positions]
        except (RedisError, OSError) as error:
            raise _failure(error, self._url) from error
        finally:
            servers.close()


class ModelTexts(Place):
    """Texts that a model wrote for the user alone: cached, or waiting for a review."""

    name = "model_texts"

    def __init__(self, url: str) -> None:
        """Open no connection yet."""
        self._url = url

    def held(self, subject: Subject) -> list[Any]:
        """Return the texts."""
        return self._run(lambda client: _texts(client, subject))

    def erase(self, subject: Subject) -> None:
        """Remove the texts."""

        async def forget(client: Redis | RedisCluster) -> bool:
            cache = AnswerCache(client, CachePolicy(wait_seconds=ANSWER_SECONDS))
            queue = ReviewQueue(client, ReviewPolicy(wait_seconds=ANSWER_SECONDS))
            done = [await each.forget(subject.tenant, user) for user in subject.ids for each in (cache, queue)]
            return all(done)

        if not self._run(forget):
            raise StoreUnavailableError("Redis did not confirm that the texts of a model are erased; repeat the command.")

    def _run(self, act: Callable[[Redis | RedisCluster], Awaitable[T]]) -> T:
        async def run() -> T:
            client = connect_async(self._url, ANSWER_SECONDS)
            try:
                return await act(client)
            except ReviewUnavailableError as error:
                raise _failure(error.__cause__ or error, self._url) from error.__cause__
            except (RedisError, OSError) as error:
                raise _failure(error, self._url) from error
            finally:
                await client.aclose()

        return asyncio.run(run())


async def _texts(client: Redis | RedisCluster, subject: Subject) -> list[Any]:
    found: list[Any] = []
    owners = {user_digest(subject.tenant, each) for each in subject.ids}
    for owner in sorted(owners):
        for key in sorted(await cast("Awaitable[set[bytes]]", client.smembers(index_name(subject.tenant, owner)))):
            data = await cast("Awaitable[bytes | None]", client.get(entry_name(subject.tenant, key.decode())))
            if data is not None:
                found.append({"cached": _readable(data)})
    queue = ReviewQueue(client, ReviewPolicy(wait_seconds=ANSWER_SECONDS))
    waiting = await queue.waiting(subject.tenant, _MOST)
    return [*found, *({"waitsForReview": each.text} for each in waiting.entries if each.owner in owners)]


def _failure(error: BaseException, url: str) -> RecommendationStoreError:
    """What the operator must change where Redis refused the request; else that it did not answer."""
    sentence = f"Redis did not answer ({type(error).__name__}); repeat the command when it runs."
    return refusal(error, url) or StoreUnavailableError(sentence)


def _written_at(data: bytes) -> int | None:
    """The log time (ms) of a record; None where it has none."""
    value = _readable(data)
    text = value.get("createdAt", value.get("updatedAt")) if isinstance(value, dict) else None
    try:
        return None if text is None else milliseconds_of(text)
    except (TypeError, ValueError, OverflowError):
        return None


def _readable(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode("utf-8", "replace")
