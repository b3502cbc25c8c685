"""A sink that calls a function with each item, for runs beside a job. It keeps nothing in a recovery store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from typing_extensions import override


class CallbackSink(FixedPartitionedSink[list[Any], None]):
    """Calls ``take`` with each item of each batch, in order, on the thread of the worker. Raises what ``take`` raises."""

    def __init__(self, take: Callable[[Any], object]) -> None:
        """Take nothing yet."""
        self._take = take

    @override
    def list_parts(self) -> list[str]:
        return ["0"]

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Partition:
        return _Partition(self._take)


class _Partition(StatefulSinkPartition[list[Any], None]):
    def __init__(self, take: Callable[[Any], object]) -> None:
        self._take = take

    @override
    def write_batch(self, values: list[list[Any]]) -> None:
        for items in values:
            for item in items:
                self._take(item)

    @override
    def snapshot(self) -> None:
        return None
