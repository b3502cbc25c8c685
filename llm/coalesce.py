"""Identical calls in flight share one: a thousand people who reach the same step in the same second cost one call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")


class CallEndedError(Exception):
    """A shared call was cancelled from within or by ``close``, while somebody still waited for it."""


class _Flight(Generic[T]):
    def __init__(self, task: asyncio.Task[T]) -> None:
        self.task: Final = task
        self.waiters = 0


class Flights(Generic[T]):
    """The calls in flight, by key. Use it from one event loop.

    ``begun`` counts calls, ``joined`` those who waited for a call of another.
    """

    def __init__(self) -> None:
        self.begun = 0
        self.joined = 0
        self._flights: Final[dict[str, _Flight[T]]] = {}
        self._tasks: Final[set[asyncio.Task[T]]] = set()

    async def share(self, key: str, make: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Return what the call for ``key`` came to, and whether another had begun it. ``make`` begins it where none is in flight.

        What the call raises reaches everybody who waits for it. Whoever is cancelled leaves; the call goes on for the others, and is
        cancelled when the last one leaves. Raises ``CallEndedError`` where the call was cancelled under those who wait.
        """
        flight = self._flights.get(key)
        shared = flight is not None
        if flight is None:
            flight = self._begin(key, make)
            self.begun += 1
        else:
            self.joined += 1
        flight.waiters += 1
        try:
            await asyncio.wait((flight.task,))
        finally:
            flight.waiters -= 1
            if flight.waiters == 0 and not flight.task.done():
                self._land(key, flight)  # at once: who comes now shall not join a call that is ending
                flight.task.cancel()
        if flight.task.cancelled():
            raise CallEndedError("The shared call was cancelled.")
        return flight.task.result(), shared

    def flying(self, key: str) -> bool:
        """Whether who shares ``key`` now joins a call that is under way."""
        return key in self._flights

    def __len__(self) -> int:
        """How many calls run, those that are being cancelled included."""
        return len(self._tasks)

    async def close(self) -> None:
        """Cancel every call and return once all have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, key: str, make: Callable[[], Awaitable[T]]) -> _Flight[T]:
        async def call() -> T:
            return await make()

        flight = _Flight(asyncio.create_task(call()))
        self._flights[key] = flight
        self._tasks.add(flight.task)

        def ended(task: asyncio.Task[T]) -> None:
            self._tasks.discard(task)
            self._land(key, flight)
            if not task.cancelled():
                task.exception()  # seen, also where everybody has left meanwhile

        flight.task.add_done_callback(ended)
        return flight

    def _land(self, key: str, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
