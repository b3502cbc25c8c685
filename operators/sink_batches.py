"""Batches outputs for the sinks: one item for each partition of a sink, so the engine's cost per item occurs once a batch.

All items of one person must go to the same partition, or they could overtake each other. With several partitions a batch is split by
person.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream

from operators.bundle import Bundle
from operators.decode import Decoded
from operators.lanes import spread
from state.records.dead_letter import DeadLetter
from state.records.recommendation import Effect, Publish, ReplaceText

T = TypeVar("T")


class HasEffects(Protocol):
    """The outputs of a step that has effects."""

    @property
    def effects(self) -> Sequence[Any]:
        """Effects, those of one person in order."""
        ...


def by_person(batch: list[T], person: Callable[[T], str], partitions: int) -> list[tuple[str, list[T]]]:
    """Split a batch over ``partitions``, named ``0``, ``1``, …: at most one item each, all of one person in order in the same.

    What concerns nobody in particular has an empty ``person``.
    """
    if partitions == 1:
        return [("0", Bundle(batch))]
    split: defaultdict[int, list[T]] = defaultdict(Bundle)
    for item in batch:
        split[spread(person(item), partitions)].append(item)
    return [(str(partition), items) for partition, items in split.items()]


def person_of(effect: Effect) -> str:
    """The user whom an effect concerns."""
    return effect.recommendation.user_id if isinstance(effect, Publish | ReplaceText) else effect.user_id


def unkeyed(batch: Iterable[Any]) -> Iterator[Any]:
    """Outputs of steps, without the keys of keyed streams."""
    return (outputs[1] if type(outputs) is tuple else outputs for outputs in batch)


def effect_batches(step_id: str, up: Stream[HasEffects], partitions: int) -> KeyedStream[list[Effect]]:
    """Effects for the sink of recommendations."""

    def gather(batch: list[HasEffects]) -> list[tuple[str, list[Effect]]]:
        effects = [effect for outputs in batch for effect in outputs.effects]
        return by_person(effects, person_of, partitions) if effects else []

    return op.flat_map_batch(step_id, up, gather)


def dead_letter_batches(step_id: str, up: Stream[Decoded]) -> KeyedStream[list[DeadLetter]]:
    """Rejected messages for the sink of dead letters."""

    def gather(batch: list[Decoded]) -> list[tuple[str, list[DeadLetter]]]:
        rejected = [letter for decoded in batch for letter in decoded.rejected]
        return [("0", rejected)] if rejected else []

    return op.flat_map_batch(step_id, up, gather)
