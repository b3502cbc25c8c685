"""Survival curves: how long people take for a step, on log-spaced bins.

The estimator is the product-limit one (Kaplan and Meier 1958) on bins. People are counted by *cohort*, the period in which the step became
current for them. A bin uses only cohorts that were observed for all of that bin: in later cohorts only fast completions are known so far,
and using them would bias the curve towards short times (right truncation). Cohorts are discounted with the catalog's half-life.

Held-out people are few, so estimates are pooled. The scale of each step relative to the others is learned from everyone, guided or not
(guidance may make people faster, but at every step), starting from the catalog's prior. On that scale all held-out people form one curve,
towards which the curve of each step is shrunk until the step has enough data of its own.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from state.catalog.plan import Plan
from state.duration import DAY, MINUTE

Floats = NDArray[np.float64]
Endings = Mapping[int, Mapping[int, tuple[float, float]]]
"""Cohort → bin → weight of completions in it, and of people who were censored in it."""

RATIO: Final = 2.0**0.125
BINS: Final = 144
EDGES: Final = (0.0, *(MINUTE * RATIO**index for index in range(BINS - 1)), math.inf)
"""Edges of the bins of elapsed time in milliseconds: from a minute to half a year, eight for each doubling. The last bin has no end."""

HORIZON_QUANTILE: Final = 0.9
"""Share of the people who ever complete a step unaided who have done so within its horizon."""

_PRIOR_SHARE: Final = 0.6
_PRIOR_SPREAD: Final = 1.4
"""Prior standard deviation of the logarithm of completion times: the median is a sixth of the horizon."""
_PRIOR_WEIGHT: Final = 10.0
"""Strength of the prior curve, in people."""
_SCALE_WEIGHT: Final = 400.0
"""Strength of the pooled curve, in people: when steps are compared, and for the curve of a step."""
_NOISE_SD: Final = 4.0
_EFFECT_SD: Final = 0.1
_ROUNDS: Final = 2
_Z90: Final = 1.2815515655446004
_DEADLINE_FACTOR: Final = 0.74
"""Horizons have a standard error of about a fifth. A later alarm is more certain, but an alarm after half of the true horizon is worthless.
"""


class Curve(NamedTuple):
    """The estimate for one step. Times in milliseconds.

    - ``horizon``: time within which nine of ten of the people who ever complete it unaided have done so.
    - ``deadline``: latest time for an alarm: half of the horizon, less a margin for its uncertainty.
    - ``share``: share of people who ever complete it. ``survival``: share who have not at the end of each bin.
    - ``completions`` and ``episodes``: weight of the data.
    """

    horizon: int
    deadline: int
    median: int
    share: float
    completions: float
    episodes: float
    survival: tuple[float, ...]


def bin_of(lasted: int) -> int:
    """The bin of a duration."""
    return min(bisect_right(EDGES, max(lasted, 0)) - 1, BINS - 1)


def expected_horizon(plan: Plan, step: str) -> float:
    """The prior of a step's horizon: the catalog's ``usual``, else twice ``stuck:inactive.after``, scaled for longer steps.

    Calendar time grows slower than active time: with the fourth root of ``typical``, by at most a factor of two either way.
    """
    usual = plan.steps[step].usual
    if usual:
        return float(usual)
    typical = sorted(each.typical for each in plan.catalog.steps)
    middle = typical[len(typical) // 2]
    factor = min(max((plan.steps[step].typical / middle) ** 0.25, 0.5), 2.0)
    return float(2.0 * plan.triggers.inactive.after * factor)


class CohortCounts(NamedTuple):
    """Counts of episodes: ``entered`` are the people who began, by step and cohort; ``ended`` are completions and censorings."""

    entered: Mapping[str, Mapping[int, float]]
    ended: Mapping[str, Endings]

    def life_table(self, step: str, until: int, period: int, half_life: int) -> tuple[Floats, Floats, float]:
        """Completions and people at risk in every bin, and the number of people."""
        return _life_table(self.entered.get(step, {}), self.ended.get(step, {}), until, period, half_life)


NO_COUNTS: Final = CohortCounts({}, {})


def prior_curves(plan: Plan) -> dict[str, Curve]:
    """The curves before there are data."""
    return {step: _prior_curve(expected_horizon(plan, step)) for step in plan.steps}


def estimate(plan: Plan, held_out: CohortCounts, guided: CohortCounts, until: int, period: int) -> dict[str, Curve]:
    """Estimate the curve of every step from the counts up to log time ``until``. Cohorts are ``period`` milliseconds long."""
    half_life = plan.catalog.learning.half_life
    own = {step: held_out.life_table(step, until, period, half_life) for step in plan.steps}
    others = {step: guided.life_table(step, until, period, half_life) for step in plan.steps}
    everyone = {step: (own[step][0] + others[step][0], own[step][1] + others[step][1]) for step in plan.steps}
    if not any(people for _, _, people in own.values()):
        return prior_curves(plan)
    scale = {step: _shift(expected_horizon(plan, step)) for step in plan.steps}
    for _ in range(_ROUNDS):
        pooled = _pooled(everyone, scale)
        scale = {step: _shift(_quantiles(_shrunk(pooled, scale[step], _SCALE_WEIGHT, *everyone[step]))[0]) for step in plan.steps}
    pooled = _pooled(everyone, scale)
    first = min(cohort for seen in (held_out, guided) for cohorts in seen.entered.values() for cohort in cohorts)
    shift = _holdout_shift({step: each[:2] for step, each in own.items()}, {step: each[:2] for step, each in others.items()}, scale)
    curves = {}
    for step in plan.steps:
        survival = _shifted_curve(_shrunk(pooled, scale[step], _SCALE_WEIGHT, *everyone[step]), shift)
        curve = _curve(survival, float(everyone[step][0].sum()), own[step][2])
        curves[step] = _blended_with_catalog(curve, expected_horizon(plan, step), until - first * period, plan.steps[step].usual or DAY)
    return curves


def _blended_with_catalog(curve: Curve, expected: float, watched: int, usual: float) -> Curve:
    """Blend the estimated horizon with the catalog's, by how long people were observed.

    A horizon cannot be estimated from people who were observed for less than it: slow people, and those who reach the later steps late, are
    missing. Until ``usual`` has passed only the catalog counts, after three times ``usual`` only the estimate.
    """
    weight = min(max((watched / usual - 1.0) / 2.0, 0.0), 1.0)
    horizon = math.exp((1.0 - weight) * math.log(expected) + weight * math.log(max(curve.horizon, 1)))
    return curve._replace(horizon=round(horizon), deadline=round(curve.deadline * horizon / max(curve.horizon, 1)))


def _holdout_shift(own: Mapping[str, tuple[Floats, Floats]], others: Mapping[str, tuple[Floats, Floats]], scale: Mapping[str, int]) -> int:
    """By how many bins to shift the pooled curve so that it holds for held-out people.

    Their difference to guided people is shrunk to zero where there are few of either.
    """
    unaided, aided = (sum(float(completed.sum()) for completed, _ in each.values()) for each in (own, others))
    if not aided or not unaided:
        return 0
    difference = math.log(_quantiles(_pooled(own, scale))[0] / _quantiles(_pooled(others, scale))[0])
    noise = _NOISE_SD**2 * (1.0 / unaided + 1.0 / aided)
    weight = difference * _EFFECT_SD**2 / (_EFFECT_SD**2 + noise)
    return round(weight * aided / (unaided + aided) / math.log(RATIO))


def _pooled(seen: Mapping[str, tuple[Floats, Floats]], scale: Mapping[str, int]) -> Floats:
    """One curve of all steps, on the scale of a step whose horizon is a day."""
    events, watched = _pseudo_counts(_prior_survival(DAY), _PRIOR_WEIGHT)
    for step, (completed, at_risk) in seen.items():
        events, watched = events + _shifted(completed, -scale[step]), watched + _shifted(at_risk, -scale[step])
    return _survival(events, watched)


def _shrunk(pooled: Floats, scale: int, weight: float, completed: Floats, at_risk: Floats) -> Floats:
    events, watched = _pseudo_counts(_shifted_curve(pooled, scale), weight)
    return _survival(events + completed, watched + at_risk)


def _life_table(entered: Mapping[int, float], ended: Endings, until: int, period: int, half_life: int) -> tuple[Floats, Floats, float]:
    """Completions and people at risk in every bin, and the number of people, each cohort as far as it was observed."""
    completed, at_risk, people = np.zeros(BINS), np.zeros(BINS), 0.0
    edges = np.array(EDGES)
    for cohort, count in sorted(entered.items()):
        watched = edges[1:] <= until - (cohort + 1) * period
        watched[-1] = False
        done, lost = np.zeros(BINS), np.zeros(BINS)
        for place, (won, left) in ended.get(cohort, {}).items():
            done[place] += won
            lost[place] += left
        before = np.concatenate(([0.0], np.cumsum(done + lost)[:-1]))
        discount = 2.0 ** (-max(until - cohort * period, 0) / half_life)
        completed = completed + discount * np.where(watched, done, 0.0)
        at_risk = at_risk + discount * np.where(watched, np.maximum(count - before - lost / 2.0, done), 0.0)
        people += discount * count
    return completed, at_risk, people


def _survival(completed: Floats, at_risk: Floats) -> Floats:
    hazard = np.zeros(BINS)
    np.divide(completed, at_risk, out=hazard, where=at_risk > 0.0)
    survival: Floats = np.cumprod(1.0 - np.clip(hazard, 0.0, 1.0)).astype(np.float64)
    return survival


def _pseudo_counts(survival: Floats, weight: float) -> tuple[Floats, Floats]:
    """The completions and people at risk that ``weight`` people of this curve would give."""
    before = np.concatenate(([1.0], survival[:-1]))
    return weight * (before - survival), weight * before


def _prior_survival(horizon: float) -> Floats:
    """A lognormal with this horizon, of the share of people who ever complete the step."""
    middle = math.log(horizon) - _Z90 * _PRIOR_SPREAD
    return np.array([1.0 - _PRIOR_SHARE * _normal((math.log(edge) - middle) / _PRIOR_SPREAD) for edge in EDGES[1:]])


def _normal(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def _shift(horizon: float) -> int:
    return round(math.log(horizon / DAY) / math.log(RATIO))


def _shifted(counts: Floats, by: int) -> Floats:
    """Counts shifted by ``by`` bins. Counts that leave the scale are dropped."""
    shifted = np.zeros(BINS)
    if by >= 0:
        shifted[by:] = counts[: BINS - by]
    else:
        shifted[:by] = counts[-by:]
    return shifted


def _shifted_curve(survival: Floats, by: int) -> Floats:
    """A curve shifted by ``by`` bins. New bins have no completions."""
    if by >= 0:
        return np.concatenate((np.ones(by), survival[: BINS - by]))
    return np.concatenate((survival[-by:], np.full(-by, survival[-1])))


def _curve(survival: Floats, completions: float, episodes: float) -> Curve:
    share = 1.0 - float(survival[-1])
    horizon, median = _quantiles(survival)
    deadline = horizon / 2.0 * (_DEADLINE_FACTOR if completions else 1.0)
    return Curve(
        horizon=round(horizon),
        deadline=round(deadline),
        median=round(median),
        share=share,
        completions=completions,
        episodes=episodes,
        survival=tuple(survival.tolist()),
    )


def _prior_curve(horizon: float) -> Curve:
    survival = _prior_survival(horizon)
    median = math.exp(math.log(horizon) - _Z90 * _PRIOR_SPREAD)
    return Curve(
        horizon=round(horizon),
        deadline=round(horizon / 2.0),
        median=round(median),
        share=_PRIOR_SHARE,
        completions=0.0,
        episodes=0.0,
        survival=tuple(survival.tolist()),
    )


def _quantiles(survival: Floats) -> tuple[float, float]:
    """The horizon and the median of the people who ever complete the step."""
    share = 1.0 - float(survival[-1])
    return _quantile(survival, HORIZON_QUANTILE * share), _quantile(survival, 0.5 * share)


def _quantile(survival: Floats, share: float) -> float:
    """First time at which the share ``share`` has completed the step, interpolated log-linearly within its bin."""
    past = 1.0 - survival
    place = int(np.searchsorted(past, share - 1e-12))
    if place == 0:
        return EDGES[1]
    place = min(place, BINS - 2)
    before, after = float(past[place - 1]), float(past[place])
    part = min(max((share - before) / (after - before), 0.0), 1.0) if after > before else 1.0
    return float(EDGES[place] * RATIO**part)
