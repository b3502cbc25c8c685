"""Identical calls that run at the same time become one: a thousand people who reach the same step in the same second cost one call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")


class CallEndedError(Exception):
    """A shared call was cancelled from within or by ``close``, while a request still waited for it; or ``close`` came before it."""


class _Call(Generic[T]):
    def __init__(self, task: asyncio.Task[T]) -> None:
        self.task: Final = task
        self.waiters = 0


class SingleFlight(Generic[T]):
    """The running calls, by key. Use it from one event loop."""

    def __init__(self) -> None:
        self._running: Final[dict[str, _Call[T]]] = {}
        self._tasks: Final[set[asyncio.Task[T]]] = set()
        self._closed = False

    async def share(self, key: str, make: Callable[[], Awaitable[T]]) -> T:
        """Return the result of the running call for ``key``; where none runs, ``make`` starts it.

        An exception of the call reaches every waiter. A cancelled waiter leaves; the call goes on for the others, and is cancelled when the
        last one leaves. Raises ``CallEndedError`` where the call was cancelled while this waiter still waited, and after ``close``.
        """
        if self._closed:
            raise CallEndedError("No call starts any more.")
        call = self._running.get(key)
        if call is None:
            call = self._start(key, make)
        call.waiters += 1
        try:
            await asyncio.wait((call.task,))
        finally:
            call.waiters -= 1
            if call.waiters == 0 and not call.task.done():
                self._remove(key, call)  # at once: a new request must not join a call that is being cancelled
                call.task.cancel()
        if call.task.cancelled():
            raise CallEndedError("The shared call was cancelled.")
        return call.task.result()

    def is_running(self, key: str) -> bool:
        """Whether a request for ``key`` would join a running call."""
        return key in self._running

    def __len__(self) -> int:
        """How many calls run, those that are being cancelled included."""
        return len(self._tasks)

    async def close(self) -> None:
        """Cancel every call, start none any more, and return once all have ended."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, key: str, make: Callable[[], Awaitable[T]]) -> _Call[T]:
        async def run() -> T:
            return await make()

        call = _Call(asyncio.create_task(run()))
        self._running[key] = call
        self._tasks.add(call.task)

        def ended(task: asyncio.Task[T]) -> None:
            self._tasks.discard(task)
            self._remove(key, call)
            if not task.cancelled():
                task.exception()  # marks it as retrieved, also where every waiter has left

        call.task.add_done_callback(ended)
        return call

    def _remove(self, key: str, call: _Call[T]) -> None:
        if self._running.get(key) is call:
            del self._running[key]
