"""Tells long requests that the server ends."""

from __future__ import annotations

import asyncio


class Stopping:
    """Set once, by a signal. Streams wait for it."""

    def __init__(self) -> None:
        self._stopped = False
        self._events: set[asyncio.Event] = set()

    @property
    def stopped(self) -> bool:
        """Whether the server ends."""
        return self._stopped

    def stop(self) -> None:
        """Wake all that wait. Call it on the event loop, or from a signal handler of it."""
        self._stopped = True
        for event in list(self._events):
            event.set()

    def watch(self, event: asyncio.Event) -> None:
        """Set ``event`` when the server ends; at once if it does already."""
        self._events.add(event)
        if self._stopped:
            event.set()

    def unwatch(self, event: asyncio.Event) -> None:
        """Forget ``event``."""
        self._events.discard(event)
