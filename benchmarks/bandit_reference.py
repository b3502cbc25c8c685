"""The best that can be known: logistic regression under the true prior, by Markov chains that are exact up to their Monte Carlo error.

Elliptical slice sampling (Murray, Adams, MacKay 2010, arXiv:1001.0175) in its generalised form (Nishihara, Murray, Adams 2014,
arXiv:1210.7477): the Gaussian around the posterior's mode takes the prior's place in the proposals, and the ratio of the two densities that
of the likelihood, so that a few steps suffice. Independent of ``state.logistic_regression`` on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CHAINS: Final = 64
STEPS: Final = 5
KEPT: Final = 3
"""Chains, steps of each after every refresh, and how many of the last ones are kept: 192 samples, nearly independent."""

GROUPS: Final = ("intercept", "arm", "segment", "step", "arm_segment", "arm_step", "arm_segment_step")


class Reference:
    """A Bayesian learner that knows the prior that the world was drawn from. One regression a trigger.

    ``prior_sds``: standard deviation in logits of each of ``GROUPS`` (missing: 0) and ``mean``, the intercept's prior mean. With ``greedy``
    it chooses the arm with the best posterior mean, else by Thompson sampling; ``floor`` is mixed in.
    """

    def __init__(
        self, prior_sds: Mapping[str, float], triggers: int, arms: int, steps: int, segments: int, *,
        seed: int = 0, greedy: bool = False, floor: float = 0.0,
    ) -> None:  # fmt: skip
        """All contexts and arms are numbered from 0."""
        self._shape: Final = (arms, steps, segments)
        self._design, self._sds = _design(prior_sds, arms, steps, segments)
        self._mean: Final = float(prior_sds.get("mean", 0.0))
        self._greedy, self._floor = greedy, floor
        self._world: Final = np.random.default_rng([seed, 77])
        self._won: Final = np.zeros((triggers, len(self._design)))
        self._lost: Final = np.zeros((triggers, len(self._design)))
        self._new: Final = np.zeros(triggers, dtype=np.int64)
        self._all: Final = np.zeros(triggers, dtype=np.int64)
        prior = self._sds[:, None] * self._world.normal(size=(len(self._sds), CHAINS * KEPT))
        self._logits: Final = [self._mean + self._design @ prior for _ in range(triggers)]

    def observe(self, trigger: int, arm: int, step: int, segment: int, success: bool) -> None:
        """Learn one outcome; the posterior is sampled anew after every 4 % more."""
        row = np.ravel_multi_index((arm, step, segment), self._shape)
        (self._won if success else self._lost)[trigger, row] += 1
        self._new[trigger] += 1
        self._all[trigger] += 1
        if self._new[trigger] >= max(5, self._all[trigger] // 25):
            self._new[trigger] = 0
            self._logits[trigger] = self._sample(self._won[trigger], self._lost[trigger])

    def propensities(self, trigger: int, step: int, segment: int, arms: Sequence[int]) -> Floats:
        """Probability of choosing each of ``arms``."""
        rows = [np.ravel_multi_index((arm, step, segment), self._shape) for arm in arms]
        logits = self._logits[trigger][rows]
        if self._greedy:
            chances = np.zeros(len(arms))
            chances[(1.0 / (1.0 + np.exp(-logits))).mean(axis=1).argmax()] = 1.0
        else:
            chances = np.bincount(logits.argmax(axis=0), minlength=len(arms)) / logits.shape[1]
        return self._floor + (1.0 - self._floor * len(arms)) * chances

    def _sample(self, won: Floats, lost: Floats) -> Floats:
        """Samples of the logits of all cells (cells x samples)."""
        design, tried = self._design, won + lost
        mode, curvature = np.zeros(len(self._sds)), np.diag(self._sds**-2.0)
        for _ in range(50):
            rate = 1.0 / (1.0 + np.exp(-(self._mean + design @ mode)))
            slope = design.T @ (won - tried * rate) - mode / self._sds**2
            curvature = design.T @ ((tried * rate * (1.0 - rate))[:, None] * design) + np.diag(self._sds**-2.0)
            change = np.linalg.solve(curvature, slope)
            mode += change * min(1.0, 2.0 / max(float(np.abs(change).max()), 1e-12))
            if float(slope @ change) < 1e-8:
                break
        root = np.linalg.cholesky(np.linalg.inv(curvature))

        def excess(offsets: Floats, standard: Floats) -> Floats:
            """Log of posterior over proposal, but for a constant; ``offsets`` are effects less the mode."""
            logits, effects = self._mean + design @ (mode[:, None] + offsets), mode[:, None] + offsets
            height = won @ logits - tried @ np.logaddexp(0.0, logits) - 0.5 * ((effects / self._sds[:, None]) ** 2).sum(axis=0)
            ratio: Floats = height + 0.5 * (standard**2).sum(axis=0)
            return ratio

        standard = self._world.normal(size=(len(mode), CHAINS))
        kept = []
        for step in range(STEPS):
            standard = self._slice(standard, root, excess)
            if step >= STEPS - KEPT:
                kept.append(self._mean + design @ (mode[:, None] + root @ standard))
        return np.concatenate(kept, axis=1)

    def _slice(self, here: Floats, root: Floats, excess: Callable[[Floats, Floats], Floats]) -> Floats:
        other = self._world.normal(size=here.shape)
        height = excess(root @ here, here) + np.log(self._world.random(here.shape[1]))
        angle: Floats = self._world.uniform(0.0, 2.0 * np.pi, here.shape[1:])
        low: Floats = angle - 2.0 * np.pi
        high: Floats = angle.copy()
        outside = np.ones(here.shape[1], dtype=np.bool_)
        there = here * np.cos(angle) + other * np.sin(angle)
        for _ in range(60):
            outside = excess(root @ there, there) < height
            if not outside.any():
                break
            low = np.where(outside & (angle < 0), angle, low)
            high = np.where(outside & (angle >= 0), angle, high)
            angle = np.where(outside, self._world.uniform(low, high), angle)
            there = here * np.cos(angle) + other * np.sin(angle)
        return np.where(outside, here, there) if outside.any() else there


def _design(prior_sds: Mapping[str, float], arms: int, steps: int, segments: int) -> tuple[Floats, Floats]:
    """Cells (arm, step, segment in row order) x effects, and the effects' standard deviations; groups with 0 are left out."""
    arm, step, segment = (each.ravel() for each in np.indices((arms, steps, segments)))
    levels = {
        "intercept": np.zeros_like(arm), "arm": arm, "segment": segment, "step": step, "arm_segment": arm * segments + segment,
        "arm_step": arm * steps + step, "arm_segment_step": np.arange(len(arm)),
    }  # fmt: skip
    columns, sds = [], []
    for group in GROUPS:
        sd = prior_sds.get(group, 0.0)
        if sd > 0.0:
            size = int(levels[group].max()) + 1
            columns.append(np.eye(size)[levels[group]])
            sds += [sd] * size
    return np.concatenate(columns, axis=1), np.array(sds)
