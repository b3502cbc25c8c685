"""Always-valid intervals: their formulas, and their coverage under many looks.

Longer runs: benchmarks/coverage_sequences.py.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.coverage_sequences import asymptotic, difference_asymptotic, measure
from benchmarks.coverage_worlds import experiment
from evaluation.arrays import Floats
from evaluation.sequences import (
    bernstein,
    bernstein_margin,
    contrast,
    difference,
    difference_fixed,
    every_look,
    first_proof,
    mixture_scale,
)


def test_the_tuning_minimises_the_width_of_the_normal_mixture() -> None:
    def width(rho: float) -> float:
        u = 1 + 5_000 * rho**2
        return u / (u - 1) * (math.log(u) - 2 * math.log(0.05))

    best = mixture_scale(5_000, 0.05)
    assert all(width(best) < width(best * factor) for factor in (0.9, 0.99, 1.01, 1.1))


def test_the_asymptotic_sequence_is_the_formula_of_the_paper() -> None:
    """arXiv:2103.06476, theorem 2.2, typed in again from the paper."""
    values = np.random.default_rng(1).normal(0, 1, 400)
    path = asymptotic(values, np.zeros(400), alpha=0.05, tuned_at=300, looks=np.array([400]))
    rho, t, deviation = mixture_scale(300, 0.05), 400, math.sqrt(float(np.mean(values**2)))
    by_paper = deviation * math.sqrt(2 * (t * rho**2 + 1) / (t**2 * rho**2) * math.log(math.sqrt(t * rho**2 + 1) / 0.05))
    assert path.upper[0] - path.estimate[0] == pytest.approx(by_paper)


def test_the_asymptotic_sequence_is_infinite_before_its_burn_in() -> None:
    path = asymptotic(np.ones(300), np.zeros(300), alpha=0.05, tuned_at=100, looks=every_look(300))
    assert np.isinf(path.upper[:199]).all()
    assert np.isfinite(path.upper[199:]).all()


@settings(deadline=None)
@given(st.floats(0.0, 1e5), st.floats(1.0, 30.0), st.floats(10.0, 1e5), st.sampled_from([0.2, 0.05, 0.01]))
def test_at_the_margin_the_mixture_equals_one_over_alpha(spread: float, bound: float, tuned: float, alpha: float) -> None:
    """The margin is the root for all arguments and does not decrease with the spread."""
    low, high = bernstein_margin([spread, spread * 1.5 + 1], bound, alpha, tuned)
    assert 0 < low <= high
    scale = mixture_scale(tuned, min(2 * alpha, 0.5))
    rates = np.geomspace(min(6 * scale, 0.98 / bound) * 1e-4, min(6 * scale, 0.98 / bound), 96)
    weights = rates * np.exp(-0.5 * (rates / scale) ** 2)
    psi = (-np.log1p(-bound * rates) - bound * rates) / bound**2
    wealth = float((weights * np.exp(rates * low - psi * spread)).sum() / weights.sum())
    assert wealth == pytest.approx(1 / alpha, rel=1e-4)


def test_each_step_is_a_supermartingale_for_bounded_values() -> None:
    """The supermartingale's step, exactly, for values of three points: E exp(l(x - mean) - psi(l)(x - guess)^2) <= 1."""
    rng = np.random.default_rng(2)
    for _ in range(500):
        bound = rng.uniform(0.5, 8)
        guess = rng.uniform(-1, 1)
        points = guess + rng.uniform(-bound, bound, 3)
        chance = rng.dirichlet(np.ones(3))
        rate = rng.uniform(0, 0.98) / bound
        psi = (-math.log1p(-bound * rate) - bound * rate) / bound**2
        mean = float(chance @ points)
        assert float(chance @ np.exp(rate * (points - mean) - psi * (points - guess) ** 2)) <= 1 + 1e-9


def test_the_mean_of_pseudo_outcomes_is_the_difference_and_their_bound_holds() -> None:
    outcome, treated = experiment(20_000, (0.45, 0.49), 0.8, np.random.default_rng(5))
    pseudo = contrast(outcome, treated, 0.8)
    assert np.all(np.abs(pseudo.values - pseudo.guesses) <= pseudo.bound)
    assert pseudo.values.mean() == pytest.approx(difference_fixed(outcome, treated)[0], abs=0.002)
    assert np.var(pseudo.values) <= 1.01 * pseudo.variance


def test_a_guess_does_not_depend_on_its_own_or_later_values() -> None:
    outcome, treated = experiment(50, (0.4, 0.6), 0.5, np.random.default_rng(5))
    changed = outcome.copy()
    changed[30:] = 1 - changed[30:]
    assert contrast(outcome, treated, 0.5).guesses[:31].tolist() == contrast(changed, treated, 0.5).guesses[:31].tolist()


def test_bernstein_is_little_wider_than_asymptotic_and_both_are_wider_than_fixed() -> None:
    outcome, treated = experiment(20_000, (0.45, 0.49), 0.8, np.random.default_rng(7))
    ours, limit = difference(outcome, treated, 0.8), difference_asymptotic(outcome, treated, 0.8)
    _, low, high = difference_fixed(outcome, treated)
    width, wide, narrow = ours.upper[-1] - ours.lower[-1], limit.upper[-1] - limit.lower[-1], high - low
    assert narrow < wide < width < 1.08 * wide


def test_the_first_proof_is_at_the_first_person_after_whom_the_interval_is_above_0() -> None:
    """Also where the share changed on the way, and where nothing is ever proven. Later people do not change it."""
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        share = np.where(np.arange(1_500) < 700, 0.9, 0.5) if seed % 2 else np.full(1_500, 0.8)
        treated = rng.random(1_500) < share
        outcome = (rng.random(1_500) < np.where(treated, 0.5, 0.35)).astype(float)
        first = difference(outcome, treated, share, looks=np.arange(1, 1_501)).first_above(0.0)
        assert first_proof(outcome, treated, share) == first
        assert first is None or first_proof(outcome[:first], treated[:first], share[:first]) == first
        found.append(first)
    assert None in found
    assert len({*found}) > 10
    assert first_proof([], [], 0.5) is None


def test_small_samples_claim_nothing() -> None:
    for size in range(8):
        outcome, treated = np.ones(size), np.arange(size) % 2
        path = difference(outcome, treated, 0.5)
        assert len(path) == size
        assert np.all((path.lower >= -1) & (path.upper <= 1) & (path.lower <= 0) & (path.upper >= 0))
    assert math.isnan(difference_fixed([1.0], [1.0])[0])
    with pytest.raises(ValueError, match="between 0 and 1"):
        difference([1.0], [1.0], 1.0)


@pytest.mark.parametrize(("treated", "untreated"), [([1.0], [0.0]), ([1.0], [1.0]), ([0.0] * 5, [0.0]), ([1.0] * 3, [0.0, 1.0])])
def test_a_rate_of_0_or_1_among_few_users_is_not_certain(treated: list[float], untreated: list[float]) -> None:
    estimate, low, high = difference_fixed(treated + untreated, [1.0] * len(treated) + [0.0] * len(untreated))
    assert -1.0 <= low <= estimate <= high <= 1.0
    assert high - low > 0.7
    assert low < 0.0


def test_the_fixed_interval_covers_at_one_look_also_where_few_users_or_extreme_rates_meet() -> None:
    """At least 92 % for a nominal 95 %. Of the normal interval it is 0, 91, 93 and 87 % of them."""
    rng = np.random.default_rng(17)
    for shares, sizes, rates in [
        ([0.5], [2], (0.02, 0.2)),
        ([0.9], [40], (0.05, 0.15)),
        ([0.5], [60], (0.4, 0.6)),
        ([0.5, 0.9], [20, 30], (0.1, 0.3)),
    ]:
        share = np.repeat(shares, sizes)
        held = told = 0
        for _ in range(1_000):
            treated = rng.random(share.size) < share
            outcome = rng.random(share.size) < np.where(treated, rates[1], rates[0])
            estimate, low, high = difference_fixed(outcome, treated, share)
            if not math.isnan(estimate):
                told += 1
                held += low <= rates[1] - rates[0] <= high
        assert held >= 0.92 * told, (shares, sizes, rates, held, told)


def test_coverage_over_the_whole_path_and_power() -> None:
    """Of 120 experiments with 20,000 people at least 114 must be covered (95 %); the fixed-sample interval is the contrast."""
    figures = measure(120, 20_000, (0.45, 0.49), 0.2, 5_000, 200, seed=11)
    assert figures["bernstein"]["coverage"] >= 0.95
    assert figures["bernstein"]["false_claims"] <= 0.05
    assert figures["bernstein"]["power"] >= 0.8
    assert figures["fixed"]["coverage"] < 0.8


def test_coverage_holds_from_the_first_person_on_with_rare_activation() -> None:
    """A twentieth held out, 2 % activation and a look after every person, where normal approximations fail."""
    rng = np.random.default_rng(13)
    held = 0
    for _ in range(300):
        path = difference(*experiment(600, (0.02, 0.02), 0.95, rng), 0.95, tuned_at=300)
        held += bool(np.all((path.lower <= 0) & (path.upper >= 0)))
    assert held >= 0.95 * 300


def test_bernstein_brackets_the_running_mean_of_drifting_means() -> None:
    rng = np.random.default_rng(17)
    mean = np.linspace(0.1, 0.9, 800)
    held = 0
    for _ in range(300):
        values = (rng.random(800) < mean).astype(float)
        guesses = (np.cumsum(values) - values + 1) / (np.arange(800) + 2)
        path = bernstein(values, guesses, 1.0, alpha=0.1, tuned_spread=100, looks=every_look(800))
        running = np.cumsum(mean) / np.arange(1, 801)
        held += bool(np.all((path.lower <= running) & (running <= path.upper)))
    assert held >= 0.9 * 300


def _changing(
    shares: tuple[float, ...], rates: tuple[float, ...], lifts: tuple[float, ...], rng: np.random.Generator
) -> tuple[Floats, ...]:
    """Outcome, group, probability of the group and true effect of 400 people under each design in turn, a design for each value."""
    share, rate, lift = (np.repeat(each, 400) for each in (shares, rates, lifts))
    treated = (rng.random(share.size) < share).astype(float)
    return (rng.random(share.size) < rate + lift * treated).astype(float), treated, share, lift


@pytest.mark.parametrize(
    ("shares", "rates", "lifts"),
    [
        pytest.param((0.5, 0.9), (0.3, 0.45), (0.0, 0.0), id="a better season, and fewer held out"),
        pytest.param((0.95, 0.5), (0.05, 0.6), (0.0, 0.0), id="more held out"),
        pytest.param((0.5, 0.98, 0.75), (0.3, 0.02, 0.5), (0.1, 0.02, -0.1), id="everything changes twice"),
    ],
)
def test_people_assigned_with_different_shares_are_compared_without_bias_and_every_look_is_covered(
    shares: tuple[float, ...], rates: tuple[float, ...], lifts: tuple[float, ...]
) -> None:
    rng = np.random.default_rng(29)
    looks, off, plain, held = every_look(400 * len(shares), 60), [], [], 0
    for _ in range(400):
        outcome, treated, share, lift = _changing(shares, rates, lifts, rng)
        path = difference(outcome, treated, share, tuned_at=500, looks=looks)
        running = (np.cumsum(lift) / np.arange(1, lift.size + 1))[looks - 1]
        held += bool(np.all((path.lower <= running) & (running <= path.upper)))
        off.append(path.estimate[-1] - running[-1])
        plain.append(difference_fixed(outcome, treated, share)[0] - running[-1])
    assert held >= 0.95 * 400
    for errors in (off, plain):
        assert abs(np.mean(errors)) < 3 * np.std(errors) / math.sqrt(400)


def test_one_share_for_everybody_as_a_number_and_as_an_array_are_the_same() -> None:
    outcome, treated = experiment(500, (0.45, 0.49), 0.8, np.random.default_rng(5))
    one, each = (difference(outcome, treated, share) for share in (0.8, np.full(500, 0.8)))
    assert (one.lower.tolist(), one.upper.tolist()) == (each.lower.tolist(), each.upper.tolist())


def test_a_rate_that_a_later_bound_forbids_adds_nothing_and_an_earlier_interval_does_not_change() -> None:
    """A smaller share that comes later must not reach back: who looked before it saw what is there now."""
    outcome, treated, share, _ = _changing((0.5, 0.99), (0.3, 0.3), (0.0, 0.0), np.random.default_rng(3))
    whole, before = difference(outcome, treated, share), difference(outcome[:400], treated[:400], share[:400])
    assert whole.lower[:400] == pytest.approx(before.lower)
    assert whole.upper[:400] == pytest.approx(before.upper)
    narrow, wide = (bernstein_margin([[50.0], [spread]], [2.0, 100.0], 0.025, 500.0)[0] for spread in (0.0, 1e-9))
    assert narrow < wide
