"""The operating point: at which score an alarm is raised, so that alarms have the precision that the catalog asks for.

It is read from past episodes, with the scores that they had before their end was known. An episode is alarmed at its first score that
reaches the threshold. Before the last look, where waiting tells more, only a score that has the asked precision by itself raises an alarm;
the threshold of the last look makes up for the alarms that are surer than was asked. Held-out people count with what became of them, others
with that score: help may have changed what became of them.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from state.stuck.score import last_look

KEPT: Final = 1_000
ENOUGH: Final = 40
"""Episodes from which on the threshold is computed."""
FIRST_THRESHOLD: Final = 0.55
_GRID: Final = tuple(step / 100 for step in range(20, 97))
_LEAST_ALARMS: Final = 10
_PRIOR_ALARMS: Final = 5.0
"""A precision is shrunk towards the share of stuck people by as many alarms: the best of many small counts is lucky."""
_SAME: Final = 0.02
"""Where the asked precision is out of reach, precisions so close to the best are as good, and find more people."""


class Past(msgspec.Struct, gc=False, array_like=True, frozen=True):
    """One ended episode: its scores in order, before the last look and at it; whether it was stuck, and whether the person was held out."""

    early: tuple[float, ...]
    last: tuple[float, ...]
    stuck: bool
    unaided: bool


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


def choose(past: list[Past], asked: float, floor: float) -> OperatingPoint:
    """The lowest threshold with the precision ``asked``, else the one with the best precision; no alarms where that is below ``floor``."""
    count = len(past)
    if count < ENOUGH:
        return OperatingPoint(FIRST_THRESHOLD, FIRST_THRESHOLD, 0.0, 0.0, reachable=False, episodes=count)
    early, last = _table([each.early for each in past]), np.array([max(each.last, default=-1.0) for each in past])
    stuck = np.array([each.stuck for each in past])
    unaided = np.array([each.unaided for each in past])
    right_at_last = np.where(unaided, stuck, last)
    positives = max(float(stuck.sum()), 1.0)
    base = float(stuck.mean())
    points: list[OperatingPoint] = []
    at_once, right_early = -1.0, 0.0
    alarmed_early: NDArray[np.bool_] = np.zeros(count, dtype=bool)
    for threshold in _GRID:
        if max(threshold, asked) != at_once:
            at_once = max(threshold, asked)
            reached = early >= at_once
            alarmed_early = np.any(reached, axis=1)
            first = early[np.arange(count), reached.argmax(axis=1)]
            right_early = float(np.where(unaided, stuck, first)[alarmed_early].sum())
        at_last = ~alarmed_early & (last >= threshold)
        alarmed = alarmed_early | at_last
        alarms = int(alarmed.sum())
        if alarms < _LEAST_ALARMS:
            break
        precision = (right_early + float(right_at_last[at_last].sum()) + _PRIOR_ALARMS * base) / (alarms + _PRIOR_ALARMS)
        point = OperatingPoint(at_once, threshold, precision, float((alarmed & stuck).sum()) / positives, precision >= asked, count)
        if point.reachable:
            return point
        points.append(point)
    best = max((point.precision for point in points), default=0.0)
    if not points or best < floor:
        return OperatingPoint(math.inf, math.inf, best, 0.0, reachable=False, episodes=count)
    return next(point for point in points if point.precision >= max(best - _SAME, floor))


def _table(scores: list[tuple[float, ...]]) -> NDArray[np.float64]:
    width = max(1, *map(len, scores))
    return np.array([each + (-1.0,) * (width - len(each)) for each in scores]).reshape(len(scores), width)
