"""gather: a batch travels to a sink as one item, so that the engine's cost per item is paid once a batch.

All items of one person must go to the same partition of a sink, or they could overtake each other; with several partitions a batch is
split by person.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream

from state.records.dead_letter import DeadLetter
from state.records.recommendation import Effect, Erase, MarkShown

T = TypeVar("T")


def by_person(batch: list[T], person: Callable[[T], str], partitions: int) -> list[tuple[str, list[T]]]:
    """Split a batch over ``partitions``, named ``0``, ``1``, …: at most one item each, everything of one person in order in the same."""
    if partitions == 1:
        return [("0", batch)]
    split: defaultdict[int, list[T]] = defaultdict(list)
    for item in batch:
        split[zlib.crc32(person(item).encode()) % partitions].append(item)
    return [(str(partition), items) for partition, items in split.items()]


def whom(effect: Effect) -> str:
    """The user that an effect is about."""
    return effect.user_id if isinstance(effect, Erase | MarkShown) else effect.recommendation.user_id


def gather_effects(step_id: str, up: Stream[Effect], partitions: int) -> KeyedStream[list[Effect]]:
    """Gather what the app shall see."""
    return op.flat_map_batch(step_id, up, lambda batch: by_person(batch, whom, partitions))


def gather_letters(step_id: str, up: Stream[DeadLetter]) -> KeyedStream[list[DeadLetter]]:
    """Gather what was rejected."""
    return op.flat_map_batch(step_id, up, lambda batch: [("0", batch)])
