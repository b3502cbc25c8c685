"""``GET /v1/stream``: server-sent events with the records of one user, whenever they change.

The id of an event is ``V.R.P.D.E``: version and rank of the recommendation that the reader has, version of the progress, and the digests of
both, which tell records of one version apart. A reader that comes back sends it as ``Last-Event-ID`` and gets only what is different. An id
of an earlier gateway ends after ``P``, and is read too.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from gateway.authentication import Authenticator
from gateway.caller import Caller
from gateway.errors import RefusedError, unavailable
from gateway.headers import release_head
from gateway.records import Records, Stored
from gateway.stopping import Stopping
from gateway.updates import Updates

HEARTBEAT_SECONDS: Final = 15.0
"""Below the idle limit of proxies (often 30 or 60 s), and of readers that take silence for a broken connection."""
REREAD_SECONDS: Final = 5.0
"""How often a stream looks by itself: announcements may be lost, or not allowed. 1,000 streams make 200 reads a second of this."""
MOST_STREAMS: Final = 5_000
MOST_OF_ONE_USER: Final = 20
LONGEST_SECONDS: Final = 3_600.0
"""A stream of a server key ends after an hour, so that balancers can move it."""
_SEND_SECONDS: Final = 30.0
"""A reader that makes no room for the next event in this time is gone, or too slow for a stream."""
_ID: Final = re.compile(r"(\d{1,18})\.(\d)\.(\d{1,18})(?:\.([0-9a-f]{1,8})\.([0-9a-f]{1,8}))?")

_NOTHING: Final = (-1, 0)
"""Older than every record."""

T = TypeVar("T")

_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class StreamRoute:
    """An ASGI endpoint: one call is one stream."""

    def __init__(
        self, authenticator: Authenticator, records: Records, updates: Updates, stopping: Stopping, clock: Callable[[], int]
    ) -> None:
        """``clock`` is in milliseconds since 1970 UTC."""
        self._authenticator = authenticator
        self._records = records
        self._updates = updates
        self._stopping = stopping
        self._clock = clock
        self._streams = 0
        self._of_users: Counter[tuple[str, str]] = Counter()
        """Streams of each user who has some. ``updates`` has other followers too: requests that wait for the job."""
        self._of_tenants: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one stream, until the reader goes, the token expires, or the server ends. Raises ``RefusedError`` before it begins.

        HEAD, which the router takes wherever it takes GET, gets the same headers or refusal, and ends there.
        """
        request = Request(scope)
        named = request.query_params.get("userId")
        caller = self._authenticator.reader(scope, named)
        user = caller.user or named or ""
        if not 1 <= len(user) <= 256:
            raise RefusedError(400, "bad_user_id", "name the user: /v1/stream?userId=…")
        if self._streams >= MOST_STREAMS:
            raise unavailable("this gateway has as many streams as it can serve; poll, or try again", 10)
        account = caller.tenant, user
        if self._of_users[account] >= MOST_OF_ONE_USER:
            raise _too_many("the user has too many streams open; close some")
        if self._of_tenants[caller.tenant] >= self._authenticator.share_of_tenant(MOST_STREAMS):
            raise _too_many("the tenant has as many streams as it may have in this gateway; poll, or try again")
        if scope["method"] == "HEAD":
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await send({"type": "http.response.body", "body": b""})
            return
        changed = asyncio.Event()
        changed.set()  # read at once, after following: an announcement between the two is not missed
        self._streams += 1
        self._of_users[account] += 1
        self._of_tenants[caller.tenant] += 1
        self._updates.follow(caller.tenant, user, changed)
        self._stopping.watch(changed)
        stream = _Stream(self, caller, user, changed, request.headers.get("last-event-id", ""))
        del request
        release_head(scope)
        try:
            await stream.run(receive, send)
        finally:
            self._stopping.unwatch(changed)
            self._updates.unfollow(caller.tenant, user, changed)
            self._streams -= 1
            _end_one(self._of_users, account)
            _end_one(self._of_tenants, caller.tenant)

    async def read(self, caller: Caller, user: str) -> tuple[Stored | None, Stored | None] | None:
        """Return recommendation and progress; None while they cannot be read."""
        try:
            return await self._records.read(caller.tenant, user)
        except RefusedError:
            return None

    def ended(self, caller: Caller) -> bool:
        """Whether the stream must end."""
        return self._stopping.stopped or not self._authenticator.still_valid(caller)

    def seconds_left(self, caller: Caller) -> float:
        """Return for how long the credential is in force."""
        return LONGEST_SECONDS if caller.expires_at is None else max(0.0, caller.expires_at - self._clock() / 1000)

    def is_expired(self, stored: Stored) -> bool:
        """Whether a record should no longer be shown."""
        return stored.expires is not None and stored.expires <= self._clock()


class _Seen:
    """What a reader has of one record."""

    __slots__ = ("_deleted", "digest", "place", "resumed")

    def __init__(self, place: tuple[int, int] | None, digest: str | None) -> None:
        """``place``, ``digest``: what the reader had when it came back; None if it is new, or if its id had no digest."""
        self.place = place if place is not None and place[0] > 0 else _NOTHING  # 0 is told to a reader that has nothing
        self.resumed = place is not None
        self.digest = digest
        self._deleted = False

    def news(self, stored: Stored | None) -> Stored | None:
        """Return what the reader must get now that ``stored`` is there, None for nothing; and take note that it has it.

        That is what is newer; a deletion, which beats every version; and after a crash of the job the same version with another content.
        For a reader that came back it is whatever differs: a job that began anew may write lower versions. A record that is there no
        more, because it or its tombstone ran out, is told as a deletion to who had it.
        """
        resumed, self.resumed = self.resumed, False
        if stored is None:
            gone = None if self.place == _NOTHING or self._deleted else Stored.tombstone(self.place[0])
            self.place, self.digest, self._deleted = _NOTHING, None, False
            return gone
        digest = stored.digest
        changed = self.digest is not None and self.digest != digest
        if resumed:
            news = stored.place != self.place or changed or stored.deleted
        elif stored.deleted or self._deleted:
            news = stored.deleted != self._deleted
        else:
            news = stored.place > self.place or (stored.place == self.place and changed)
        if news or resumed:
            self.place, self.digest, self._deleted = stored.place, digest, stored.deleted
        return stored if news else None


class _Stream:
    """What one reader has got. It holds no queue: a reader that is slow gets the newest record, and misses those between."""

    def __init__(self, route: StreamRoute, caller: Caller, user: str, changed: asyncio.Event, last_id: str) -> None:
        self._route = route
        self._caller = caller
        self._user = user
        self._changed = changed
        known = _ID.fullmatch(last_id)
        self._recommendation = _Seen((int(known[1]), int(known[2])), known[4]) if known else _Seen(None, None)
        self._progress = _Seen((int(known[3]), 0), known[5]) if known else _Seen(None, None)
        self._gone = False

    async def run(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        watcher = asyncio.create_task(self._watch(receive))
        loop = asyncio.get_running_loop()
        end = loop.time() + min(self._route.seconds_left(self._caller), LONGEST_SECONDS)
        beat = loop.time() + HEARTBEAT_SECONDS
        try:
            await _send(send, b"retry: 1000\n\n")
            while not (self._gone or self._route.ended(self._caller) or loop.time() >= end):
                self._changed.clear()
                found = await self._route.read(self._caller, self._user)
                text = b"" if found is None else self._news(*found)
                if not text and loop.time() >= beat:
                    text = b": heartbeat\n\n"
                if text:
                    await _send(send, text)
                    beat = loop.time() + HEARTBEAT_SECONDS
                wait = min(1.0 if found is None else REREAD_SECONDS, beat - loop.time(), end - loop.time())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), max(0.0, wait))
            if not self._gone:
                await asyncio.wait_for(send({"type": "http.response.body", "body": b"", "more_body": False}), _SEND_SECONDS)
        except TimeoutError:  # the reader is gone or too slow; ending the response closes the connection
            return
        finally:
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._changed.set()

    def _news(self, recommendation: Stored | None, progress: Stored | None) -> bytes:
        """Return the events that the reader must get."""
        text = b""
        if recommendation is not None and self._route.is_expired(recommendation):
            recommendation = None
        for name, seen, stored in ((b"recommendation", self._recommendation, recommendation), (b"progress", self._progress, progress)):
            news = seen.news(stored)
            if news is not None:
                text += self._event(name, news)
        return text

    def _event(self, name: bytes, stored: Stored) -> bytes:
        version, rank = self._recommendation.place
        progress, _ = self._progress.place
        digests = f"{self._recommendation.digest or 0}.{self._progress.digest or 0}".encode()
        data = stored.data
        if b"\n" in data or b"\r" in data:
            data = msgspec.json.encode(msgspec.json.decode(data))  # an event's data is one line
        return b"id: %d.%d.%d.%b\nevent: %b\ndata: %b\n\n" % (max(0, version), rank, max(0, progress), digests, name, data)


def _end_one(counter: Counter[T], key: T) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


def _too_many(sentence: str) -> RefusedError:
    return RefusedError(429, "too_many_streams", sentence, headers={"retry-after": "10"})


async def _send(send: Send, text: bytes) -> None:
    await asyncio.wait_for(send({"type": "http.response.body", "body": text, "more_body": True}), _SEND_SECONDS)
