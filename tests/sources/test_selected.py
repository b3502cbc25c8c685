"""A part of a log: what is wanted, up to a time, and not a message further."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from sources.selected import SelectedSource
from state.messages import Message, Tick

AWAKE = datetime(2026, 1, 5, tzinfo=UTC)


def message(at: int) -> Message:
    return Message(b"", None, "log", 0, at, at, at, at)


class Part(StatefulSourcePartition[Message | Tick, int]):
    def __init__(self, batches: list[list[Message | Tick]]) -> None:
        self.batches, self.snapshots, self.closed = batches, 0, False

    def next_batch(self) -> list[Message | Tick]:
        if not self.batches:
            raise StopIteration
        return self.batches.pop(0)

    def next_awake(self) -> datetime:
        return AWAKE

    def snapshot(self) -> int:
        self.snapshots += 1
        return self.snapshots

    def close(self) -> None:
        self.closed = True


class Source(FixedPartitionedSource[Message | Tick, int]):
    def __init__(self, part: Part) -> None:
        self.part = part

    def list_parts(self) -> list[str]:
        return ["0"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> Part:
        return self.part


def read(part: Part, wanted: Callable[[Message], bool], until: int | None) -> list[int]:
    selected: Any = SelectedSource(Source(part), wanted, until=until).build_part("in", "0", None)
    found: list[Message | Tick] = []
    for _ in range(100):
        try:
            found += selected.next_batch()
        except StopIteration:
            break
    else:
        raise AssertionError("it does not end")
    return [each.log_time if isinstance(each, Message) else -each.at for each in found]


@pytest.mark.parametrize(("until", "found"), [(None, [2, -3, 4, -10, 10, 6]), (10, [2, -3, 4]), (11, [2, -3, 4, -10, 10, 6]), (4, [2, -3])])
def test_it_ends_at_the_first_message_of_the_time_and_keeps_all_ticks(until: int | None, found: list[int]) -> None:
    batches: list[list[Message | Tick]] = [
        [message(1), message(2), Tick(0, 3, 3)],
        [message(4)],
        [Tick(0, 10, 9), message(10)],
        [message(6)],
    ]
    assert read(Part(batches), lambda each: each.log_time % 2 == 0, until) == found


def test_the_part_behind_it_is_told_of_snapshots_and_of_its_end() -> None:
    part = Part([])
    selected = SelectedSource(Source(part), lambda _: True).build_part("in", "0", None)
    assert selected.next_awake() == AWAKE
    selected.snapshot()
    selected.close()
    assert (part.snapshots, part.closed) == (1, True)
