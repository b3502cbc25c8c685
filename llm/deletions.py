"""The people who were deleted, and whose own texts could not be removed yet. In memory: after a crash, the texts expire."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from state.backoff import backoff_seconds
from state.quantity import count

_LOG: Final = logging.getLogger(__name__)

_MOST: Final = 10_000
_LONGEST_PAUSE: Final = 60.0

_LAST_SECONDS: Final = 5.0
"""The longest wait for the last attempt, at the end of a run."""

People = OrderedDict[tuple[str, str], None]
"""Tenant and user, the oldest first."""


class Deletions:
    """Removes what was written for deleted people alone, at once or when Redis answers again. Use it from one event loop."""

    def __init__(self, remove: Callable[[str, str], Awaitable[bool]], *, most: int = _MOST, first_pause: float = 1.0) -> None:
        """``remove`` the texts of a user of a tenant; False where that failed. ``most`` people are remembered, and as many tried again."""
        self._remove: Final = remove
        self._most: Final = most
        self._first_pause: Final = first_pause
        self._deleted: Final = People()
        self._left: Final = People()
        self._again: asyncio.Task[None] | None = None
        self._closed = self._overfull = False

    def include(self, tenant: str, user: str) -> bool:
        """Whether the user was deleted lately: what a call that still runs writes for them must go again."""
        return (tenant, user) in self._deleted

    async def forget(self, tenant: str, user: str) -> None:
        """Remember the user as deleted and remove their texts. Never raises."""
        _add(self._deleted, (tenant, user), self._most)
        await self.remove(tenant, user)

    async def remove(self, tenant: str, user: str) -> None:
        """Remove the texts of a deleted user; where that fails, try again until it succeeds or ``close`` is called. Never raises."""
        if await self._remove(tenant, user):
            self._left.pop((tenant, user), None)
            return
        if not self._left:
            _LOG.warning("texts of a deleted user could not be removed from Redis; this is tried again until it succeeds")
        if _add(self._left, (tenant, user), self._most) and not self._overfull:
            self._overfull = True
            _LOG.warning(
                "the texts of more than %d deleted users wait to be removed from Redis; the oldest are not tried again, they expire within"
                " a day",
                self._most,
            )
        if not self._closed and (self._again is None or self._again.done()):
            self._again = asyncio.create_task(self._try_again())

    async def close(self) -> None:
        """Try once more, for five seconds at most, and say what is left."""
        self._closed = True
        if self._again is not None:
            self._again.cancel()
            await asyncio.gather(self._again, return_exceptions=True)
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                await self._remove_left()
        except TimeoutError:
            pass
        if self._left:
            _LOG.warning(
                "the texts of %s could not be removed from Redis; they expire within a day, and `onramp forget` removes them at once",
                count(len(self._left), "deleted user"),
            )

    async def _try_again(self) -> None:
        attempt = 0
        while self._left:
            await asyncio.sleep(backoff_seconds(attempt, first=self._first_pause, longest=_LONGEST_PAUSE, jitter=1.0))
            attempt += 1
            await self._remove_left()
        self._overfull = False
        _LOG.info("the texts of all deleted users are removed from Redis now")

    async def _remove_left(self) -> None:
        """Stop at the first failure: while Redis is away, each attempt waits for it."""
        for tenant, user in tuple(self._left):
            if not await self._remove(tenant, user):
                return
            self._left.pop((tenant, user), None)


def _add(people: People, person: tuple[str, str], most: int) -> bool:
    """Add ``person`` as the newest one; whether the oldest one had to go."""
    people[person] = None
    people.move_to_end(person)
    if len(people) <= most:
        return False
    people.popitem(last=False)
    return True
