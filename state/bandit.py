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
"""Cells of the numerical integration for each arm; propensities agree with a fine one to 0.002 (``tests/state/test_bandit.py``)."""

MOST_CONTEXTS: Final = 20_000
"""Contexts a learner tells apart. Segments are made of what users send; beyond this, new ones teach their arm as a whole only."""

_REACH: Final = 5.0
_TAIL: Final = 8.0
_MIDPOINTS: Final = (np.arange(GRID) + 0.5) / GRID
_EDGES: Final = np.arange(GRID + 1) / GRID
_RESCALE_AT: Final = 2.0**40
_MOST_HALVINGS: Final = 500.0


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
        if len(cells) >= MOST_CONTEXTS and key not in cells:
            continue
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
    # Rounding must not eat the prior.
    alpha = max(alpha - cell.successes * scale, policy.prior_rate * policy.prior_weight)
    beta = max(beta - cell.failures * scale, (1.0 - policy.prior_rate) * policy.prior_weight)
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

    Worked out on the scale of log-odds, where a Beta density has no poles: each distribution function on ``GRID`` cells of its own, which
    hold all but a few ten-thousandths of it, and the product on the cells of all arms together, so that beliefs as different as those of 5
    and of 100,000 observations are resolved alike. Sums to 1.
    """
    if len(beliefs) == 1:
        return [1.0]
    parameters = np.array(beliefs)
    spread = 1.0 / parameters
    middle, reach = np.log(parameters[:, 0] / parameters[:, 1]), _REACH * np.sqrt(spread.sum(axis=1))
    low = middle - np.maximum(reach, _TAIL * spread[:, 0])
    size = middle + np.maximum(reach, _TAIL * spread[:, 1]) - low
    points = low[:, None] + size[:, None] * _MIDPOINTS
    heights = parameters[:, :1] * points - parameters.sum(axis=1)[:, None] * np.logaddexp(0.0, points)
    masses = np.exp(heights - heights.max(axis=1, keepdims=True))
    shares = np.zeros((len(beliefs), GRID + 1))
    np.cumsum(masses / masses.sum(axis=1, keepdims=True), axis=1, out=shares[:, 1:])
    edges = low[:, None] + size[:, None] * _EDGES
    everywhere = np.sort(edges, axis=None)
    up_to = np.array([np.interp(everywhere, edges[arm], shares[arm]) for arm in range(len(beliefs))])
    below = (up_to[:, 1:] + up_to[:, :-1]) / 2.0
    # The product over all other arms: of those before (a running product down the rows) and of those after.
    before, after = np.ones_like(below), np.ones_like(below)
    np.multiply.accumulate(below[:-1], axis=0, out=before[1:])
    np.multiply.accumulate(below[:0:-1], axis=0, out=after[-2::-1])
    chances = (np.diff(up_to) * before * after).sum(axis=1)
    return [float(each) for each in chances / chances.sum()]


def _weight(learner: Learner, policy: Learning, at: int) -> float:
    if not learner.origin:
        learner.origin = at
    halvings = (at - learner.origin) / policy.half_life
    return float(2.0 ** max(0.0, min(halvings, _MOST_HALVINGS)))  # a partition that lags behind counts as the present
