"""Keeps in memory only the snapshot of people who were not active lately (an LRU cache of decoded people).

A person is *awake* while the objects that the fold needs are in memory, and *at rest* as bytes. At rest it takes less than half of the
memory (``benchmarks.user_memory``), and is decoded for the next event. The ``AWAKE`` people who were active last stay awake, as they are
likely to be active again. Others are encoded when they come to rest, and those awake while the source has nothing to read. So at the end
of an epoch, when the engine waits for all snapshots, most of them are there.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from itertools import islice
from typing import Final, Protocol

AWAKE: Final = 20_000
"""How many people of one worker stay awake. Each takes some 7 KB (``benchmarks.user_memory``)."""

AT_ONCE: Final = 16
"""How many people are encoded before the source is asked again. It must take less than the millisecond of ``BatchPolicy``."""


class Sleeper(Protocol):
    """A person in the dataflow that can be put to rest."""

    def snapshot(self) -> bytes:
        """Encode the person, and keep the bytes. Calls ``AwakePeople.encoded``."""
        ...

    def rest(self) -> None:
        """Drop the objects and keep the bytes of the snapshot."""
        ...


class AwakePeople:
    """One for each flow object. Workers have queues of their own, looked up as in ``operators/timer_registry.py``."""

    def __init__(self, most: int = AWAKE) -> None:
        """``most``: people who stay awake on a worker."""
        self._most: Final = most
        self._queues: dict[int, _Queues] = {}

    def active(self, person: Sleeper) -> None:
        """Note that ``person`` is awake and has changed. If too many are awake, put the one to rest whose activity is longest ago."""
        queues = self._of_this_thread()
        queues.changed[person] = None
        awake = queues.awake
        awake[person] = None
        awake.move_to_end(person)
        if len(awake) > self._most:
            awake.popitem(last=False)[0].rest()

    def encoded(self, person: Sleeper) -> None:
        """Note that the snapshot of ``person`` is there."""
        self._of_this_thread().changed.pop(person, None)

    def encode_some(self) -> None:
        """Encode some people who have changed. For moments at which there is nothing else to do."""
        for person in tuple(islice(self._of_this_thread().changed, AT_ONCE)):
            person.snapshot()

    def _of_this_thread(self) -> _Queues:
        thread = threading.get_ident()
        queues = self._queues.get(thread)
        if queues is None:
            queues = self._queues[thread] = _Queues()
        return queues


class _Queues:
    """``awake``: people by their last activity. ``changed``: people without a snapshot of what they are now."""

    __slots__ = ("awake", "changed")

    def __init__(self) -> None:
        self.awake: OrderedDict[Sleeper, None] = OrderedDict()
        self.changed: dict[Sleeper, None] = {}
