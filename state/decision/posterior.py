"""The posterior of a learner: one regression of success on arm, segment and step, with interactions of arm by segment and arm by step.

Segments and steps are baselines that all arms share. Differences between arms are pooled over contexts as far as the data show that the
contexts are alike (``state/logistic_regression.py``). The posterior depends only on the cells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from state.catalog.model import Learning
from state.logistic_regression import Floats, Group, fit, rates

SPREADS: Final = {"arm": 0.2, "segment": 0.4, "step": 0.4, "arm by segment": 0.3, "arm by step": 0.2}
"""Prior standard deviations of the effects of each group, in logits."""

MOST_LEVELS: Final = {"arm": 24, "segment": 64, "step": 40, "arm by segment": 160, "arm by step": 80}
"""Levels of each group that get their own effect, those with most data first. It bounds the time of a fit; the others count as unseen."""

_UNSEEN: Final = -1


class Beta(NamedTuple):
    """A Beta distribution with the posterior mean and variance of a rate. alpha + beta is its strength in observations."""

    alpha: float
    beta: float


class Comparison(NamedTuple):
    """One arm against others: mean rates over the arm's contexts. ``confidence``: probability that it is worse by more than the margin."""

    confidence: float
    rate: float
    others_rate: float


class Posterior:
    """The posterior over all arms and contexts at one time. Immutable."""

    def __init__(self, policy: Learning, cells: Mapping[str, tuple[float, float]]) -> None:
        """``cells``: ``arm|step|segment`` to successes and failures, discounted to the present."""
        parts = [tuple(key.split("|", 2)) for key in cells]
        names = [(arm, segment, step, f"{arm}|{segment}", f"{arm}|{step}") for arm, step, segment in parts]
        counts = np.array(list(cells.values()), dtype=np.float64).reshape(-1, 2)
        tried: list[float] = counts.sum(axis=1).tolist()
        self._levels: Final[list[dict[str, int]]] = []
        for group, most in enumerate(MOST_LEVELS.values()):
            weights: dict[str, float] = {}
            for name, weight in zip(names, tried, strict=True):
                weights[name[group]] = weights.get(name[group], 0.0) + weight
            kept = sorted(weights, key=lambda each: (-weights[each], each))[:most]
            self._levels.append({name: level for level, name in enumerate(kept)})
        groups = [Group(len(levels), sd) for levels, sd in zip(self._levels, SPREADS.values(), strict=True)]
        rows = [[levels.get(each, _UNSEEN) for levels, each in zip(self._levels, name, strict=True)] for name in names]
        self.fit: Final = fit(groups, rows, counts[:, 0], counts[:, 1], rate=policy.prior_rate, weight=policy.prior_weight)
        everywhere: dict[str, float] = {}
        seen: dict[str, list[str]] = {}
        for (arm, step, segment), weight in zip(parts, tried, strict=True):
            context = f"{step}|{segment}"
            everywhere[context] = everywhere.get(context, 0.0) + weight
            seen.setdefault(arm, []).append(context)
        self._seen: Final = {arm: [(context, everywhere[context]) for context in contexts] for arm, contexts in seen.items()}

    def logits(self, arms: Sequence[str], context: str) -> tuple[Floats, Floats]:
        """Mean and covariance of the arms' logits in ``context`` (``step|segment``)."""
        return self.fit.predict(self.rows([(arm, context) for arm in arms]))

    def rate(self, arm: str, context: str) -> Beta:
        """Posterior rate of ``arm`` in ``context``; for ``*`` over the contexts in which it was tried, weighted by their frequency."""
        if context != "*":
            return self.rates_of([(arm, context)])[0]
        average, variance = self._averages([arm], self._contexts_of(arm))
        return _beta(float(average[0]), float(variance[0, 0]))

    def rates_of(self, pairs: Sequence[tuple[str, str]]) -> list[Beta]:
        """Posterior rate of each (arm, context)."""
        if not pairs:
            return []
        mean, variance = rates(*self.fit.predict_each(self.rows(pairs)))
        return list(map(_beta, mean.tolist(), variance.tolist()))

    def expected_rates(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Posterior mean rate of each (arm, context), clipped away from 0 and 1."""
        if not pairs:
            return []
        return [float(rate) for rate in np.clip(rates(*self.fit.predict_each(self.rows(pairs)))[0], 1e-6, 1.0 - 1e-6)]

    def compare(self, arm: str, others: Sequence[str], margin: float) -> Comparison:
        """Compare ``arm`` with the average of ``others`` over the contexts in which ``arm`` was tried, weighted by their frequency."""
        averages, covariance = self._averages([arm, *others], self._contexts_of(arm))
        contrast = np.array([1.0] + [-1.0 / len(others)] * len(others))
        deficit, spread = float(-margin - contrast @ averages), math.sqrt(max(float(contrast @ covariance @ contrast), 1e-18))
        return Comparison(0.5 * math.erfc(-deficit / spread / math.sqrt(2.0)), float(averages[0]), float(averages[1:].mean()))

    def _contexts_of(self, arm: str) -> list[tuple[str, float]]:
        return self._seen.get(arm) or [("|", 1.0)]

    def _averages(self, arms: Sequence[str], contexts: list[tuple[str, float]]) -> tuple[Floats, Floats]:
        """Mean and covariance of each arm's rate averaged over ``contexts``, to first order in the logits (delta method)."""
        rows = self.rows([(arm, context) for arm in arms for context, _ in contexts])
        weights = np.array([weight for _, weight in contexts])
        weights /= weights.sum()
        mean = rates(*self.fit.predict_each(rows))[0].reshape(len(arms), -1)
        slopes = np.zeros((len(arms), len(rows)))
        for index in range(len(arms)):
            slopes[index, index * len(weights) : (index + 1) * len(weights)] = weights * mean[index] * (1.0 - mean[index])
        return mean @ weights, self.fit.combine(rows, slopes)

    def rows(self, pairs: Sequence[tuple[str, str]]) -> list[list[int]]:
        """Levels of (arm, context) pairs. Unseen levels get negative numbers, one for each name."""
        unseen: list[dict[str, int]] = [{} for _ in self._levels]
        rows = []
        for arm, context in pairs:
            step, _, segment = context.partition("|")
            name = (arm, segment, step, f"{arm}|{segment}", f"{arm}|{step}")
            row = []
            for group, (levels, each) in enumerate(zip(self._levels, name, strict=True)):
                level = levels.get(each)
                row.append(level if level is not None else _UNSEEN - unseen[group].setdefault(each, len(unseen[group])))
            rows.append(row)
        return rows


def _beta(mean: float, variance: float) -> Beta:
    mean = min(max(mean, 1e-9), 1.0 - 1e-9)
    strength = max(mean * (1.0 - mean) / max(variance, 1e-12) - 1.0, 1e-3)
    return Beta(mean * strength, (1.0 - mean) * strength)
