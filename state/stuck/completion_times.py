"""How long people take for a step: the last completion times, and the horizon that follows from them.

The *horizon* of a step is the time within which nine of ten of its last ``KEPT`` completions took place. Completion times of one step
reach from seconds to months and many are zero, so nothing is assumed of their distribution.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

_Distribution = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Sorted times, and for each the share of people who take at most that long."""

KEPT: Final = 200
_KEPT_OF_GUIDED: Final = 800
"""Guided people only steady the estimate, and they are many."""
ENOUGH: Final = 50
"""Completions from which on a horizon is known. Before that it is blended with what the catalog expects."""
_OTHERS: Final = 200.0
"""Unaided people of a step after whom their own quantile counts half, beside that of all steps. With 50, the noise of the few who are held
out costs more than it corrects (`python -m benchmarks.measure --scenario baseline`)."""
_CLEARLY: Final = 1_000.0
HORIZON_QUANTILE: Final = 0.9
CURVE: Final = tuple(share / 20 for share in range(1, 20))
"""The quantiles that are published."""
SHORTEST: Final = 1_000
"""The shortest horizon, in milliseconds: a person cannot be helped sooner."""


class _InOrder(NamedTuple):
    """The same completions as ``CompletionTimes``, in order: how long unaided people took, how long all did, and when these began (ms).

    A completion changes one place of each, which costs less than to sort them again.
    """

    unaided: array[float]
    everyone: array[float]
    since: array[float]

    def add(self, took: int, since: int, *, unaided: bool) -> None:
        """Add a completion."""
        for numbers, number in self._places(took, since, unaided=unaided):
            insort(numbers, number)

    def remove(self, took: int, since: int, *, unaided: bool) -> None:
        """Remove one that was added."""
        for numbers, number in self._places(took, since, unaided=unaided):
            del numbers[bisect_left(numbers, number)]

    def _places(self, took: int, since: int, *, unaided: bool) -> list[tuple[array[float], int]]:
        places = [(self.everyone, took), (self.since, since)]
        return [*places, (self.unaided, took)] if unaided else places


class CompletionTimes(msgspec.Struct, dict=True, array_like=True):
    """The last completions of one step, oldest first, as the time they took and when they began (ms): of held-out and of guided people.

    ``began``: when the first of these people began, -1 before any. What follows from them is kept until the next completion, outside of
    the snapshot.
    """

    unaided: list[tuple[int, int]] = []
    guided: list[tuple[int, int]] = []
    began: int = -1

    def add(self, took: int, since: int, *, unaided: bool) -> None:
        """Add a completion of a person who began at ``since``."""
        times, most, in_order = *((self.unaided, KEPT) if unaided else (self.guided, _KEPT_OF_GUIDED)), self._in_order
        times.append((max(took, 0), since))
        in_order.add(*times[-1], unaided=unaided)
        for oldest in times[:-most]:
            in_order.remove(*oldest, unaided=unaided)
        del times[:-most]
        self.began = since if self.began < 0 else min(self.began, since)
        self.__dict__.clear()
        self.__dict__["_in_order"] = in_order

    def settled(self, expected: float, now: int, *, fitted: bool = False) -> bool:
        """Whether the horizon follows from completions alone."""
        return self._weight(expected, now, fitted=fitted) >= 1.0

    def contradict(self, fitted: float, now: int) -> bool:
        """Whether unaided people contradict a horizon that the catalog has from a log, by more than chance."""
        return self._contradiction(fitted, now) > 0.0

    @property
    def people(self) -> int:
        """How many completions are kept."""
        return len(self.unaided) + len(self.guided)

    def horizon(self, expected: float, now: int, level: float = HORIZON_QUANTILE, *, fitted: bool = False) -> int:
        """The horizon in milliseconds at log time ``now``. ``expected`` is the catalog's, ``level`` that of all steps (``level_of``).

        ``fitted``: the catalog has it from a log. Then it stands for as long as unaided people do not contradict it.
        """
        return round(self._blended(HORIZON_QUANTILE, expected, now, level, fitted=fitted))

    def median(self, expected: float, now: int) -> int:
        """Half of the people who complete the step do so within this time."""
        return round(self._blended(0.5, expected, now, 0.5))

    @cached_property
    def curve(self) -> tuple[float, ...]:
        """The quantiles ``CURVE`` of all completion times, empty without any."""
        return tuple(quantile(self._in_order.everyone, share) for share in CURVE) if self.people else ()

    @cached_property
    def places(self) -> NDArray[np.float64]:
        """For each unaided person the share of all completions that took no longer, in order. Uniform if help changes nothing.

        Help moves people between quick and slow, and few are in between: a difference of shares is small where one of times is not.
        """
        return np.searchsorted(self._everyone_took, _copy(self._in_order.unaided), "right") / max(self.people, 1)

    @cached_property
    def _in_order(self) -> _InOrder:
        everyone = [*self.unaided, *self.guided]
        return _InOrder(
            array("d", sorted(took for took, _ in self.unaided)),
            array("d", sorted(took for took, _ in everyone)),
            array("d", sorted(since for _, since in everyone)),
        )

    @cached_property
    def _everyone_took(self) -> NDArray[np.float64]:
        """How long all people took, in order."""
        return _copy(self._in_order.everyone)

    @cached_property
    def _distributions(self) -> dict[int, _Distribution]:
        """The distribution of all who are kept, by the log time for which it was made; one at most."""
        return {}

    def _by_definition(self) -> bool:
        return len(self.unaided) >= ENOUGH and not self.guided

    def _weight(self, expected: float, now: int, *, fitted: bool) -> float:
        """How far completions are believed beside the catalog: by their number, and by whether slow people had the time to complete.

        The first completions are those of quick people: for as long as the catalog expects they say nothing, and all after twice that time;
        or after ``_CLEARLY`` times as long as nine in ten of them took, should the catalog expect far too much. A horizon from a log must
        be contradicted besides.
        """
        if self._by_definition() or not self.people:
            return float(self.people > 0)
        if fitted:
            return _matured(now - self.began, expected) * min(len(self.unaided) / ENOUGH, 1.0) * self._contradiction(expected, now)
        own = math.exp(_log_quantile(self._everyone(now), HORIZON_QUANTILE))
        return _matured(now - self.began, min(expected, _CLEARLY * own)) * min(self.people / ENOUGH, 1.0)

    def _contradiction(self, fitted: float, now: int) -> float:
        """How far unaided people contradict a horizon that the catalog has from a log: not at all within two standard errors of their own.

        The errors are those of a quantile, whatever the distribution. Beyond them the difference is shrunk (James and Stein 1961).
        """
        count = len(self.unaided)
        if not count:
            return 0.0
        since = np.array([since for _, since in self.unaided], dtype=np.float64) if count < KEPT else None
        times = _distribution(_copy(self._in_order.unaided), None if since is None else np.sort(now - since))
        own, expected = _log_quantile(times, HORIZON_QUANTILE), math.log(max(fitted, SHORTEST))
        error = 2.0 * math.sqrt(HORIZON_QUANTILE * (1.0 - HORIZON_QUANTILE) / count)
        bound = HORIZON_QUANTILE + math.copysign(error, expected - own)
        if expected == own or not 0.0 <= bound <= 1.0:
            return 0.0
        explained = (_log_quantile(times, bound) - own) / (expected - own)
        return 1.0 - min(explained * explained, 1.0)

    def _blended(self, share: float, expected: float, now: int, level: float, *, fitted: bool = False) -> float:
        """The quantile of unaided people, steadied by that of everyone where some are guided; while there are few, the expected one.

        ``level``: the share of everyone that takes less time than ``share`` of the unaided, by all steps (``level_of``).
        """
        if self._by_definition():
            return max(quantile(self._in_order.unaided, share), SHORTEST)
        believed = max(expected, SHORTEST)
        if not self.people:
            return believed
        if self.unaided:
            own = len(self.unaided) / (len(self.unaided) + (_OTHERS if self.guided else 0.0))
            level += own * (_interpolated(self.places.tolist(), share) - level)
        weight = self._weight(expected, now, fitted=fitted)
        return math.exp(weight * _log_quantile(self._everyone(now), level) + (1.0 - weight) * math.log(believed))

    def _everyone(self, now: int) -> _Distribution:
        """The distribution of all who are kept."""
        all_kept = len(self.unaided) < KEPT and len(self.guided) < _KEPT_OF_GUIDED
        now = now if all_kept else 0
        known = self._distributions.get(now)
        if known is None:
            self._distributions.clear()
            known = self._distributions[now] = _distribution(self._everyone_took, now - _copy(self._in_order.since)[::-1] if now else None)
        return known


def level_of(steps: Iterable[CompletionTimes]) -> float:
    """The share of everyone that takes less time than nine of ten unaided people, over all steps."""
    places = [times.places for times in steps if times.unaided and times.guided]
    if not places:
        return HORIZON_QUANTILE
    known = np.sort(np.concatenate(places))
    return (_OTHERS * HORIZON_QUANTILE + len(known) * float(_interpolated(known, HORIZON_QUANTILE))) / (_OTHERS + len(known))


def _matured(observed: int, expected: float) -> float:
    """How far slow people had the time to complete: not at all after ``expected``, and fully after twice that time."""
    return min(max(observed / max(expected, 1.0) - 1.0, 0.0), 1.0)


def _copy(numbers: array[float]) -> NDArray[np.float64]:
    """``numbers`` for numpy, as they are now."""
    return np.frombuffer(numbers, dtype=np.float64).copy() if numbers else np.empty(0)


def _distribution(took: NDArray[np.float64], observed: NDArray[np.float64] | None) -> _Distribution:
    """``took`` in order. ``observed``, if given: how long people were observed, in order.

    It allows for people who began too recently to have taken long (Lynden-Bell 1971).
    """
    risk = np.arange(1, len(took) + 1, dtype=np.float64)
    if observed is not None:
        risk -= np.searchsorted(observed, took)
    below = np.where(risk > 1.0, 1.0 - 1.0 / np.maximum(risk, 2.0), 1.0)
    return took, np.append(np.cumprod(below[:0:-1])[::-1], 1.0)


def _log_quantile(distribution: _Distribution, share: float) -> float:
    took, reached = distribution
    return math.log(max(float(took[int(np.searchsorted(reached, share))]), SHORTEST))


def _interpolated(ordered: Sequence[float] | NDArray[np.float64], share: float) -> float:
    """``numpy.quantile`` of sorted values, to the last bit; that one takes ten times as long."""
    place = share * (len(ordered) - 1)
    below = int(place)
    low, high, part = ordered[below], ordered[min(below + 1, len(ordered) - 1)], place - below
    return high - (high - low) * (1.0 - part) if part >= 0.5 else low + (high - low) * part


def quantile(ordered: Sequence[float], share: float) -> float:
    """The quantile of sorted values, interpolated linearly (as ``numpy.quantile``)."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
