"""Who of a worker's people is awake: in memory as the fold needs them. All others are at rest, as the bytes of their last snapshot.

A person at rest takes about a third of the memory, and waking one costs about half as much as folding an event
(``benchmarks.user_memory``). Whoever was active a moment ago is likely to be active again, so the latest ``AWAKE`` stay awake over the end
of an epoch.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final, Protocol

AWAKE: Final = 20_000
"""People of one worker who stay awake at the end of an epoch. They take up to 10 KB each."""


class Sleeper(Protocol):
    """A person in the dataflow."""

    def rest(self) -> None:
        """Give up what the last snapshot holds too, unless something has changed since."""
        ...


class AwakePeople:
    """One for each flow object. Workers have queues of their own, looked up as in ``operators/timer_registry.py``."""

    def __init__(self, most: int = AWAKE) -> None:
        """``most``: people who stay awake on a worker."""
        self._most: Final = most
        self._queues: dict[int, OrderedDict[Sleeper, None]] = {}

    def snapshotted(self, person: Sleeper) -> None:
        """``person`` was active in the epoch that ends. Put whoever was active least recently to rest, where there are too many."""
        thread = threading.get_ident()
        queue = self._queues.get(thread)
        if queue is None:
            queue = self._queues[thread] = OrderedDict()
        queue[person] = None
        queue.move_to_end(person)
        if len(queue) > self._most:
            queue.popitem(last=False)[0].rest()
