"""Listens to the channel on which the job announces its writes, once for the whole process, and wakes the streams of that user."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from redis.exceptions import RedisError

from sinks.redis.async_client import connect_subscriber
from sinks.redis.errors import RecommendationStoreError
from state.backoff import backoff_seconds
from state.records.recommendation import UPDATES

_LOG = logging.getLogger(__name__)

_CONNECT_SECONDS: Final = 2.0
_PING_SECONDS: Final = 5.0
_SILENCE_SECONDS: Final = 15.0
"""Without an answer to pings for so long the connection is dead, though no error says so."""
_LONGEST_PAUSE: Final = 2.0


class Updates:
    """Who follows which user. One subscriber a process, whatever the number of streams."""

    def __init__(self, url_of: Callable[[], str | None]) -> None:
        """Connect when ``start`` is called. ``url_of`` returns None while there is no server."""
        self._url_of = url_of
        self._followers: dict[tuple[str, str], set[asyncio.Event]] = {}
        self._task: asyncio.Task[None] | None = None
        self.connected = False

    def start(self) -> None:
        """Begin to listen, in a task."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def follow(self, tenant: str, user: str, changed: asyncio.Event) -> None:
        """Set ``changed`` whenever the user's records may have changed."""
        self._followers.setdefault((tenant, user), set()).add(changed)

    def unfollow(self, tenant: str, user: str, changed: asyncio.Event) -> None:
        """Undo ``follow``."""
        followers = self._followers.get((tenant, user), set())
        followers.discard(changed)
        if not followers:
            self._followers.pop((tenant, user), None)

    async def _run(self) -> None:
        attempt = 0
        while True:
            try:
                url = self._url_of()
                if url is not None:
                    await self._listen(url)
            except (RedisError, OSError, TimeoutError, RecommendationStoreError) as error:
                if self.connected or attempt == 0:
                    _LOG.warning("cannot listen for updates (%s); streams look for themselves until it works again", error)
                attempt = 0 if self.connected else attempt + 1
                self.connected = False
            await asyncio.sleep(backoff_seconds(attempt, first=0.1, longest=_LONGEST_PAUSE, jitter=0.5))

    async def _listen(self, url: str) -> None:
        client = connect_subscriber(url, _CONNECT_SECONDS)
        try:
            async with client.pubsub() as channels:
                await channels.psubscribe(f"{UPDATES}*")
                heard = time.monotonic()
                while True:
                    message = await channels.get_message(ignore_subscribe_messages=False, timeout=_PING_SECONDS)
                    if message is not None:
                        heard = time.monotonic()
                        self._take(message)
                    elif time.monotonic() - heard > _SILENCE_SECONDS:
                        raise TimeoutError("no answer to pings")
                    else:
                        await channels.ping()
        finally:
            await client.aclose()

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "psubscribe":
            self.connected = True
            for followers in list(self._followers.values()):  # what was announced before was missed
                for changed in followers:
                    changed.set()
        elif message["type"] == "pmessage":
            tenant = message["channel"].decode(errors="replace").removeprefix(UPDATES)
            for changed in self._followers.get((tenant, message["data"].decode(errors="replace")), ()):
                changed.set()
