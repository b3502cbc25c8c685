"""Hierarchical logistic regression on counted cells: the posterior of a success rate that depends on a few groups of levels.

    logit(rate) = intercept + sum over the groups of the effect of the row's level

The effects of one group have a common Gaussian prior around 0. Its standard deviation is estimated from the cells too, so that groups
without influence shrink to zero and levels with few data are pooled with the others. The posterior is Gaussian around its mode (Laplace
approximation). The standard deviations maximize the marginal likelihood (empirical Bayes by MacKay's fixed point, Neural Computation 4
(1992), 415), with a weak prior around the one that the caller expects. Counts may be fractions, so old observations may have less weight.

A fit starts from the prior and depends only on its arguments: the same cells give bitwise the same fit, whatever was fitted before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_HELD: Final = 2.0
"""Strength of the prior of each group's standard deviation, in levels."""
_MOST_ROUNDS: Final = 12
_SPREAD_TOLERANCE: Final = 0.02
_MOST_STEPS: Final = 100
_ROUGHLY: Final = 1.0
_TOLERANCE: Final = 1e-9
_SHORTEST: Final = 1e-6
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


class Group(NamedTuple):
    """A group of effects: the number of its levels, and the expected standard deviation of their effects in logits."""

    levels: int
    sd: float


class Fit:
    """The posterior of one regression. Immutable."""

    def __init__(self, groups: Sequence[Group], sds: Floats, effects: Floats, covariance: Floats) -> None:
        """Called by ``fit``. ``effects``: the intercept, then the groups' levels in order. ``sds``: the fitted standard deviations."""
        self.sds: Final = sds
        self.effects: Final = effects
        self.covariance: Final = covariance
        self._sizes: Final = np.array([group.levels for group in groups], dtype=np.int64)
        self._starts: Final = 1 + np.concatenate(([0], np.cumsum(self._sizes)[:-1])).astype(np.int64)
        # One more effect, fixed to 0, represents every level that was not part of the fit.
        self._padded_effects: Final = np.append(effects, 0.0)
        self._padded: Final = np.pad(covariance, (0, 1))

    def predict(self, levels: ArrayLike) -> tuple[Floats, Floats]:
        """Mean (rows) and covariance (rows x rows) of the logits of rows of levels, one level a group.

        A level outside of ``0 … levels - 1`` is unseen: its effect has mean 0 and the group's standard deviation. Rows with the same number
        in the same group share that effect; different numbers are different unseen levels.
        """
        rows = np.asarray(levels, dtype=np.int64).reshape(-1, len(self._sizes))
        columns, known = self._columns(rows)
        loads = np.zeros((len(rows), len(self._padded)))
        loads[np.arange(len(rows))[:, None], columns] = 1.0
        covariance: Floats = loads @ self._padded @ loads.T
        for group in np.flatnonzero(~known.all(axis=0)):
            shared = (rows[:, None, group] == rows[None, :, group]) & ~known[:, group]  # equal levels are both known or both unseen
            covariance += self.sds[group] ** 2 * shared
        return self._padded_effects[columns].sum(axis=1), covariance

    def predict_each(self, levels: ArrayLike) -> tuple[Floats, Floats]:
        """Mean and variance of the logit of each row. Faster than ``predict`` for many rows."""
        rows = np.asarray(levels, dtype=np.int64).reshape(-1, len(self._sizes))
        columns, known = self._columns(rows)
        variance = self._padded[columns[:, :, None], columns[:, None, :]].sum(axis=(1, 2))
        return self._padded_effects[columns].sum(axis=1), variance + np.where(known, 0.0, self.sds**2).sum(axis=1)

    def combine(self, levels: ArrayLike, weights: ArrayLike) -> Floats:
        """Covariance of weighted sums of rows' logits. ``weights`` has one line for each sum and one column for each row."""
        rows, lines = np.asarray(levels, dtype=np.int64).reshape(-1, len(self._sizes)), np.atleast_2d(np.asarray(weights, dtype=np.float64))
        columns, known = self._columns(rows)
        width = len(self._padded)
        loads = np.array([np.bincount(columns.ravel(), np.repeat(line, columns.shape[1]), width) for line in lines])
        covariance: Floats = loads @ self._padded @ loads.T
        for group, sd in enumerate(self.sds):
            for level in np.unique(rows[~known[:, group], group]):
                shared = lines[:, rows[:, group] == level].sum(axis=1)
                covariance += sd**2 * np.outer(shared, shared)
        return covariance

    def _columns(self, rows: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        known = (rows >= 0) & (rows < self._sizes)
        columns = np.where(known, self._starts + rows, len(self.effects))
        return np.concatenate((np.zeros((len(rows), 1), dtype=np.int64), columns), axis=1), known


def fit(
    groups: Sequence[Group],
    levels: ArrayLike,
    successes: ArrayLike,
    failures: ArrayLike,
    *,
    rate: float,
    weight: float,
) -> Fit:
    """Fit the cells: ``levels`` has one row for each cell and one column for each group, ``successes`` and ``failures`` one number for each
    cell.

    ``rate`` and ``weight`` are the prior of the intercept: a rate, with the strength of ``weight`` observations. A level below 0 belongs to
    no level: its effect is 0. Without cells the fit is the prior. Raises ``ValueError`` for counts that are negative or not finite, and for
    levels out of range.
    """
    sizes = [group.levels for group in groups]
    rows = np.asarray(levels, dtype=np.int64).reshape(-1, len(groups))
    won, lost = np.asarray(successes, dtype=np.float64), np.asarray(failures, dtype=np.float64)
    tried = won + lost
    if not (np.isfinite(tried).all() and (won >= 0).all() and (lost >= 0).all()):
        raise ValueError("counts must be finite and not negative")
    if (rows >= np.array(sizes, dtype=np.int64)).any():
        raise ValueError("a level is beyond its group")
    problem = _Problem(sizes, rows, won, tried, float(np.log(rate / (1.0 - rate))), weight * rate * (1.0 - rate))
    expected = np.array([group.sd for group in groups]) ** 2
    variances = expected.copy()
    effects = problem.start()
    for _ in range(_MOST_ROUNDS if len(rows) and len(groups) else 0):
        effects = problem.mode(effects, variances, _ROUGHLY)
        uncertain = np.diag(problem.covariance(effects, variances))
        spent = np.array([uncertain[part].sum() for part in problem.parts])
        squares = np.array([(effects[part] ** 2).sum() for part in problem.parts])
        measured = np.maximum(np.array(sizes) - spent / variances, 0.0)  # effective number of levels that the data determine
        before, variances = variances, (squares + _HELD * expected) / (measured + _HELD)
        if np.abs(np.log(variances / before)).max() < 2.0 * _SPREAD_TOLERANCE:
            break
    effects = problem.mode(effects, variances, _TOLERANCE)
    return Fit(groups, np.sqrt(variances), effects, problem.covariance(effects, variances))


def rates(mean: ArrayLike, variance: ArrayLike) -> tuple[Floats, Floats]:
    """Mean and variance of the rate whose logit is Gaussian with ``mean`` and ``variance`` (quadrature with 15 nodes)."""
    middle, spread = np.asarray(mean, dtype=np.float64), np.sqrt(np.asarray(variance, dtype=np.float64))
    values = sigmoid(middle[..., None] + spread[..., None] * _NODES)
    average: Floats = values @ _WEIGHTS
    return average, np.maximum((values - average[..., None]) ** 2 @ _WEIGHTS, 0.0)


def sigmoid(logits: Floats) -> Floats:
    """The rate of a logit. It never overflows."""
    return 0.5 * (1.0 + np.tanh(0.5 * logits))


class _Problem:
    """The cells, prepared so that sums over pairs of effects take few operations."""

    def __init__(self, sizes: list[int], rows: Ints, won: Floats, tried: Floats, centre: float, precision: float) -> None:
        starts = 1 + np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int64) if sizes else np.zeros(0, dtype=np.int64)
        self.parts: Final = [slice(start, start + size) for start, size in zip(starts, sizes, strict=True)]
        self._sizes: Final = sizes
        self._size: Final = 1 + sum(sizes)
        nothing = self._size  # one more effect, fixed to 0
        columns = np.where(rows >= 0, starts + rows, nothing)
        self._columns: Final = np.concatenate((np.zeros((len(rows), 1), dtype=np.int64), columns), axis=1)
        self._width: Final = self._size + 1
        left, right = np.triu_indices(self._columns.shape[1])
        self._pairs: Final = (self._columns[:, left] * self._width + self._columns[:, right]).ravel()
        self._repeats: Final = len(left)
        self._won, self._tried, self._precision = won, tried, precision
        self._flat_columns: Final = self._columns.ravel()
        self._prior: Final = np.zeros(self._size)
        self._prior[0] = centre
        self._padded: Final = np.zeros(self._width)  # room for the effects and the one fixed to 0

    def start(self) -> Floats:
        return self._prior.copy()

    def mode(self, effects: Floats, variances: Floats, tolerance: float) -> Floats:
        """Newton's method from ``effects``, until the step (squared, in posterior standard deviations) is below ``tolerance``."""
        precisions = self._precisions(variances)
        logits = self._logits(effects)
        height = self._height(effects, logits, precisions)
        for _ in range(_MOST_STEPS):
            slope, curvature = self._curve(effects, logits, precisions)
            step = np.linalg.solve(curvature, slope)
            if float(slope @ step) < tolerance:
                return effects + step
            length = 1.0
            while True:
                there = effects + length * step
                logits = self._logits(there)
                new = self._height(there, logits, precisions)
                if new >= height or length <= _SHORTEST:
                    break
                length /= 2.0
            effects, height = there, new
        return effects

    def covariance(self, effects: Floats, variances: Floats) -> Floats:
        """Inverse of the posterior's curvature at ``effects``."""
        covariance = np.linalg.inv(self._curve(effects, self._logits(effects), self._precisions(variances))[1])
        return (covariance + covariance.T) / 2.0

    def _precisions(self, variances: Floats) -> Floats:
        return np.concatenate(([self._precision], np.repeat(1.0 / variances, self._sizes)))

    def _logits(self, effects: Floats) -> Floats:
        """The logit of each cell."""
        self._padded[:-1] = effects
        logits: Floats = self._padded[self._columns].sum(axis=1)
        return logits

    def _curve(self, effects: Floats, logits: Floats, precisions: Floats) -> tuple[Floats, Floats]:
        rate = sigmoid(logits)
        rest = np.repeat(self._won - self._tried * rate, self._columns.shape[1])
        slope = np.bincount(self._flat_columns, rest, self._width)[: self._size] - precisions * (effects - self._prior)
        weights = np.repeat(self._tried * rate * (1.0 - rate), self._repeats)
        # Without cells, bincount returns integers.
        sums: Floats = np.bincount(self._pairs, weights, self._width**2).astype(np.float64, copy=False)
        upper = sums.reshape(self._width, self._width)[: self._size, : self._size]
        # Groups are in order, so pairs fill the upper half only, each pair of different effects once.
        curvature: Floats = upper + upper.T
        curvature.reshape(-1)[:: self._size + 1] = upper.diagonal() + precisions
        return slope, curvature

    def _height(self, effects: Floats, logits: Floats, precisions: Floats) -> float:
        likelihood = float((self._won * logits - self._tried * np.logaddexp(0.0, logits)).sum())
        return likelihood - 0.5 * float((precisions * (effects - self._prior) ** 2).sum())
