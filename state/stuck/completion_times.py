"""How long people take for a step: the last completion times, and the horizon that follows from them.

The *horizon* of a step is the time within which nine of ten of its last ``KEPT`` completions took place. Completion times of one step
reach from seconds to months and many are zero, so nothing is assumed of their distribution.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

KEPT: Final = 200
ENOUGH: Final = 50
"""Completions from which on a horizon is known. Before that it is blended with what the catalog expects."""
HORIZON_QUANTILE: Final = 0.9
SHORTEST: Final = 1_000
"""The shortest horizon, in milliseconds: a person cannot be helped sooner."""


class CompletionTimes(msgspec.Struct, gc=False, array_like=True):
    """The last completion times of one step in milliseconds, oldest first: of people who are held out, and of all people."""

    unaided: list[int] = []
    everyone: list[int] = []

    def add(self, took: int, *, unaided: bool) -> None:
        """Add a completion."""
        for times in (self.unaided, self.everyone) if unaided else (self.everyone,):
            times.append(max(took, 0))
            del times[:-KEPT]

    @property
    def settled(self) -> bool:
        """Whether the horizon follows from completions alone."""
        return len(self.everyone) >= ENOUGH

    def horizon(self, expected: float) -> int:
        """The horizon in milliseconds. ``expected`` is the catalog's."""
        return round(self._blended(HORIZON_QUANTILE, expected))

    def median(self, expected: float) -> int:
        """Half of the people who complete the step do so within this time."""
        return round(self._blended(0.5, expected))

    def quantiles(self, shares: list[float]) -> list[float]:
        """Quantiles of all completion times, empty without any."""
        ordered = sorted(self.everyone)
        return [quantile(ordered, share) for share in shares] if ordered else []

    def _blended(self, share: float, expected: float) -> float:
        """The quantile of unaided people; while they are few, that of everyone; while these are few, the expected one."""
        found = max(expected, SHORTEST)
        for times in (self.everyone, self.unaided):
            if times:
                weight = min(len(times) / ENOUGH, 1.0)
                own = max(quantile(sorted(times), share), SHORTEST)
                found = math.exp((1.0 - weight) * math.log(found) + weight * math.log(own))
        return found


def quantile(ordered: list[int], share: float) -> float:
    """The quantile of sorted values, interpolated linearly (as ``numpy.quantile``)."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
