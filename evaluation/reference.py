"""The reference learner: Thompson sampling with the world's true prior, which the engine does not have.

It decides in the same contexts in the same order, with a Bayesian logistic model whose standard deviations are those of the world. Rewards
are drawn with a seed from the truth's expected rewards and arrive when the attribution window closes. The posterior is Laplace's
approximation, fitted on aggregated cells and refreshed every ``REFRESH`` decisions, later after 10 % more. It has no exploration floor and
no discounting, so it does not adapt to a change of the world. Source: Chapelle and Li 2011; Russo et al. 2018, "A tutorial on Thompson
sampling", section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np

from evaluation.arrays import Floats, Integers
from evaluation.bandit_value import Exposed
from evaluation.prior import FACTORS, Prior
from state.duration import DAY

REFRESH: Final = 100


@dataclass(frozen=True, slots=True)
class Reference:
    """``earned``: expected reward of each choice. ``value``: mean over the last 20 %."""

    earned: Floats
    value: float


def reference(
    shown: Exposed, prior: Prior, *, window: int = DAY, seed: int = 0, share: float = 0.2, greedy: bool = False
) -> Reference | None:
    """Run the reference over the given decisions (None if there are none). ``window``: delay of the rewards, ms.

    ``greedy`` chooses the arm with the best posterior mode instead of a sample: it explores less and exploits more.
    """
    size, arms = shown.expected.shape
    if not size:
        return None
    rng = np.random.default_rng(seed)
    contexts = shown.log.contexts
    columns, precision = _design(contexts, shown.log.arms, prior)
    cells = len(contexts) * arms
    won, lost = np.zeros(cells), np.zeros(cells)
    position = np.zeros(precision.size)
    position[0] = prior.mean
    centre = position.copy()
    chosen = np.zeros(size, dtype=np.int64)
    reward = np.zeros(size, dtype=np.bool_)
    known = 0
    stop = 0
    while stop < size:
        start, stop = stop, min(size, stop + max(REFRESH, stop // 10))
        arrived = int(np.searchsorted(shown.shown_at, shown.shown_at[start] - window, side="right"))
        fresh = slice(known, min(arrived, start))
        cell = shown.log.context[fresh] * arms + chosen[fresh]
        won += np.bincount(cell, weights=reward[fresh], minlength=cells)
        lost += np.bincount(cell, weights=~reward[fresh], minlength=cells)
        known = max(known, fresh.stop)
        position, root = _laplace(columns, precision, centre, position, won, lost)
        drawn = position[:, None] + np.linalg.solve(root.T, rng.standard_normal((precision.size, stop - start))) * (not greedy)
        rows = np.arange(start, stop)
        wanted = shown.log.context[rows][:, None] * arms + np.arange(arms)
        logits = drawn[columns[wanted], np.arange(stop - start)[:, None, None]].sum(axis=2)
        chosen[rows] = np.where(shown.log.eligible[rows], logits, -np.inf).argmax(axis=1)
        reward[rows] = rng.random(stop - start) < shown.expected[rows, chosen[rows]]
    earned = shown.expected[np.arange(size), chosen]
    return Reference(earned, float(earned[-max(1, round(share * size)) :].mean()))


def _design(contexts: Sequence[tuple[str, str, str]], arms: Sequence[str], prior: Prior) -> tuple[Integers, Floats]:
    """Return for each cell (context × arm) the indices of its effects, and the prior precision of each effect."""
    effects: dict[tuple[Any, ...], int] = {(): 0}
    precision = [_precision(prior.sd)]
    columns: list[list[int]] = []
    for (trigger, step, segment), arm in product(contexts, arms):
        level = dict(zip(FACTORS, (trigger, step, segment, arm), strict=True))
        row = [0]
        for factors, spread in prior.terms.items():
            key = (factors, *(level[factor] for factor in factors))
            if key not in effects:
                effects[key] = len(effects)
                precision.append(_precision(spread))
            row.append(effects[key])
        columns.append(row)
    return np.array(columns, dtype=np.int64).reshape(len(contexts) * len(arms), -1), np.array(precision)


def _precision(sd: float) -> float:
    """Of an effect that varies by ``sd``; where a few users show no variation, it is as good as fixed."""
    return 1.0 / sd**2 if sd > 0 else 1e9


def _laplace(columns: Integers, precision: Floats, centre: Floats, begin: Floats, won: Floats, lost: Floats) -> tuple[Floats, Floats]:
    """Return the posterior's mode and the Cholesky factor of its precision, by Newton's method from ``begin``."""
    used = np.flatnonzero(won + lost)
    design = np.zeros((used.size, precision.size))
    np.put_along_axis(design, columns[used], 1.0, axis=1)
    wins, trials = won[used], won[used] + lost[used]
    mode, hessian = begin, np.diag(precision)
    for _ in range(12):
        rate = 1.0 / (1.0 + np.exp(-design @ mode))
        hessian = (design.T * (trials * rate * (1.0 - rate))) @ design + np.diag(precision)
        step = np.linalg.solve(hessian, design.T @ (wins - trials * rate) - precision * (mode - centre))
        longest = float(np.abs(step).max())
        mode = mode + step * min(1.0, 2.0 / max(longest, 1e-12))
        if longest < 0.02:
            break
    return mode, np.asarray(np.linalg.cholesky(hessian))
