"""What a learner believes: one regression of success on arm, segment and step, with effects of each arm by segment and by step.

Segments and steps are baselines that all arms share; what tells the arms apart is pooled over contexts as far as the cells say that
contexts are alike (``state.logistic_regression``). Depends on the cells alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from state.catalog.model import Learning
from state.logistic_regression import Floats, Group, fit, rates

SPREADS: Final = {"arm": 0.2, "segment": 0.4, "step": 0.4, "arm by segment": 0.3, "arm by step": 0.2}
"""How far apart levels are expected to be before the cells say (standard deviations in logits)."""

MOST_LEVELS: Final = {"arm": 24, "segment": 64, "step": 40, "arm by segment": 160, "arm by step": 80}
"""Levels that get an effect of their own, the most seen first: bounds the time of a fit. The others are as if never seen."""

_UNSEEN: Final = -1


class Beta(NamedTuple):
    """A belief about a rate as a Beta distribution with its mean and variance: alpha + beta is what it is worth in observations."""

    alpha: float
    beta: float


class Contest(NamedTuple):
    """One arm against others: mean rates over the contexts in which it was seen; how sure it is to be worse by more than the margin."""

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
        tried = counts.sum(axis=1)
        self._levels: Final[list[dict[str, int]]] = []
        for group, most in enumerate(MOST_LEVELS.values()):
            weights: dict[str, float] = {}
            for name, weight in zip(names, tried, strict=True):
                weights[name[group]] = weights.get(name[group], 0.0) + float(weight)
            kept = sorted(weights, key=lambda each: (-weights[each], each))[:most]
            self._levels.append({name: level for level, name in enumerate(kept)})
        groups = [Group(len(levels), sd) for levels, sd in zip(self._levels, SPREADS.values(), strict=True)]
        rows = [[levels.get(each, _UNSEEN) for levels, each in zip(self._levels, name, strict=True)] for name in names]
        self.fit: Final = fit(groups, rows, counts[:, 0], counts[:, 1], rate=policy.prior_rate, weight=policy.prior_weight)
        everywhere: dict[str, float] = {}
        seen: dict[str, list[str]] = {}
        for (arm, step, segment), weight in zip(parts, tried, strict=True):
            context = f"{step}|{segment}"
            everywhere[context] = everywhere.get(context, 0.0) + float(weight)
            seen.setdefault(arm, []).append(context)
        self._seen: Final = {arm: [(context, everywhere[context]) for context in contexts] for arm, contexts in seen.items()}

    def logits(self, arms: Sequence[str], context: str) -> tuple[Floats, Floats]:
        """Mean and covariance of the arms' logits in ``context`` (``step|segment``)."""
        return self.fit.predict(self.rows([(arm, context) for arm in arms]))

    def rate(self, arm: str, context: str) -> Beta:
        """What is believed of ``arm`` in ``context``, or over the contexts in which it was seen (``*``), each by how often it comes up."""
        if context != "*":
            mean, variance = rates(*self.fit.predict_each(self.rows([(arm, context)])))
            return _beta(float(mean[0]), float(variance[0]))
        average, variance = self._averages([arm], self._where(arm))
        return _beta(float(average[0]), float(variance[0, 0]))

    def chances(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Mean believed rate of each (arm, context), kept off 0 and 1."""
        if not pairs:
            return []
        return [float(rate) for rate in np.clip(rates(*self.fit.predict_each(self.rows(pairs)))[0], 1e-6, 1.0 - 1e-6)]

    def contest(self, arm: str, others: Sequence[str], margin: float) -> Contest:
        """Compare ``arm`` with the average of ``others`` over the contexts in which ``arm`` was seen, each by how often it comes up."""
        averages, covariance = self._averages([arm, *others], self._where(arm))
        against = np.array([1.0] + [-1.0 / len(others)] * len(others))
        behind, spread = float(-margin - against @ averages), math.sqrt(max(float(against @ covariance @ against), 1e-18))
        return Contest(0.5 * math.erfc(-behind / spread / math.sqrt(2.0)), float(averages[0]), float(averages[1:].mean()))

    def _where(self, arm: str) -> list[tuple[str, float]]:
        return self._seen.get(arm) or [("|", 1.0)]

    def _averages(self, arms: Sequence[str], contexts: list[tuple[str, float]]) -> tuple[Floats, Floats]:
        """Mean and covariance of each arm's rate averaged over ``contexts``, to first order in the logits."""
        rows = self.rows([(arm, context) for arm in arms for context, _ in contexts])
        weights = np.array([weight for _, weight in contexts])
        weights /= weights.sum()
        mean = rates(*self.fit.predict_each(rows))[0].reshape(len(arms), -1)
        slopes = np.zeros((len(arms), len(rows)))
        for index in range(len(arms)):
            slopes[index, index * len(weights) : (index + 1) * len(weights)] = weights * mean[index] * (1.0 - mean[index])
        return mean @ weights, self.fit.combine(rows, slopes)

    def rows(self, pairs: Sequence[tuple[str, str]]) -> list[list[int]]:
        """Levels of (arm, context) pairs. Levels never seen are numbered below 0, each name its own number."""
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
    worth = max(mean * (1.0 - mean) / max(variance, 1e-12) - 1.0, 1e-3)
    return Beta(mean * worth, (1.0 - mean) * worth)
