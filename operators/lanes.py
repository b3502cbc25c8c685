"""lanes: keys that stand for workers, where a step keyed by something else lets other inputs pass, or must reach every worker.

Inputs of one person pass on the worker that owns the person: then the later step that is keyed by persons finds them there, and they go
from one process to another once, in one bundle for each batch.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import count
from typing import Final, TypeVar

from operators.placement import owner

_T = TypeVar("_T")
_LANE: Final = "lane "
_FOR_EACH: Final = 12
"""Keys for each worker where every worker must own one. With so many each of up to 512 workers owns one; a test checks it for up to 64."""
STATE_LANES: Final = 480
"""Lanes that have state, as many in every run: one with another number of workers must find it there. Of 32 workers one owns none with a
probability of 1e-5.
"""
_KEPT: Final = 32_768
"""Keys whose lane is remembered, as many as stream keys (``state/ids.py``)."""


class Lanes:
    """The lanes of a job with ``workers``, over all its processes. One for a flow; any thread may call it."""

    def __init__(self, workers: int) -> None:
        self.workers: Final = workers
        self.every: Final = [f"{_LANE}{number}" for number in range(workers * _FOR_EACH)]
        """Every worker owns at least one of these keys."""
        mine = [next(lane for lane in map(f"{_LANE}{{}}".format, count()) if owner(lane, workers) == worker) for worker in range(workers)]
        self.of: Final[Callable[[str], str]] = lru_cache(_KEPT)(lambda key: mine[owner(key, workers)])
        """The lane on the worker that owns a key."""

    def bundles(self, addressed: list[tuple[str, _T]]) -> list[tuple[str, list[tuple[str, _T]]]]:
        """Split a batch by the workers that own its keys. What has one key stays in order. One worker takes the whole batch."""
        if self.workers == 1:
            return [(self.of(""), addressed)] if addressed else []
        return by_key((self.of(each[0]), each) for each in addressed)


def by_key(addressed: Iterable[tuple[str, _T]]) -> list[tuple[str, list[_T]]]:
    """One list for each key, in order: the engine then sends, and encodes for another process, one item instead of many."""
    lists: defaultdict[str, list[_T]] = defaultdict(list)
    for key, each in addressed:
        lists[key].append(each)
    return list(lists.items())


def spread(key: str, parts: int) -> int:
    """Which of ``parts`` has all of ``key``. The same in every process and run: these numbers are keys of snapshots."""
    return zlib.crc32(key.encode()) % parts


def is_lane(key: str) -> bool:
    """Whether ``key`` is that of a lane. No key of a person or a tenant looks like one."""
    return key.startswith(_LANE)
