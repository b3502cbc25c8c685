"""Keeps in memory only the snapshot of people who are not active again soon (a cache of decoded people).

A person is *awake* while the objects that the fold needs are in memory, and *at rest* as bytes. At rest it takes less than half of the
memory (``benchmarks.user_memory``), and is decoded for the next event. The cache works as 2Q (Johnson and Shasha, VLDB 1994): after an
activity a person comes to rest at once, and is remembered until ``AWAKE`` others have come to rest who did not return. Who is active again
while it is remembered stays awake, until ``AWAKE`` others who returned were active since. So many people who come once do not displace
those who return, and each of them is encoded while it is in the processor's cache, where that costs least.

People are encoded when they come to rest, and those awake while the source has nothing to read. So at the end of an epoch, when the engine
waits for all snapshots, most of them are there.
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
        """Note that ``person`` is awake and has changed. It or another one is put to rest, unless ``most`` have room for it."""
        queues = self._of_this_thread()
        awake, seen_once = queues.awake, queues.seen_once
        if person in awake:
            awake.move_to_end(person)
        elif person in seen_once:
            del seen_once[person]
            awake[person] = None
            if len(awake) > self._most:
                awake.popitem(last=False)[0].rest()
        else:
            person.rest()
            seen_once[person] = None
            if len(seen_once) > self._most:
                seen_once.popitem(last=False)
            return
        queues.changed[person] = None

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
    """``awake``: people by their last activity. ``changed``: people without a snapshot of what they are now.

    ``seen_once``: people at rest who stay awake if they are active again, by when they came to rest.
    """

    __slots__ = ("awake", "changed", "seen_once")

    def __init__(self) -> None:
        self.awake: OrderedDict[Sleeper, None] = OrderedDict()
        self.changed: dict[Sleeper, None] = {}
        self.seen_once: OrderedDict[Sleeper, None] = OrderedDict()
