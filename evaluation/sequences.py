"""Confidence sequences: intervals for a running mean that are valid at every look, so that stopping at any time is permitted.

Sources.
*Empirical-Bernstein*: Howard, Ramdas, McAuliffe and Sekhon 2021, "Time-uniform, nonparametric, nonasymptotic confidence sequences",
theorem 4: for a guess ``g`` made before ``x`` is seen and ``x - g >= -c``, the process exp(l·(x - mean) - psi(l)·(x - g)²) with
psi(l) = (-log(1 - c·l) - c·l) / c² is a supermartingale for 0 <= l < 1/c (Fan, Grama and Liu 2015). Here it is mixed over l with the
weights of a half-normal, which is valid for the same reason and needs no tuning to be so. Not asymptotic: no burn-in.
*Difference of two groups*: the augmented inverse-probability-weighted pseudo-outcome with the known share of assignment
(Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, arXiv:2103.06476, section 3), whose guesses are running means of the groups so far.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from evaluation.arrays import Floats, Integers

_MIXED = 96


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


def bernstein_margin(spread: ArrayLike, bound: float, alpha: float, tuned_spread: float) -> Floats:
    """Return the bound on a sum's excess over its mean that holds at all times with probability 1 - ``alpha``.

    ``spread``: running sum of squared deviations from the guesses. ``bound``: no value lies further below its guess. ``tuned_spread``:
    the spread at which the margin should be tightest.
    """
    spreads = np.atleast_1d(np.asarray(spread, dtype=np.float64))
    scale = mixture_scale(tuned_spread, min(2.0 * alpha, 0.5))
    largest = min(6.0 * scale, 0.98 / bound)
    rates = np.geomspace(largest * 1e-4, largest, _MIXED)
    log_weights = -0.5 * (rates / scale) ** 2 + np.log(rates)  # a half-normal's density times the width of the rate's interval
    log_weights -= _log_sum_exp(log_weights[None, :])[0]
    psi = (-np.log1p(-bound * rates) - bound * rates) / bound**2
    threshold = -math.log(alpha)
    fixed = log_weights[None, :] - psi[None, :] * spreads[:, None]
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


def _log_sum_exp(rows: Floats) -> Floats:
    top = rows.max(axis=1)
    return np.asarray(top + np.log(np.exp(rows - top[:, None]).sum(axis=1)))


def bernstein(values: ArrayLike, guesses: ArrayLike, bound: float, *, alpha: float, tuned_spread: float, looks: Integers) -> Path:
    """Bracket the running mean of ``values`` at ``looks`` (counts of values seen). |value - guess| must never exceed ``bound``.

    The estimand is the running average of the values' conditional means given the past; these may drift.
    """
    data = np.asarray(values, dtype=np.float64)
    spread = np.cumsum((data - np.asarray(guesses, dtype=np.float64)) ** 2)
    mean = np.cumsum(data)[looks - 1] / looks
    half = bernstein_margin(spread[looks - 1], bound, alpha / 2.0, tuned_spread) / looks
    return Path(looks, mean, mean - half, mean + half)


@dataclass(frozen=True, slots=True)
class Contrast:
    """Pseudo-outcomes of a comparison: their running mean estimates the difference.

    ``guesses`` were made before each; no value lies further from its guess than ``bound``.
    """

    values: Floats
    guesses: Floats
    bound: float
    variance: float
    """Upper bound of a pseudo-outcome's variance. It only tunes the width; validity does not depend on it."""


def contrast(outcome: ArrayLike, treated: ArrayLike, share: float) -> Contrast:
    """Turn outcomes in 0..1 of people in order of arrival into pseudo-outcomes of treated - untreated.

    ``share``: each person's probability of assignment to the treated group, known by design, 0 < share < 1. With a share
    estimated from the same people the sequences are only approximately valid.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"the share of the treated group is a number between 0 and 1, not {share}")
    y = np.asarray(outcome, dtype=np.float64)
    a = np.asarray(treated, dtype=np.float64)
    guess_treated = _running_guess(y * a, a)
    guess_untreated = _running_guess(y * (1.0 - a), 1.0 - a)
    guesses = guess_treated - guess_untreated
    values = guesses + a * (y - guess_treated) / share - (1.0 - a) * (y - guess_untreated) / (1.0 - share)
    return Contrast(values, guesses, 1.0 / min(share, 1.0 - share), 0.25 / share + 0.25 / (1.0 - share))


def _running_guess(total: Floats, count: Floats) -> Floats:
    """Return the mean of the values before each, with a prior of one success in two: it is never 0 or 1."""
    return np.asarray((np.cumsum(total) - total + 1.0) / (np.cumsum(count) - count + 2.0))


def difference(
    outcome: ArrayLike, treated: ArrayLike, share: float, *, alpha: float = 0.05, tuned_at: int = 5_000, looks: Integers | None = None
) -> Path:
    """Bracket the difference of two groups' means at every look by the empirical-Bernstein sequence, which all reports use.

    It is valid at any sample size and narrowest at about ``tuned_at`` people. The estimand is the difference among the people so far.
    With the guesses of ``contrast``, a pseudo-outcome's squared deviation from its guess estimates its variance, so the sequence is
    only a little wider than the asymptotic one (figures: benchmarks/coverage_sequences.py). Without people the path is empty.
    """
    pseudo = contrast(outcome, treated, share)
    chosen = every_look(pseudo.values.size) if looks is None else looks
    path = bernstein(pseudo.values, pseudo.guesses, pseudo.bound, alpha=alpha, tuned_spread=tuned_at * pseudo.variance, looks=chosen)
    return Path(path.seen, path.estimate, np.maximum(path.lower, -1.0), np.minimum(path.upper, 1.0))


def difference_fixed(outcome: ArrayLike, treated: ArrayLike, *, alpha: float = 0.05) -> tuple[float, float, float]:
    """Return estimate, lower and upper of the difference of means by the unpooled normal interval, for one look chosen in advance.

    (nan, -1, 1) if a group is empty.
    """
    y = np.asarray(outcome, dtype=np.float64)
    a = np.asarray(treated, dtype=np.bool_)
    ones, zeros = y[a], y[~a]
    if not ones.size or not zeros.size:
        return math.nan, -1.0, 1.0
    estimate = float(ones.mean() - zeros.mean())
    half = NormalDist().inv_cdf(1.0 - alpha / 2.0) * math.sqrt(float(ones.var()) / ones.size + float(zeros.var()) / zeros.size)
    return estimate, estimate - half, estimate + half


def every_look(size: int, most: int = 2_000) -> Integers:
    """Return the looks 1..size, or ``most`` evenly spread ones with the last included. Fewer looks keep the sequence valid."""
    if size <= most:
        return np.arange(1, size + 1, dtype=np.int64)
    return np.unique(np.linspace(1, size, most).round().astype(np.int64))
