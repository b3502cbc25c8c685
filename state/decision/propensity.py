"""Propensities: the probability that each arm is the best, the exploration floor and caps, and the seeded draw."""

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
"""Number of quasi-random points. Probabilities are then accurate to 0.01 (``tests/state/test_bandit.py``)."""


def probability_best(mean: Floats, covariance: Floats) -> list[float]:
    """Probability of each arm to have the highest logit, when the logits are jointly Gaussian. Sums to 1.

    Two arms: exact. More: quasi-Monte Carlo, the share of a fixed set of points (an additive recurrence, Niederreiter 1992, ch. 4) at which
    the arm is ahead. The component that all arms share cannot change which is best; it is removed first, which saves a dimension.
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
    logits = root @ _points(count)
    logits += mean[:, None]
    ahead_at = logits == logits.max(axis=0)  # argmax would copy all points
    won = [int(np.count_nonzero(each)) for each in ahead_at]
    size = logits.shape[1]
    if sum(won) != size:  # a tie goes to the first arm
        won = [int(each) for each in np.bincount(ahead_at.argmax(axis=0), minlength=count)]
    return [each / size for each in won]


def with_floor_and_caps(probabilities: Sequence[float], floor: float, caps: Sequence[float]) -> tuple[float, ...]:
    """Return the propensities: ``probabilities``, each at least ``floor``, and at most its cap where other arms can take the excess.

    They sum to 1. The floor takes from the others in proportion to their probability. A floor above 1 / count makes all equal; a cap below
    the floor counts as the floor.
    """
    count = len(probabilities)
    floor = min(floor, 1.0 / count)
    raised = _with_floor(probabilities, floor)
    over = [max(share - max(cap, floor), 0.0) for share, cap in zip(raised, caps, strict=True)]
    if sum(over) > 0.0 and any(cap >= 1.0 for cap in caps):
        room = [0.0 if cap < 1.0 else share + 1e-9 for share, cap in zip(raised, caps, strict=True)]
        raised = [share - above + sum(over) * free / sum(room) for share, above, free in zip(raised, over, room, strict=True)]
    total = sum(raised)
    return tuple(share / total for share in raised)


def _with_floor(probabilities: Sequence[float], floor: float) -> list[float]:
    low = {index for index, chance in enumerate(probabilities) if chance <= floor}
    while True:
        # A list: mypyc adds up a generator by itself, without the compensation of Python 3.12. The last bit would differ.
        rest = sum([chance for index, chance in enumerate(probabilities) if index not in low])
        if rest <= 0.0:
            return [1.0 / len(probabilities)] * len(probabilities)
        scale = (1.0 - floor * len(low)) / rest
        lower = {index for index, chance in enumerate(probabilities) if index not in low and chance * scale < floor}
        if not lower:
            return [floor if index in low else chance * scale for index, chance in enumerate(probabilities)]
        low |= lower


def draw(probabilities: Sequence[float], decision_id: str) -> int:
    """Draw an index from ``probabilities``. The same decision id always draws the same."""
    left = uniform(b"draw", decision_id)
    for index, chance in enumerate(probabilities):
        left -= chance
        if left < 0.0:
            return index
    return len(probabilities) - 1


@lru_cache(maxsize=32)
def _points(count: int) -> Floats:
    """Standard Gaussian quasi-random points (arms x points) in the plane on which the arms' logits sum to 0.

    Each point occurs with the arms in every rotation, so arms with the same posterior get exactly the same probability.
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
