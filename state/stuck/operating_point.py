"""The operating point: at which score an alarm is raised, so that alarms have the precision that the catalog asks for.

It is read from past episodes, with the scores that they had before their end was known. An episode is alarmed at its first score that
reaches the threshold. Held-out people count with what became of them, others with that score: help may have changed what became of them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
import numpy as np

KEPT: Final = 1_000
ENOUGH: Final = 40
"""Episodes from which on the threshold is computed."""
FIRST_THRESHOLD: Final = 0.55
_GRID: Final = tuple(step / 100 for step in range(20, 97))
_LEAST_ALARMS: Final = 10
_PRIOR_ALARMS: Final = 5.0
"""A precision is shrunk towards the share of stuck people by as many alarms: the best of many small counts is lucky."""


class Past(msgspec.Struct, gc=False, array_like=True, frozen=True):
    """One ended episode: its scores in order, whether it was stuck, and whether the person was held out."""

    scores: tuple[float, ...]
    stuck: bool
    unaided: bool


class OperatingPoint(NamedTuple):
    """The ``threshold`` in force, the ``precision`` and the share of stuck people found (``recall``) that past episodes have at it.

    ``reachable``: the precision asked for is reached. Where not, the threshold is that of the best precision reached. ``episodes``: number
    of past episodes; the other figures mean nothing below ``ENOUGH``.
    """

    threshold: float
    precision: float
    recall: float
    reachable: bool
    episodes: int


def choose(past: list[Past], asked: float, floor: float) -> OperatingPoint:
    """The lowest threshold with the precision ``asked``, else the one with the best precision; no alarms where that is below ``floor``."""
    if len(past) < ENOUGH:
        return OperatingPoint(FIRST_THRESHOLD, 0.0, 0.0, False, len(past))
    width = max(len(each.scores) for each in past) or 1
    scores = np.full((len(past), width), -1.0)
    for place, each in enumerate(past):
        scores[place, : len(each.scores)] = each.scores
    stuck = np.array([each.stuck for each in past])
    unaided = np.array([each.unaided for each in past])
    positives = max(float(stuck.sum()), 1.0)
    base = float(stuck.mean())
    best: OperatingPoint | None = None
    for threshold in _GRID:
        reached = scores >= threshold
        alarmed = reached.any(axis=1)
        count = int(alarmed.sum())
        if count < _LEAST_ALARMS:
            break
        first = scores[np.arange(len(past)), reached.argmax(axis=1)]
        right = np.where(unaided, stuck, first)[alarmed]
        precision = (float(right.sum()) + _PRIOR_ALARMS * base) / (count + _PRIOR_ALARMS)
        point = OperatingPoint(threshold, precision, float((alarmed & stuck).sum()) / positives, precision >= asked, len(past))
        if point.reachable:
            return point
        if best is None or precision > best.precision:
            best = point
    if best is None or best.precision < floor:
        return OperatingPoint(2.0, best.precision if best else 0.0, 0.0, False, len(past))
    return best
