"""The positions up to which this process has read its partitions, for metrics."""

from __future__ import annotations

from typing import NamedTuple

from sources.epoch_clock import EpochClock


class Position(NamedTuple):
    """The next offset of a partition, and its log time (ms)."""

    offset: int
    log_time: int


class Positions:
    """``of``: partition → position. Workers write it when a partition resumes, and after each batch and snapshot; any thread may read."""

    __slots__ = ("clock", "of")

    def __init__(self) -> None:
        """Nothing was read yet."""
        self.of: dict[int, Position] = {}
        self.clock = EpochClock()
