"""Parts streams by the type of their items, a batch at a time."""

from __future__ import annotations

from typing import Any, TypeVar

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream

T = TypeVar("T")


def only(step_id: str, up: Stream[Any], kind: type[T] | tuple[type[T], ...]) -> Stream[T]:
    """Items of ``up`` that are of ``kind``."""
    return op.flat_map_batch(step_id, up, lambda batch: [item for item in batch if isinstance(item, kind)])


def only_outputs(step_id: str, up: KeyedStream[list[Any]], kind: type[T] | tuple[type[T], ...]) -> Stream[T]:
    """Outputs of ``kind`` from a stateful step that emits lists of outputs."""
    return op.flat_map_batch(step_id, up, lambda batch: [item for _, outputs in batch for item in outputs if isinstance(item, kind)])
