"""The learner of one (tenant, trigger): which arm works, for which step and segment, and how likely each is to be chosen.

Thompson sampling with its probabilities worked out: an arm's propensity is the posterior probability that it is the best, mixed with an
exploration floor; the choice is then one draw from these propensities, seeded by the decision's id. What is logged is therefore exactly the
distribution that was drawn from (Thompson 1933; propensities for off-policy evaluation as in Li et al. 2010, arXiv:1003.0146).

Each context (step, segment) has a Beta posterior per arm whose prior is the arm's own pooled posterior, worth at most ``pooling``
observations: contexts that were seen little share what all contexts know (partial pooling, Gelman et al., Bayesian Data Analysis, ch. 5).
Old observations fade with ``half_life``: they are kept in units that grow with time instead of being shrunk one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np

from state.catalog import Learning
from state.ids import uniform

GRID: Final = 64
"""Points of the numerical integration; propensities agree with a fine one to 0.002 (``tests/state/test_bandit.py``)."""

_REACH: Final = 6.0
_MIDPOINTS: Final = (np.arange(GRID) + 0.5) / GRID
_RESCALE_AT: Final = 2.0**40


class Cell(msgspec.Struct, gc=False, array_like=True):
    """Discounted successes and failures, in the learner's growing units."""

    successes: float = 0.0
    failures: float = 0.0


class Learner(msgspec.Struct, gc=False, array_like=True):
    """State of one learner, in the order in which it is written down. ``origin`` is the log time at which one observation weighs 1.

    Arms are keyed ``arm@version``, contexts ``arm@version|step|segment``. ``pending`` remembers which arm each open decision chose.
    """

    version: int = 0
    origin: int = 0
    arms: dict[str, Cell] = {}
    contexts: dict[str, Cell] = {}
    pending: dict[str, str] = {}


class Posterior(NamedTuple):
    """Parameters of a Beta distribution."""

    alpha: float
    beta: float


def observe(learner: Learner, policy: Learning, arm: str, context: str, success: bool, at: int) -> None:
    """Learn that ``arm`` succeeded or failed in ``context`` at log time ``at``."""
    weight = _weight(learner, policy, at)
    if weight > _RESCALE_AT:
        for cell in (*learner.arms.values(), *learner.contexts.values()):
            cell.successes /= weight
            cell.failures /= weight
        learner.origin, weight = at, 1.0
    for cells, key in ((learner.arms, arm), (learner.contexts, f"{arm}|{context}")):
        cell = cells.setdefault(key, Cell())
        if success:
            cell.successes += weight
        else:
            cell.failures += weight
    learner.version += 1


def pooled(learner: Learner, policy: Learning, arm: str, at: int) -> Posterior:
    """What is believed of ``arm`` over all contexts at log time ``at``."""
    scale = 1.0 / _weight(learner, policy, at)
    cell = learner.arms.get(arm) or Cell()
    return Posterior(
        policy.prior_rate * policy.prior_weight + cell.successes * scale,
        (1.0 - policy.prior_rate) * policy.prior_weight + cell.failures * scale,
    )


def posterior(learner: Learner, policy: Learning, arm: str, context: str, at: int) -> Posterior:
    """What is believed of ``arm`` in ``context`` at log time ``at``."""
    alpha, beta = pooled(learner, policy, arm, at)
    cell = learner.contexts.get(f"{arm}|{context}")
    if cell is None:
        borrowed = min(policy.pooling / (alpha + beta), 1.0)
        return Posterior(alpha * borrowed, beta * borrowed)
    scale = 1.0 / _weight(learner, policy, at)
    # The context's own observations are part of the pool: take them out, so that they do not count twice.
    alpha, beta = alpha - cell.successes * scale, beta - cell.failures * scale
    borrowed = min(policy.pooling / (alpha + beta), 1.0)
    return Posterior(alpha * borrowed + cell.successes * scale, beta * borrowed + cell.failures * scale)


def propensities(learner: Learner, policy: Learning, arms: Sequence[str], context: str, at: int) -> tuple[float, ...]:
    """Probability of choosing each of ``arms`` (at least one); they sum to 1 and none is below the exploration floor."""
    best = probability_best([posterior(learner, policy, arm, context, at) for arm in arms])
    free = 1.0 - policy.exploration_floor * len(arms)
    return tuple(policy.exploration_floor + free * each for each in best)


def draw(chances: Sequence[float], decision_id: str) -> int:
    """Index drawn from ``chances``; the same decision always draws the same."""
    left = uniform(b"draw", decision_id)
    for index, chance in enumerate(chances):
        left -= chance
        if left < 0.0:
            return index
    return len(chances) - 1


def probability_best(beliefs: Sequence[Posterior]) -> list[float]:
    """Posterior probability of each arm to have the highest rate: the integral of its density times the others' distribution functions.

    Worked out on ``GRID`` points over the range that holds all but a millionth of any density; sums to 1.
    """
    if len(beliefs) == 1:
        return [1.0]
    alphas, betas = np.array(beliefs).T
    totals = alphas + betas
    means = alphas / totals
    reach = _REACH * np.sqrt(means * (betas / totals) / (totals + 1.0))
    low, high = max(float((means - reach).min()), 0.0), min(float((means + reach).max()), 1.0)
    points = low + (high - low) * _MIDPOINTS
    heights = np.outer(alphas - 1.0, np.log(points)) + np.outer(betas - 1.0, np.log1p(-points))
    masses = np.exp(heights - heights.max(axis=1, keepdims=True))
    masses /= masses.sum(axis=1, keepdims=True)
    below = np.cumsum(masses, axis=1) - masses / 2.0
    # The product over all other arms: of those before (a running product down the rows) and of those after.
    before, after = np.ones_like(below), np.ones_like(below)
    np.multiply.accumulate(below[:-1], axis=0, out=before[1:])
    np.multiply.accumulate(below[:0:-1], axis=0, out=after[-2::-1])
    chances = (masses * before * after).sum(axis=1)
    return [float(each) for each in chances / chances.sum()]


def _weight(learner: Learner, policy: Learning, at: int) -> float:
    if not learner.origin:
        learner.origin = at
    return float(2.0 ** ((at - learner.origin) / policy.half_life))
