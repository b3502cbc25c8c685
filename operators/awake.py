"""Keeps in memory only the snapshot of people who were not active lately (an LRU cache of decoded people).

A person is *awake* while the objects that the fold needs are in memory, and *at rest* as bytes. At rest it takes about a third of the
memory. Decoding it again costs about half as much as folding an event (``benchmarks.user_memory``). The ``AWAKE`` people who were active
last stay awake, as they are likely to be active again. Others are encoded when they come to rest. So at the end of an epoch, when the
engine waits for the snapshots, at most ``AWAKE`` of the active people are left to be encoded.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final, Protocol

AWAKE: Final = 20_000
"""How many people of one worker stay awake. Each takes up to 10 KB."""


class Sleeper(Protocol):
    """A person in the dataflow that can be put to rest."""

    def rest(self) -> None:
        """Drop the objects and keep the bytes of the snapshot."""
        ...


class AwakePeople:
    """One for each flow object. Workers have queues of their own, looked up as in ``operators/timer_registry.py``."""

    def __init__(self, most: int = AWAKE) -> None:
        """``most``: people who stay awake on a worker."""
        self._most: Final = most
        self._queues: dict[int, OrderedDict[Sleeper, None]] = {}

    def active(self, person: Sleeper) -> None:
        """Note that ``person`` is awake and active now. If too many are awake, put the one to rest whose activity is longest ago."""
        thread = threading.get_ident()
        queue = self._queues.get(thread)
        if queue is None:
            queue = self._queues[thread] = OrderedDict()
        queue[person] = None
        queue.move_to_end(person)
        if len(queue) > self._most:
            queue.popitem(last=False)[0].rest()
