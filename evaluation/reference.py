"""A learner with an unfair advantage, as a yardstick: Thompson sampling that knows the world's true prior.

On the same contexts in the same order it chooses with a Bayesian logistic model whose spreads are those the world was drawn with;
rewards are drawn from the truth's expected ones with a seed and arrive when the attribution window closes. Laplace's approximation,
fitted on aggregated cells and refreshed every ``REFRESH`` decisions, later a tenth more. No exploration floor, no discounting:
in a world that changes, it does not know. Source: Chapelle and Li 2011; Russo et al. 2018, "A tutorial on Thompson sampling", section 5.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np

from evaluation.arrays import Floats, Integers
from evaluation.bandit_value import Exposed
from state.duration import DAY

REFRESH: Final = 100
FACTORS: Final = ("trigger", "step", "segment", "arm")
_VAGUE: Final = 2.0
_LEAST_SPREAD: Final = 0.02
_MEASURED: Final = (
    ("trigger",),
    ("step",),
    ("segment",),
    ("arm",),
    ("trigger", "arm"),
    ("step", "arm"),
    ("segment", "arm"),
)
_WORDS: Final = re.compile(r"[A-Z]?[a-z]+")


class PriorError(ValueError):
    """The world's prior is not of a kind this model knows. For whoever wrote the population program."""


@dataclass(frozen=True, slots=True)
class Prior:
    """Logit = ``mean`` + a normal intercept (``sd``) + for each term one normal effect a combination of its factors' levels."""

    mean: float
    sd: float
    terms: Mapping[tuple[str, ...], float]


def read_prior(world: Mapping[str, Any]) -> Prior:
    """Read ``{"mean": -0.5, "sd": 0.5, "armSd": 0.4, "armSegmentSd": 0.3, …}``: a term is named by its factors, in any spelling.

    ``arm:segment``, ``armSegment`` and ``arm_segment_sd`` are one. Terms may be nested under ``terms`` or ``sds``. Raises ``PriorError``.
    """
    flat: dict[str, Any] = {}
    for key, value in world.items():
        flat.update(value if isinstance(value, Mapping) and key in {"terms", "sds"} else {key: value})
    mean, sd = 0.0, _VAGUE
    terms: dict[tuple[str, ...], float] = {}
    for key, value in flat.items():
        words = [word.lower() for word in _WORDS.findall(key)]
        if not isinstance(value, int | float):
            raise PriorError(f"the world's prior has {key}: {value!r}, and only numbers are known there")
        if words in (["mean"], ["intercept"], ["base"], ["intercept", "mean"], ["base", "mean"]):
            mean = float(value)
        elif words in (["sd"], ["intercept", "sd"], ["base", "sd"]):
            sd = float(value)
        else:
            factors = tuple(factor for factor in FACTORS if factor in words)
            if not factors or set(words) - {*FACTORS, "sd"}:
                raise PriorError(f"the world's prior has a term {key}; a term is made of {', '.join(FACTORS)}")
            terms[factors] = float(value)
    return Prior(mean, sd, {factors: spread for factors, spread in terms.items() if spread > 0})


@dataclass(frozen=True, slots=True)
class Reference:
    """Expected reward of each choice in order of the decisions, and of its last 20 %: ``value``."""

    earned: Floats
    value: float


def reference(shown: Exposed, prior: Prior, *, window: int = DAY, seed: int = 0, share: float = 0.2) -> Reference | None:
    """Run the yardstick over the decisions given (None if there are none). ``window``: how late rewards arrive, ms."""
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
        drawn = position[:, None] + np.linalg.solve(root.T, rng.standard_normal((precision.size, stop - start)))
        rows = np.arange(start, stop)
        wanted = shown.log.context[rows][:, None] * arms + np.arange(arms)
        logits = drawn[columns[wanted], np.arange(stop - start)[:, None, None]].sum(axis=2)
        chosen[rows] = np.where(shown.log.eligible[rows], logits, -np.inf).argmax(axis=1)
        reward[rows] = rng.random(stop - start) < shown.expected[rows, chosen[rows]]
    earned = shown.expected[np.arange(size), chosen]
    return Reference(earned, float(earned[-max(1, round(share * size)) :].mean()))


def measured_prior(shown: Exposed) -> Prior:
    """Measure on the truth itself how much each term matters, for worlds that are drawn otherwise than by ``Prior``.

    The logits of the cells' mean expected rewards are split term by term, plain factors before their meetings, each term taking the
    weighted group means of what is left. It knows the world that was drawn, not only its prior: a little more of an advantage.
    """
    log, arms = shown.log, len(shown.log.arms)
    cell = (log.context[:, None] * arms + np.arange(arms))[log.eligible]
    count = np.bincount(cell, minlength=len(log.contexts) * arms)
    total = np.bincount(cell, weights=shown.expected[log.eligible], minlength=count.size)
    seen = np.flatnonzero(count)
    rate = np.clip(total[seen] / count[seen], 0.01, 0.99)
    weight = count[seen].astype(np.float64)
    left = np.log(rate / (1.0 - rate))
    mean = float(np.average(left, weights=weight))
    left = left - mean
    levels = [(*log.contexts[number // arms], log.arms[number % arms]) for number in seen.tolist()]
    terms: dict[tuple[str, ...], float] = {}
    for factors in _MEASURED:
        keys = [tuple(level[FACTORS.index(factor)] for factor in factors) for level in levels]
        place = {key: index for index, key in enumerate(dict.fromkeys(keys))}
        group = np.array([place[key] for key in keys], dtype=np.int64)
        effect = np.bincount(group, weights=weight * left) / np.bincount(group, weights=weight)
        left = left - effect[group]
        spread = math.sqrt(float(np.average(np.square(effect[group]), weights=weight)))
        if spread > _LEAST_SPREAD:
            terms[factors] = spread
    return Prior(mean, _LEAST_SPREAD, terms)


def prior_for(world: Mapping[str, Any] | None, shown: Exposed) -> Prior:
    """Return the world's own prior where this model can read it, else the measured one."""
    try:
        return read_prior(world) if world else measured_prior(shown)
    except PriorError:
        return measured_prior(shown)


def _design(contexts: Sequence[tuple[str, str, str]], arms: Sequence[str], prior: Prior) -> tuple[Integers, Floats]:
    """Return for each cell (context × arm) the numbers of its effects, and the prior precision of each effect."""
    effects: dict[tuple[Any, ...], int] = {(): 0}
    precision = [1.0 / prior.sd**2 if prior.sd > 0 else 1e9]
    columns: list[list[int]] = []
    for (trigger, step, segment), arm in product(contexts, arms):
        level = dict(zip(FACTORS, (trigger, step, segment, arm), strict=True))
        row = [0]
        for factors, spread in prior.terms.items():
            key = (factors, *(level[factor] for factor in factors))
            if key not in effects:
                effects[key] = len(effects)
                precision.append(1.0 / spread**2)
            row.append(effects[key])
        columns.append(row)
    return np.array(columns, dtype=np.int64).reshape(len(contexts) * len(arms), -1), np.array(precision)


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
