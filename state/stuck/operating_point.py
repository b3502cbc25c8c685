"""The operating point: at which score an alarm is raised, so that alarms have the precision that the catalog asks for.

It is read from past episodes, with the scores that they had before their end was known. An episode is alarmed at its first score that
reaches the threshold. Before the last look, where waiting tells more, only a score that has the asked precision by itself raises an alarm;
the threshold of the last look makes up for the alarms that are surer than was asked.

Help may have changed what became of guided people, so they count by their score, less what scores overstate among held-out people. Held-out
people count by what became of them; alone they are too few, and the best of many thresholds would be lucky.
"""

from __future__ import annotations

import math
from collections.abc import Container
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from state.stuck.score import last_look

KEPT: Final = 1_000
ENOUGH: Final = 40
"""Episodes from which on the threshold is computed."""
FIRST_THRESHOLD: Final = 0.55
MARGIN: Final = 0.015
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
    """

    early: tuple[float, ...]
    last: tuple[float, ...]
    stuck: bool
    unaided: bool
    expected: str = ""


class OperatingPoint(NamedTuple):
    """The thresholds in force before the last look (``early``) and at it (``last``), the ``precision`` and the share of stuck people found
    (``recall``) that past episodes have at them.

    ``reachable``: the precision asked for is reached. Where not, the thresholds are those of the best precision reached. ``episodes``:
    number of past episodes; the other figures mean nothing below ``ENOUGH``.
    """

    early: float
    last: float
    precision: float
    recall: float
    reachable: bool
    episodes: int

    @property
    def alarms(self) -> bool:
        """Whether any alarm is raised."""
        return self.last < math.inf

    def threshold(self, bucket: int, *, settled: bool) -> float:
        """The score from which on an alarm is raised in ``bucket``."""
        latest = last_look(settled=settled)
        if bucket > latest:
            return math.inf
        return self.last if bucket == latest else self.early


def current(past: list[Past], settled: Container[str]) -> list[Past]:
    """Of ``past`` what still counts: once the horizon of a step is settled, episodes that an expected one has labelled say little.

    All of it, where nearly nothing would be left.
    """
    kept = [each for each in past if not each.expected or each.expected not in settled]
    return kept if len(kept) >= ENOUGH else past


def choose(past: list[Past], asked: float, floor: float, first: tuple[float, float]) -> OperatingPoint:
    """The lowest threshold with the precision ``asked``, else the one with the best precision; no alarms where that is below ``floor``.

    ``first``: the thresholds, before the last look and at it, while ``past`` is too short.
    """
    count = len(past)
    if count < ENOUGH:
        return OperatingPoint(*first, 0.0, 0.0, reachable=False, episodes=count)
    unaided = np.array([each.unaided for each in past])
    early, last = _table([each.early for each in past]), np.array([max(each.last, default=-1.0) for each in past])
    stuck = np.array([each.stuck for each in past])
    positives = max(float(stuck.sum()), 1.0)
    base = float(stuck.mean())
    points: list[OperatingPoint] = []
    at_once = -1.0
    alarmed_early: NDArray[np.bool_] = np.zeros(len(past), dtype=bool)
    first_score = last
    for threshold in _GRID:
        if max(threshold, asked) != at_once:
            at_once = max(threshold, asked)
            reached = early >= at_once
            alarmed_early = np.any(reached, axis=1)
            first_score = early[np.arange(len(past)), reached.argmax(axis=1)]
        alarmed = alarmed_early | (last >= threshold)
        alarms = int(alarmed.sum())
        if alarms < _LEAST_ALARMS:
            break
        right = _right(np.where(alarmed_early, first_score, last)[alarmed], stuck[alarmed], unaided[alarmed])
        precision = (right + _PRIOR_ALARMS * base) / (alarms + _PRIOR_ALARMS)
        point = OperatingPoint(at_once, threshold, precision, float((alarmed & stuck).sum()) / positives, precision >= asked, count)
        if precision >= min(asked + MARGIN, _SUREST):
            return point
        points.append(point)
    best = max((point.precision for point in points), default=0.0)
    if not points or best < floor:
        return OperatingPoint(math.inf, math.inf, best, 0.0, reachable=False, episodes=count)
    least = asked if best >= asked else best - _SAME
    return next(point for point in points if point.precision >= max(least, floor))


def _right(scores: NDArray[np.float64], stuck: NDArray[np.bool_], unaided: NDArray[np.bool_]) -> float:
    """How many alarms were right: those of held-out people by what became of them, others by their score less what scores overstate."""
    known = float(stuck[unaided].sum())
    held_out = int(unaided.sum())
    overstated = (float(scores[unaided].sum()) - known) / (held_out + _PRIOR_HELD_OUT)
    return known + float(np.clip(scores[~unaided] - overstated, 0.0, 1.0).sum())


def _table(scores: list[tuple[float, ...]]) -> NDArray[np.float64]:
    width = max(1, *map(len, scores))
    return np.array([each + (-1.0,) * (width - len(each)) for each in scores]).reshape(len(scores), width)
