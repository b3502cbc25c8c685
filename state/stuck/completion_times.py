"""How long people take for a step: the last completion times, and the horizon that follows from them.

The *horizon* of a step is the time within which nine of ten of its last ``KEPT`` completions took place. Completion times of one step
reach from seconds to months and many are zero, so nothing is assumed of their distribution.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np

KEPT: Final = 200
_KEPT_OF_GUIDED: Final = 800
"""Guided people only steady the estimate, and they are many."""
ENOUGH: Final = 50
"""Completions from which on a horizon is known. Before that it is blended with what the catalog expects."""
_OTHERS: Final = 200.0
"""Unaided people of a step after whom their own quantile counts half, beside that of everyone. With 50, the noise of the few people who are
held out costs more than it corrects (`python -m benchmarks.measure --scenario baseline`)."""
_CLEARLY: Final = 100.0
HORIZON_QUANTILE: Final = 0.9
SHORTEST: Final = 1_000
"""The shortest horizon, in milliseconds: a person cannot be helped sooner."""


class CompletionTimes(msgspec.Struct, gc=False, array_like=True):
    """The last completions of one step, oldest first, as the time they took and when they began (ms): of held-out and of guided people.

    ``began``: when the first of these people began, -1 before any.
    """

    unaided: list[tuple[int, int]] = []
    guided: list[tuple[int, int]] = []
    began: int = -1

    def add(self, took: int, since: int, *, unaided: bool) -> None:
        """Add a completion of a person who began at ``since``."""
        times, most = (self.unaided, KEPT) if unaided else (self.guided, _KEPT_OF_GUIDED)
        times.append((max(took, 0), since))
        del times[:-most]
        self.began = since if self.began < 0 else min(self.began, since)

    def settled(self, expected: float, now: int) -> bool:
        """Whether the horizon follows from completions alone."""
        return self._weight(expected, now) >= 1.0

    @property
    def people(self) -> int:
        """How many completions are kept."""
        return len(self.unaided) + len(self.guided)

    def horizon(self, expected: float, now: int, slower: float = 0.0) -> int:
        """The horizon in milliseconds at log time ``now``. ``expected`` is the catalog's, ``slower`` that of all steps (``slower``)."""
        return round(self._blended(HORIZON_QUANTILE, expected, now, slower))

    def median(self, expected: float, now: int) -> int:
        """Half of the people who complete the step do so within this time."""
        return round(self._blended(0.5, expected, now, 0.0))

    def quantiles(self, shares: list[float]) -> list[float]:
        """Quantiles of all completion times, empty without any."""
        ordered = sorted(took for took, _ in self.unaided + self.guided)
        return [quantile(ordered, share) for share in shares] if ordered else []

    def of_everyone(self, share: float, now: int) -> tuple[float, float]:
        """The logarithm of a quantile of everyone, and what is to be added for that of unaided people, if there are any."""
        all_kept = len(self.unaided) < KEPT and len(self.guided) < _KEPT_OF_GUIDED
        everyone = _log_quantile(self.unaided + self.guided, share, now if all_kept else 0)
        return everyone, _log_quantile(self.unaided, share, now if all_kept else 0) - everyone if self.unaided else 0.0

    def _by_definition(self) -> bool:
        return len(self.unaided) >= ENOUGH and not self.guided

    def _weight(self, expected: float, now: int) -> float:
        """How far completions are believed beside the catalog: by their number, and by whether slow people had the time to complete.

        The first completions are those of quick people: for as long as the catalog expects they say nothing, and all after twice that time;
        or after ``_CLEARLY`` times as long as nine in ten of them took, should the catalog expect far too much.
        """
        if self._by_definition() or not self.people:
            return float(self.people > 0)
        own = math.exp(self.of_everyone(HORIZON_QUANTILE, now)[0])
        matured = min(max((now - self.began) / max(min(expected, _CLEARLY * own), 1.0) - 1.0, 0.0), 1.0)
        return matured * min(self.people / ENOUGH, 1.0)

    def _blended(self, share: float, expected: float, now: int, slower: float) -> float:
        """The quantile of unaided people, steadied by that of everyone where some are guided; while there are few, the expected one."""
        if self._by_definition():
            return max(quantile(sorted(took for took, _ in self.unaided), share), SHORTEST)
        believed = max(expected, SHORTEST)
        if not self.people:
            return believed
        everyone, difference = self.of_everyone(share, now)
        own = len(self.unaided) / (len(self.unaided) + (_OTHERS if self.guided else 0.0))
        found = everyone + slower + own * (difference - slower)
        weight = self._weight(expected, now)
        return math.exp(weight * found + (1.0 - weight) * math.log(believed))


def slower(of_steps: Iterable[CompletionTimes], now: int) -> float:
    """The logarithm of how much longer unaided people take than everyone, over all steps."""
    total, weight = 0.0, _OTHERS
    for times in of_steps:
        if times.unaided and times.guided:
            total += len(times.unaided) * times.of_everyone(HORIZON_QUANTILE, now)[1]
            weight += len(times.unaided)
    return total / weight


def _log_quantile(times: list[tuple[int, int]], share: float, now: int) -> float:
    """The logarithm of a quantile. ``now``, if given, allows for people who began too recently to have taken long (Lynden-Bell 1971)."""
    took = np.sort(np.array([each for each, _ in times], dtype=np.float64))
    risk = np.arange(1, len(took) + 1, dtype=np.float64)
    if now:
        risk -= np.searchsorted(np.sort(now - np.array([since for _, since in times], dtype=np.float64)), took)
    below = np.where(risk > 1.0, 1.0 - 1.0 / np.maximum(risk, 2.0), 1.0)
    reached = np.append(np.cumprod(below[:0:-1])[::-1], 1.0)
    return math.log(max(float(took[int(np.searchsorted(reached, share))]), SHORTEST))


def quantile(ordered: list[int], share: float) -> float:
    """The quantile of sorted values, interpolated linearly (as ``numpy.quantile``)."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
