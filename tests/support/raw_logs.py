"""A log in memory for the archive, with knobs: how much a poll gives, and what retention deletes."""

from __future__ import annotations

from collections.abc import Mapping

from sources.errors import OffsetGapError
from sources.raw_log import RawBatch, RawRow

START = 1_767_600_000_000
"""2026-01-05T08:00:00Z."""


def row(offset: int, *, at: int | None = None, user: str = "ann", value: bytes | None = None) -> RawRow:
    time = START + offset * 1_000 if at is None else at
    text = value if value is not None else b'{"userId": "%s", "eventType": "page_view", "n": %d}' % (user.encode(), offset)
    return RawRow(offset, time, user.encode(), text, (("traceparent", b"00-1"), ("none", None)) if offset % 3 == 0 else ())


class MemoryLog:
    """``partitions``: the messages of each. ``low``: partition → its earliest offset. ``committed``: what it was told last.

    ``replaced``: what ``check`` raises.
    """

    name, id = "topic", ""

    def __init__(self, partitions: Mapping[int, list[RawRow]], *, at_once: int = 7, accept_gap: bool = False) -> None:
        self.partitions = {partition: list(rows) for partition, rows in partitions.items()}
        self.low = dict.fromkeys(partitions, 0)
        self.at_once = at_once
        self.accept_gap = accept_gap
        self.committed: dict[int, int] = {}
        self.looks = 0
        self.replaced: Exception | None = None
        self._next: dict[int, int] = {}
        self._skipped: dict[int, int] = {}

    def start(self, positions: Mapping[int, int]) -> list[int]:
        self._next = {partition: positions.get(partition, self.low[partition]) for partition in self.partitions}
        return list(self.partitions)

    def poll(self) -> list[RawBatch]:
        found = []
        for partition, rows in self.partitions.items():
            if self._next[partition] < self.low[partition]:
                if not self.accept_gap:
                    raise OffsetGapError("deleted before they were archived")
                self._next[partition] = self._skipped[partition] = self.low[partition]
            new = [each for each in rows if each.offset >= self._next[partition]][: self.at_once]
            if new:
                self._next[partition] = new[-1].offset + 1
            found.append(RawBatch(partition, new, not new, self._skipped.pop(partition, None)))
        return found

    def check(self) -> None:
        if self.replaced is not None:
            raise self.replaced

    def look_again(self) -> None:
        self.looks += 1

    def commit(self, positions: Mapping[int, int]) -> None:
        self.committed.update(positions)

    def close(self) -> None:
        pass
