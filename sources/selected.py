"""Filters another source: only the messages that are wanted, up to a log time. For replays beside a job; it is never resumed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from typing_extensions import override

from state.messages import Message, Tick


class SelectedSource(FixedPartitionedSource[Message | Tick, None]):
    """The messages of ``source`` for which ``wanted`` is true, and all ticks. A partition ends at log time ``until`` (ms), exclusive.

    ``source`` must end by itself at the end of its input. Raises what ``source`` raises.
    """

    def __init__(
        self, source: FixedPartitionedSource[Message | Tick, Any], wanted: Callable[[Message], bool], *, until: int | None = None
    ) -> None:
        """Read nothing yet."""
        self._source = source
        self._wanted = wanted
        self._until = until

    @override
    def list_parts(self) -> list[str]:
        return self._source.list_parts()

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Partition:
        return _Partition(self._source.build_part(step_id, for_part, None), self._wanted, self._until)


class _Partition(StatefulSourcePartition[Message | Tick, None]):
    def __init__(self, part: StatefulSourcePartition[Message | Tick, Any], wanted: Callable[[Message], bool], until: int | None) -> None:
        self._part = part
        self._wanted = wanted
        self._until = until
        self._ended = False

    @override
    def next_batch(self) -> list[Message | Tick]:
        if self._ended:
            raise StopIteration
        found: list[Message | Tick] = []
        for item in self._part.next_batch():
            at = item.log_time if isinstance(item, Message) else item.at
            if self._until is not None and at >= self._until:
                self._ended = True
                break
            if isinstance(item, Tick) or self._wanted(item):
                found.append(item)
        return found

    @override
    def next_awake(self) -> datetime | None:
        return self._part.next_awake()

    @override
    def snapshot(self) -> None:
        self._part.snapshot()  # a log lets its idle time count with a snapshot

    @override
    def close(self) -> None:
        self._part.close()
