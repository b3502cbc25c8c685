"""Reads what the job keeps of a user in Redis: the recommendation, and the progress."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisError

from gateway.errors import RefusedError, unavailable
from sinks.masked_url import mask_url
from sinks.redis.async_client import connect_async
from sinks.redis.errors import RecommendationStoreError
from state.records.progress import progress_key
from state.records.recommendation import redis_key

_LOG = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 1.0
"""How long a reader waits for Redis, which answers in milliseconds: an app that waits longer has shown its page by then."""


class _Head(msgspec.Struct, rename="camel"):
    version: int
    source: str = ""
    deleted: bool = False
    ui_component: str = ""
    expires_at: str = ""


_head = msgspec.json.Decoder(_Head)

_RANKS: Final = {"template": 0}
"""A model's text replaces the template of the same version, so it ranks above it."""


class Stored(NamedTuple):
    """One record as it is in Redis. ``rank`` orders records of one version. ``expires`` is in milliseconds since 1970, None for never."""

    data: bytes
    version: int
    rank: int
    deleted: bool
    empty: bool
    expires: int | None

    @classmethod
    def tombstone(cls, version: int) -> Stored:
        """Return what says that the record of this version is gone."""
        return cls(b'{"deleted":true,"version":%d}' % version, version, 0, deleted=True, empty=True, expires=None)

    @property
    def place(self) -> tuple[int, int]:
        """What is larger is newer."""
        return self.version, self.rank

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits of the content: after a crash of the job another record may have the same version."""
        return hashlib.blake2b(self.data, digest_size=4).hexdigest()

    @property
    def etag(self) -> str:
        """The entity tag."""
        return f'"{self.version}.{self.rank}.{self.digest}"'


class Records:
    """A client of the server that ``url_of`` names; it is asked again after a failure, because an embedded server changes its address."""

    def __init__(self, url_of: Callable[[], str | None]) -> None:
        """Open no connection yet. ``url_of`` returns None while there is no server."""
        self._url_of = url_of
        self._client: Redis | RedisCluster | None = None
        self._url: str | None = None
        self._down = False

    async def read(self, tenant: str, user: str) -> tuple[Stored | None, Stored | None]:
        """Return recommendation and progress, None for what is not there. Raises ``RefusedError`` (503) if Redis does not answer."""
        keys = [redis_key(tenant, user).encode(), progress_key(tenant, user).encode()]
        found = await self._ask(lambda client: client.mget(keys))
        return _read(found[0], "recommendation"), _read(found[1], "progress")

    async def recommendation(self, tenant: str, user: str) -> Stored | None:
        """Return the recommendation alone. Raises like ``read``."""
        return _read(await self._ask(lambda client: client.get(redis_key(tenant, user).encode())), "recommendation")

    async def progress(self, tenant: str, user: str) -> Stored | None:
        """Return the progress alone. Raises like ``read``."""
        return _read(await self._ask(lambda client: client.get(progress_key(tenant, user).encode())), "progress")

    async def add(self, key: str, by: int, *, keep_seconds: int) -> int:
        """Add to a counter, which ends after ``keep_seconds``, and return what it has then. Raises like ``read``."""

        async def change(client: Redis | RedisCluster) -> int:
            total = int(await client.incrby(key, by))
            await client.expire(key, keep_seconds)
            return total

        found: int = await self._ask(change)
        return found

    async def answers(self) -> bool:
        """Whether Redis answers now."""
        try:
            await self._ask(lambda client: client.get(b"onramp:ready"))
        except RefusedError:
            return False
        return True

    async def close(self) -> None:
        """Close all connections."""
        client, self._client = self._client, None
        await _close(client)

    async def _ask(self, request: Callable[[Any], Any]) -> Any:
        try:
            async with asyncio.timeout(2 * ANSWER_SECONDS):
                answer = await request(await self._connected())
        except (RedisError, OSError, TimeoutError) as error:
            if not self._down:
                _LOG.warning("Redis at %s does not answer (%s); reads are answered with 503", mask_url(self._url or ""), error)
            self._down = True
            raise unavailable("recommendations cannot be read now; keep what is shown, and ask again", 1) from error
        if self._down:
            _LOG.info("Redis answers again")
            self._down = False
        return answer

    async def _connected(self) -> Redis | RedisCluster:
        if self._client is not None and not self._down:
            return self._client
        url = self._url_of()
        if url is None:
            raise unavailable("the job does not run, so there is nothing to read; ask again later", 5)
        if self._client is not None and url == self._url:
            return self._client
        try:
            client = connect_async(url, ANSWER_SECONDS)
        except RecommendationStoreError as error:
            raise unavailable("the gateway has no valid address of Redis; its operator must correct it", 60) from error
        old, self._client, self._url = self._client, client, url  # before the next await: requests at the same time share the client
        await _close(old)
        return client


async def _close(client: Redis | RedisCluster | None) -> None:
    if client is not None:
        with suppress(RedisError, OSError):
            await client.aclose()


def _read(data: bytes | None, what: str) -> Stored | None:
    if data is None:
        return None
    try:
        head = _head.decode(data)
    except ValueError:
        _LOG.warning("a %s in Redis cannot be read; it counts as absent until the job replaces it", what)
        return None
    rank = 0 if head.deleted or not head.source else _RANKS.get(head.source, 1)
    return Stored(data, head.version, rank, head.deleted, head.ui_component == "none", _milliseconds(head.expires_at))


def _milliseconds(text: str) -> int | None:
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        return None
