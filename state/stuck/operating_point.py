"""The operating point: at which score an alarm is raised, so that alarms have the precision that the catalog asks for.

It is read from past episodes, with the scores that they had before their end was known. An episode is alarmed at its first score that
reaches the threshold. Before the last look, where waiting tells more, only a score that has the asked precision by itself raises an alarm;
the threshold of the last look makes up for the alarms that are surer than was asked. Where even the lowest one is surer, alarms come
earlier: the threshold before the last look is lowered too. Where the catalog asks for less precision while the person is still there (in
the session), there is a third threshold for that moment, as low as the precision of all alarms together allows.

Help may have changed what became of guided people, so they count by their score, less what scores overstate among held-out people. Held-out
people count by what became of them; alone they are too few, and the best of many thresholds would be lucky.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterator
from functools import cached_property
from itertools import chain
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from state.stuck.score import last_look

Floats = NDArray[np.float64]

KEPT: Final = 1_000
ENOUGH: Final = 40
"""Episodes from which on the threshold is computed."""
FIRST_THRESHOLD: Final = 0.55
MARGIN: Final = 0.01
"""By how much the precision of past alarms must exceed the asked one: the lowest threshold that reaches it was lucky."""
_SUREST: Final = 0.995
_GRID: Final = tuple(step / 100 for step in range(20, 97))
_LEAST_ALARMS: Final = 10
_PRIOR_ALARMS: Final = 5.0
"""A precision is shrunk towards the share of stuck people by as many alarms: the best of many small counts is lucky."""
_PRIOR_HELD_OUT: Final = 50.0
"""What scores overstate is shrunk towards nothing by as many held-out people."""
_SAME: Final = 0.02
"""Where the asked precision is out of reach, precisions so close to the best are as good, and find more people."""


class Past(msgspec.Struct, gc=False, array_like=True, frozen=True):
    """One ended episode: its scores in order, before the last look and at it; whether it was stuck, and whether the person was held out.

    ``expected``: the step, where the horizon was not settled but the one that the catalog expects; else empty.
    ``in_session``: those of the scores that were given while the person was still there. ``step``: empty where an older release wrote it.
    """

    early: tuple[float, ...]
    last: tuple[float, ...]
    stuck: bool
    unaided: bool
    expected: str = ""
    in_session: tuple[float, ...] = ()
    step: str = ""


class OperatingPoint(NamedTuple):
    """The thresholds in force before the last look (``early``) and at it (``last``), the ``precision`` and the share of stuck people found
    (``recall``) that past episodes have at them.

    ``reachable``: the precision asked for is reached. Where not, the thresholds are those of the best precision reached. ``episodes``:
    number of past episodes; the other figures mean nothing below ``ENOUGH``. ``in_session``: a threshold that holds beside the others
    while the person is still there.
    """

    early: float
    last: float
    precision: float
    recall: float
    reachable: bool
    episodes: int
    in_session: float = math.inf

    @property
    def alarms(self) -> bool:
        """Whether any alarm is raised."""
        return self.last < math.inf

    def threshold(self, bucket: int, *, settled: bool, in_session: bool = False) -> float:
        """The score from which on an alarm is raised in ``bucket``. ``in_session``: the person is still there."""
        latest = last_look(settled=settled)
        if bucket > latest:
            return math.inf
        usual = self.last if bucket == latest else self.early
        return min(usual, self.in_session) if in_session else usual


def current(past: list[Past], settled: Container[str]) -> list[Past]:
    """Of ``past`` what still counts: once the horizon of a step is settled, episodes that an expected one has labelled say little.

    All of it, where nearly nothing would be left.
    """
    kept = [each for each in past if not each.expected or each.expected not in settled]
    return kept if len(kept) >= ENOUGH else past


def choose(
    past: list[Past], asked: float, floor: float, first: tuple[float, float], *, asked_in_session: float | None = None
) -> OperatingPoint:
    """The lowest threshold with the precision ``asked``, else the one with the best precision; no alarms where that is below ``floor``.

    ``first``: the thresholds, before the last look and at it, while ``past`` is too short. ``asked_in_session``: the precision asked of
    alarms while the person is still there. The threshold for it is the lowest one that costs nothing of the precision of all alarms that is
    asked for or, where that is out of reach, reached without it.
    """
    count = len(past)
    if count < ENOUGH:
        return OperatingPoint(*first, 0.0, 0.0, reachable=False, episodes=count)
    episodes = _Episodes(past)
    usual = _lowest(episodes, asked, floor)
    if asked_in_session is not None and usual.alarms:
        for threshold in _thresholds_in_session(episodes, asked_in_session):
            point = _lowest(episodes, asked, floor, threshold)
            if point.precision >= min(asked + MARGIN, usual.precision):
                return point
    return usual


def _lowest(episodes: _Episodes, asked: float, floor: float, in_session: float = math.inf) -> OperatingPoint:
    points: list[OperatingPoint] = []
    for point in _points(episodes, asked, in_session):
        if point.precision >= min(asked + MARGIN, _SUREST):
            return point if points else _earlier(episodes, asked, point)
        points.append(point)
    best = max((point.precision for point in points), default=0.0)
    if not points or best < floor:
        return OperatingPoint(math.inf, math.inf, best, 0.0, reachable=False, episodes=episodes.count)
    least = asked if best >= asked else best - _SAME
    return next(point for point in points if point.precision >= max(least, floor))


def _earlier(episodes: _Episodes, asked: float, point: OperatingPoint) -> OperatingPoint:
    """``point`` with the threshold before the last look lowered for as long as alarms are as sure as was asked."""
    for at_once in sorted((threshold for threshold in _GRID if threshold < point.early), reverse=True):
        lower = next(_points_at(episodes, asked, point.in_session, at_once, (point.last,)), None)
        if lower is None or lower.precision < min(asked + MARGIN, _SUREST):
            break
        point = lower
    return point


class _Episodes:
    """Past episodes as arrays."""

    def __init__(self, past: list[Past]) -> None:
        self.count: Final = len(past)
        self._past: Final = past
        self.early: Final = _table([each.early for each in past])
        self.last: Final[Floats] = _table([each.last for each in past]).max(axis=1)
        self.stuck: Final = np.array([each.stuck for each in past])
        self.unaided: Final = np.array([each.unaided for each in past])
        self.nobody_guided: Final = bool(self.unaided.all())
        self.base: Final = float(self.stuck.mean())

    @cached_property
    def in_session(self) -> Floats:
        """The scores that were given while the person was still there."""
        return _table([each.in_session for each in self._past])


def _points(episodes: _Episodes, asked: float, in_session: float) -> Iterator[OperatingPoint]:
    """The operating points that raise enough alarms, lowest threshold first.

    Before the last look no threshold below ``asked`` is used, so all of those lowest points alarm the same people there.
    """
    low = tuple(threshold for threshold in _GRID if threshold <= asked)
    for at_once, thresholds in [(asked, low), *((threshold, (threshold,)) for threshold in _GRID[len(low) :])]:
        yield from _points_at(episodes, asked, in_session, at_once, thresholds)


def _points_at(
    episodes: _Episodes, asked: float, in_session: float, at_once: float, thresholds: tuple[float, ...]
) -> Iterator[OperatingPoint]:
    """The operating points with the threshold ``at_once`` before the last look, for as long as they raise enough alarms."""
    before, score = _first_reached(episodes.early, at_once, episodes.last)
    if in_session < math.inf:
        there, score = _first_reached(episodes.in_session, in_session, score)
        before |= there
    alarms, precisions, found = _alarms(episodes, before, score, np.array(thresholds))
    recalls = found / max(float(episodes.stuck.sum()), 1.0)
    for threshold, raised, precision, recall in zip(thresholds, alarms, precisions.tolist(), recalls.tolist(), strict=True):
        if raised < _LEAST_ALARMS:
            return
        yield OperatingPoint(at_once, threshold, precision, recall, precision >= asked, episodes.count, in_session)


def _thresholds_in_session(episodes: _Episodes, asked: float) -> Iterator[float]:
    """The thresholds at which alarms in the session have the precision ``asked`` by themselves, lowest first."""
    nobody, highest = np.zeros(episodes.count, dtype=bool), episodes.in_session.max(axis=1)
    alarms, precisions, _ = _alarms(episodes, nobody, highest, np.array(_GRID))
    for threshold, raised, precision in zip(_GRID, alarms, precisions, strict=True):
        if raised >= _LEAST_ALARMS and precision >= min(asked + MARGIN, _SUREST):
            yield threshold


def _first_reached(scores: Floats, threshold: float, otherwise: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """Whether each row of ``scores`` reaches ``threshold``, and its first score that does, else ``otherwise``."""
    reached = scores >= threshold
    some = np.any(reached, axis=1)
    return some, np.where(some, scores[np.arange(len(scores)), reached.argmax(axis=1)], otherwise)


def _alarms(episodes: _Episodes, before: NDArray[np.bool_], score: Floats, thresholds: Floats) -> tuple[NDArray[np.int64], Floats, Floats]:
    """For each threshold: the alarms, their precision, and how many of their people were stuck. ``before``: alarmed at any threshold.

    Cumulative over sorted scores, so that many thresholds cost as much as one. Those of held-out people were right by what became of them,
    others by their score less what scores overstate.
    """
    order = np.lexsort((-score, ~before))
    score, stuck, unaided = score[order], episodes.stuck[order], episodes.unaided[order]
    first = int(before.sum())
    alarms = first + np.searchsorted(-score[first:], -thresholds, "right")
    known = _sums(stuck & unaided)[alarms]
    if episodes.nobody_guided:
        return alarms, (known + _PRIOR_ALARMS * episodes.base) / (alarms + _PRIOR_ALARMS), known
    overstated = (_sums(np.where(unaided, score, 0.0))[alarms] - known) / (_sums(unaided)[alarms] + _PRIOR_HELD_OUT)
    guided = _sums(~unaided)[alarms].astype(np.int64)
    helped, early = score[~unaided], int((~unaided[:first]).sum())
    right = known + _clipped(helped[:early], np.full_like(guided, early), overstated) + _clipped(helped[early:], guided - early, overstated)
    return alarms, (right + _PRIOR_ALARMS * episodes.base) / (alarms + _PRIOR_ALARMS), _sums(stuck)[alarms]


def _clipped(scores: Floats, firsts: NDArray[np.int64], less: Floats) -> Floats:
    """For each number of ``firsts``: the sum of so many of ``scores``, which fall, each reduced by ``less`` and kept between 0 and 1."""
    ones = np.minimum(np.searchsorted(-scores, -(1.0 + less), "right"), firsts)
    above = np.minimum(np.searchsorted(-scores, -less, "right"), firsts)
    sums = _sums(scores)
    total: Floats = ones + sums[above] - sums[ones] - less * (above - ones)
    return total


def _sums(values: NDArray[Any]) -> Floats:
    """The sums of the first 0, 1, 2 … values."""
    sums = np.zeros(len(values) + 1)
    values.cumsum(out=sums[1:])
    return sums


def _table(scores: list[tuple[float, ...]]) -> Floats:
    """One row for each of ``scores``, filled up with -1."""
    lengths = np.fromiter(map(len, scores), dtype=np.int64, count=len(scores))
    table = np.full((len(scores), max(1, int(lengths.max()))), -1.0)
    table[np.arange(table.shape[1]) < lengths[:, None]] = np.fromiter(chain.from_iterable(scores), dtype=np.float64)
    return table
