"""A step that counts, for tests of what the engine keeps of its state."""

from __future__ import annotations

from bytewax.operators import StatefulBatchLogic

Item = tuple[str, int]


class Counting(StatefulBatchLogic[int, int, int]):
    def __init__(self, resume_state: int | None) -> None:
        self.count = resume_state or 0

    def on_batch(self, values: list[int]) -> tuple[list[int], bool]:
        self.count += len(values)
        return [self.count], False

    def snapshot(self) -> int:
        return self.count
