"""A histogram: counts of values at or below fixed bounds, and their sum. Pure; Prometheus reads it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """``bounds`` rise. One thread at a time may add, so several need a lock; any thread may read, and may miss the newest value."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """An empty one. Raises ``ValueError`` for bounds that do not rise."""
        if not bounds or list(bounds) != sorted(set(bounds)):
            raise ValueError("the bounds of a histogram must rise")
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        """Values up to each bound and above the one before it; the last count is of values above all bounds."""
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def cumulative(self) -> list[tuple[str, float]]:
        """(Bound as text, number of values up to it), the last bound ``+Inf``: as Prometheus has it."""
        total, found = 0, list[tuple[str, float]]()
        for bound, count in zip((*(f"{bound:g}" for bound in self.bounds), "+Inf"), self.counts, strict=True):
            total += count
            found.append((bound if "." in bound or bound == "+Inf" else f"{bound}.0", float(total)))
        return found
