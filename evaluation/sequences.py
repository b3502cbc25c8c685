"""Confidence sequences: intervals for a running mean that are valid at every look, so that stopping at any time is permitted.

Sources.
*Empirical-Bernstein*: Howard, Ramdas, McAuliffe and Sekhon 2021, "Time-uniform, nonparametric, nonasymptotic confidence sequences",
theorem 4: for a guess ``g`` made before ``x`` is seen and ``x - g >= -c``, the process exp(l·(x - mean) - psi(l)·(x - g)²) with
psi(l) = (-log(1 - c·l) - c·l) / c² is a supermartingale for 0 <= l < 1/c (Fan, Grama and Liu 2015). Here it is mixed over l with the
weights of a half-normal, which is valid for the same reason and needs no tuning to be so. Not asymptotic: no burn-in. ``c`` may differ
from value to value, if it is known before the value: the factors of the product are one by one at most 1 in expectation. Where a later
``c`` forbids a rate l, the process of that rate ends at 0, as a supermartingale may.
*Difference of two groups*: the augmented inverse-probability-weighted pseudo-outcome with the known probability of assignment
(Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, arXiv:2103.06476, section 3), whose guesses are running means of the groups so far. The
probability may differ from person to person: each pseudo-outcome has the person's own effect as its mean, so people assigned with different
shares count together, and a base rate that changed with the shares is no effect (with one share for all it would be: Simpson's paradox).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from evaluation.arrays import Floats, Integers

_MIXED = 96
_AT_ONCE = 4_096
"""Looks that are judged in one go, so that memory stays bounded."""
_FORBIDDEN = 1e30
"""Takes the place of psi(l) where l is not below 1/c: the process ends at 0."""


@dataclass(frozen=True, slots=True)
class Path:
    """An estimate and its interval at each look, after ``seen[i]`` values."""

    seen: Integers
    estimate: Floats
    lower: Floats
    upper: Floats

    def __len__(self) -> int:
        return int(self.seen.size)

    def first_above(self, value: float) -> int | None:
        """Return the number of values at the first look whose whole interval is above ``value``, None if there is none."""
        above = np.flatnonzero(self.lower > value)
        return int(self.seen[above[0]]) if above.size else None


def mixture_scale(tuned_at: float, alpha: float) -> float:
    """Return the rho at which a normal mixture is narrowest after ``tuned_at`` values of unit variance.

    It minimises u/(u-1)·(log u - 2 log alpha) with u = 1 + tuned_at·rho²: u = 1 - 2 log alpha + log u, a fixed point.
    """
    log_term = -2.0 * math.log(alpha)
    u = 1.0 + log_term
    for _ in range(60):
        u = 1.0 + log_term + math.log(u)
    return math.sqrt((u - 1.0) / tuned_at)


def bernstein_margin(spread: ArrayLike, bound: ArrayLike, alpha: float, tuned_spread: float) -> Floats:
    """Return the bound on a sum's excess over its mean that holds at all times with probability 1 - ``alpha``.

    ``spread``: running sum of squared deviations from the guesses. ``bound``: no value lies further below its guess. With several bounds,
    in the order in which they came, ``spread`` has a row for each: the sum over its values. ``tuned_spread``: the spread at which the
    margin should be tightest.
    """
    bounds = np.atleast_1d(np.asarray(bound, dtype=np.float64))
    spreads = np.asarray(spread, dtype=np.float64).reshape(bounds.size, -1)
    rates, log_weights = _mixed_rates(float(bounds[0]), alpha, tuned_spread)
    threshold = -math.log(alpha)
    fixed = log_weights[None, :] - _psi_of_spread(rates, bounds, spreads)
    # Convex and increasing in the margin. The least margin of any single rate is above the root, and Newton falls to it from there.
    margin = np.min((threshold - fixed) / rates[None, :], axis=1)
    for _ in range(40):
        exponents = fixed + rates[None, :] * margin[:, None]
        value = _log_sum_exp(exponents)
        slope = np.sum(np.exp(exponents - value[:, None]) * rates[None, :], axis=1)
        step = (value - threshold) / slope
        margin = margin - step
        if np.all(np.abs(step) <= 1e-9 * np.maximum(1.0, margin)):
            break
    return np.asarray(np.maximum(margin, 0.0))


def _mixed_rates(bound: float, alpha: float, tuned_spread: float) -> tuple[Floats, Floats]:
    """Return the rates l of the mixture and the logarithms of their weights. ``bound``: the first, since later ones are not known then."""
    scale = mixture_scale(tuned_spread, min(2.0 * alpha, 0.5))
    largest = min(6.0 * scale, 0.98 / bound)
    rates = np.geomspace(largest * 1e-4, largest, _MIXED)
    log_weights = -0.5 * (rates / scale) ** 2 + np.log(rates)  # a half-normal's density times the width of the rate's interval
    return rates, log_weights - _log_sum_exp(log_weights[None, :])[0]


def _psi_of_spread(rates: Floats, bounds: Floats, spreads: Floats) -> Floats:
    """Return the sum over ``bounds`` of psi(l)·spread: a row for each look, a column for each rate."""
    found = np.zeros((spreads.shape[1], rates.size))
    for each, of_bound in zip(bounds, spreads, strict=True):
        found += _psi(rates, float(each))[None, :] * of_bound[:, None]
    return found


def _psi(rates: Floats, bound: float) -> Floats:
    reach = bound * rates
    allowed = np.minimum(reach, 0.99)
    return np.where(reach < 0.99, (-np.log1p(-allowed) - allowed) / bound**2, _FORBIDDEN)


def _log_sum_exp(rows: Floats) -> Floats:
    top = rows.max(axis=1)
    return np.asarray(top + np.log(np.exp(rows - top[:, None]).sum(axis=1)))


def bernstein(values: ArrayLike, guesses: ArrayLike, bound: ArrayLike, *, alpha: float, tuned_spread: float, looks: Integers) -> Path:
    """Bracket the running mean of ``values`` at ``looks`` (counts of values seen). |value - guess| must never exceed ``bound``, which may
    be one for each value.

    The estimand is the running average of the values' conditional means given the past; these may drift.
    """
    data = np.asarray(values, dtype=np.float64)
    distinct, spread = _spreads(data, guesses, bound)
    mean = np.cumsum(data)[looks - 1] / looks
    half = bernstein_margin(spread[:, looks - 1], distinct, alpha / 2.0, tuned_spread) / looks
    return Path(looks, mean, mean - half, mean + half)


def _spreads(values: Floats, guesses: ArrayLike, bound: ArrayLike) -> tuple[Floats, Floats]:
    """Return the distinct bounds in the order in which they came, and the running sum of squared deviations of the values of each."""
    squares = (values - np.asarray(guesses, dtype=np.float64)) ** 2
    bounds = np.broadcast_to(np.asarray(bound, dtype=np.float64), values.shape)
    distinct = list(dict.fromkeys(bounds.tolist())) or [1.0]
    return np.array(distinct), np.array([np.cumsum(squares * (bounds == each)) for each in distinct])


@dataclass(frozen=True, slots=True)
class Contrast:
    """Pseudo-outcomes of a comparison: their running mean estimates the difference.

    ``guesses`` were made before each; no value lies further from its guess than its ``bound``.
    """

    values: Floats
    guesses: Floats
    bound: Floats
    variance: float
    """Upper bound of the first pseudo-outcome's variance. It only tunes the width; validity does not depend on it."""


def contrast(outcome: ArrayLike, treated: ArrayLike, share: ArrayLike) -> Contrast:
    """Turn outcomes in 0..1 of people in order of arrival into pseudo-outcomes of treated - untreated.

    ``share``: the probability of assignment to the treated group, known by design, 0 < share < 1; one for all, or one for each person.
    With a share estimated from the same people the sequences are only approximately valid.
    """
    y = np.asarray(outcome, dtype=np.float64)
    a = np.asarray(treated, dtype=np.float64)
    p = np.broadcast_to(np.asarray(share, dtype=np.float64), y.shape)
    wrong = p[~((p > 0.0) & (p < 1.0))]
    if wrong.size:
        raise ValueError(f"the share of the treated group is a number between 0 and 1, not {wrong[0]:g}")
    guess_treated = _running_guess(y * a, a)
    guess_untreated = _running_guess(y * (1.0 - a), 1.0 - a)
    guesses = guess_treated - guess_untreated
    values = guesses + a * (y - guess_treated) / p - (1.0 - a) * (y - guess_untreated) / (1.0 - p)
    first = float(p[0]) if p.size else 0.5
    return Contrast(values, guesses, 1.0 / np.minimum(p, 1.0 - p), 0.25 / first + 0.25 / (1.0 - first))


def _running_guess(total: Floats, count: Floats) -> Floats:
    """Return the mean of the values before each, with a prior of one success in two: it is never 0 or 1."""
    return np.asarray((np.cumsum(total) - total + 1.0) / (np.cumsum(count) - count + 2.0))


def difference(
    outcome: ArrayLike, treated: ArrayLike, share: ArrayLike, *, alpha: float = 0.05, tuned_at: int = 5_000, looks: Integers | None = None
) -> Path:
    """Bracket the difference of two groups' means at every look by the empirical-Bernstein sequence, which all reports use.

    It is valid at any sample size and narrowest at about ``tuned_at`` people. The estimand is the difference among the people so far.
    With the guesses of ``contrast``, a pseudo-outcome's squared deviation from its guess estimates its variance, so the sequence is
    only a little wider than the asymptotic one (figures: benchmarks/coverage_sequences.py). Estimate and limits are clipped to -1..1,
    outside of which no difference of rates lies. Without people the path is empty.
    """
    pseudo = contrast(outcome, treated, share)
    chosen = every_look(pseudo.values.size) if looks is None else looks
    path = bernstein(pseudo.values, pseudo.guesses, pseudo.bound, alpha=alpha, tuned_spread=tuned_at * pseudo.variance, looks=chosen)
    return Path(path.seen, np.clip(path.estimate, -1.0, 1.0), np.maximum(path.lower, -1.0), np.minimum(path.upper, 1.0))


def first_proof(outcome: ArrayLike, treated: ArrayLike, share: ArrayLike, *, alpha: float = 0.05, tuned_at: int = 5_000) -> int | None:
    """Return after how many people the whole interval of ``difference`` was above 0 for the first time, with a look at every person.

    So people who come later never change it. None if it never was. The interval is above 0 where the process for a mean of 0 has passed
    2 / ``alpha``, which needs no root to tell.
    """
    pseudo = contrast(outcome, treated, share)
    bounds, spreads = _spreads(pseudo.values, pseudo.guesses, pseudo.bound)
    rates, log_weights = _mixed_rates(float(bounds[0]), alpha / 2.0, tuned_at * pseudo.variance)
    total, threshold = np.cumsum(pseudo.values), -math.log(alpha / 2.0)
    # psi(l) is at least l²/2, so no rate makes more of a sum than sum² / (2·spread).
    possible = np.flatnonzero((total > 0.0) & (np.square(total) >= 2.0 * threshold * spreads.sum(axis=0)))
    for start in range(0, possible.size, _AT_ONCE):
        looks = possible[start : start + _AT_ONCE]
        exponents = log_weights[None, :] + rates[None, :] * total[looks, None] - _psi_of_spread(rates, bounds, spreads[:, looks])
        passed = np.flatnonzero(_log_sum_exp(exponents) > threshold)
        if passed.size:
            return int(looks[passed[0]]) + 1
    return None


def wilson(rate: float, people: int, *, alpha: float = 0.05) -> tuple[float, float]:
    """Return the interval of a rate among ``people`` (at least 1), for one look chosen in advance.

    It is never a point, also where the rate is 0 or 1 (Wilson 1927, J. Am. Stat. Assoc. 22:209).
    """
    z = NormalDist().inv_cdf(1.0 - alpha / 2.0)
    middle = (rate + z * z / (2 * people)) / (1 + z * z / people)
    reach = z * math.sqrt(rate * (1 - rate) / people + z * z / (4 * people * people)) / (1 + z * z / people)
    return min(max(middle - reach, 0.0), rate), max(min(middle + reach, 1.0), rate)


def difference_fixed(outcome: ArrayLike, treated: ArrayLike, share: ArrayLike = 0.5, *, alpha: float = 0.05) -> tuple[float, float, float]:
    """Return estimate, lower and upper of the difference of the rates of an outcome (0 or 1), for one look chosen in advance.

    People who were assigned with the same ``share`` are a stratum. With several, it is the mean of their differences, weighted by the
    people in each (Imbens and Rubin 2015, "Causal Inference", chapter 9). The interval is made of those of the rates, so that with one
    stratum it holds for few people and for rates of 0 and 1 (Newcombe 1998, Stat. Med. 17:873, method 10; for strata Yan and Su 2010,
    J. Biopharm. Stat. 20:507). With several small strata it is too narrow: with ten of ten people each, an interval of 95 % may hold
    the truth in only 86 of 100 cases. The interval of ``difference`` holds there too. (nan, -1, 1) where every stratum lacks a group.
    """
    y = np.asarray(outcome, dtype=np.float64)
    a = np.asarray(treated, dtype=np.bool_)
    p = np.broadcast_to(np.asarray(share, dtype=np.float64), y.shape)
    strata = [(y[a & (p == each)], y[~a & (p == each)]) for each in np.unique(p)]
    both = [(ones, zeros) for ones, zeros in strata if ones.size and zeros.size]
    people = sum(ones.size + zeros.size for ones, zeros in both)
    if not people:
        return math.nan, -1.0, 1.0
    estimate = below = above = 0.0
    for ones, zeros in both:
        weight = (ones.size + zeros.size) / people
        one, zero = float(ones.mean()), float(zeros.mean())
        one_low, one_high = wilson(one, ones.size, alpha=alpha)
        zero_low, zero_high = wilson(zero, zeros.size, alpha=alpha)
        estimate += weight * (one - zero)
        below += weight**2 * ((one - one_low) ** 2 + (zero_high - zero) ** 2)
        above += weight**2 * ((one_high - one) ** 2 + (zero - zero_low) ** 2)
    return estimate, estimate - math.sqrt(below), estimate + math.sqrt(above)


def every_look(size: int, most: int = 2_000) -> Integers:
    """Return the looks 1..size, or ``most`` evenly spread ones with the last included. Fewer looks keep the sequence valid."""
    if size <= most:
        return np.arange(1, size + 1, dtype=np.int64)
    return np.unique(np.linspace(1, size, most).round().astype(np.int64))
