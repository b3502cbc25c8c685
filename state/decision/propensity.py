"""How likely each arm is the best one, and what share of the choices that makes: chances, floors and caps, and the draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import Final

import numpy as np

from state.ids import uniform
from state.logistic_regression import Floats

POINTS: Final = 4_096
"""Points at which it is looked up which arm is best. Chances are right to 0.01 with them (``tests/state/test_bandit.py``)."""


def probability_best(mean: Floats, covariance: Floats) -> list[float]:
    """Probability of each arm to have the highest logit, when the logits are jointly Gaussian. Sums to 1.

    Two arms: exact. More: the share of a fixed set of evenly spread points (an additive recurrence, Niederreiter 1992, ch. 4) at which the
    arm is ahead. What all arms have in common cannot change which is best; it is taken out first, so that the points are spent on what can.
    """
    count = len(mean)
    if count == 1:
        return [1.0]
    if count == 2:
        spread = covariance[0, 0] + covariance[1, 1] - 2.0 * covariance[0, 1]
        ahead = float(mean[0] - mean[1]) / math.sqrt(2.0 * max(float(spread), 1e-18))
        first = 0.5 * math.erfc(-ahead)
        return [first, 1.0 - first]
    apart = covariance - covariance.mean(axis=0)
    apart -= apart.mean(axis=1, keepdims=True)
    values, vectors = np.linalg.eigh(apart)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    best = (mean[:, None] + root @ _points(count)).argmax(axis=0)
    return [float(each) for each in np.bincount(best, minlength=count) / best.size]


def shares(chances: Sequence[float], floor: float, caps: Sequence[float]) -> tuple[float, ...]:
    """What is drawn from: ``chances``, each at least ``floor`` and at most its cap where the others can take what is above it. Sums to 1.

    What the floor gives to some is taken from the others in proportion. A floor that asks for more than there is makes all equal; a cap
    below the floor counts as the floor.
    """
    count = len(chances)
    floor = min(floor, 1.0 / count)
    raised = _raised(chances, floor)
    over = [max(share - max(cap, floor), 0.0) for share, cap in zip(raised, caps, strict=True)]
    if sum(over) > 0.0 and any(cap >= 1.0 for cap in caps):
        room = [0.0 if cap < 1.0 else share + 1e-9 for share, cap in zip(raised, caps, strict=True)]
        raised = [share - above + sum(over) * free / sum(room) for share, above, free in zip(raised, over, room, strict=True)]
    total = sum(raised)
    return tuple(share / total for share in raised)


def _raised(chances: Sequence[float], floor: float) -> list[float]:
    low = {index for index, chance in enumerate(chances) if chance <= floor}
    while True:
        rest = sum(chance for index, chance in enumerate(chances) if index not in low)
        if rest <= 0.0:
            return [1.0 / len(chances)] * len(chances)
        scale = (1.0 - floor * len(low)) / rest
        lower = {index for index, chance in enumerate(chances) if index not in low and chance * scale < floor}
        if not lower:
            return [floor if index in low else chance * scale for index, chance in enumerate(chances)]
        low |= lower


def draw(chances: Sequence[float], decision_id: str) -> int:
    """Index drawn from ``chances``; the same decision always draws the same."""
    left = uniform(b"draw", decision_id)
    for index, chance in enumerate(chances):
        left -= chance
        if left < 0.0:
            return index
    return len(chances) - 1


@lru_cache(maxsize=32)
def _points(count: int) -> Floats:
    """Points (arms x points) that spread like a standard Gaussian in the plane on which the arms' logits sum to 0.

    Every point is there with the arms in each rotation: arms of which the same is believed have the same chances to the last bit.
    """
    size, turns = count - 1, max(POINTS // count, 1)
    ratio = 2.0
    for _ in range(60):  # the root of x ** (size + 1) == x + 1: the golden ratio, in more dimensions
        ratio = (1.0 + ratio) ** (1.0 / (size + 1))
    steps = ratio ** -np.arange(1.0, size + 1)
    even = (0.5 + np.outer(steps, np.arange(1.0, turns + 1))) % 1.0
    gaussian = np.vectorize(NormalDist().inv_cdf)(np.clip(even, 1e-12, 1.0 - 1e-12))
    # Helmert's contrasts: an orthonormal basis of the plane.
    basis = np.zeros((count, size))
    for column in range(size):
        basis[: column + 1, column] = 1.0
        basis[column + 1, column] = -(column + 1.0)
        basis[:, column] /= math.sqrt((column + 1.0) * (column + 2.0))
    plane = basis @ gaussian
    return np.concatenate([np.roll(plane, turn, axis=0) for turn in range(count)], axis=1)
