"""The regression: it finds the mode, knows how sure it is, learns how far levels lie apart, and gives the same for the same cells."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from state.logistic_regression import Fit, Floats, Group, Ints, fit, rates, sigmoid

TWO = (Group(3, 0.3), Group(4, 0.5))
CELLS = np.array(list(product(range(3), range(4))))


def fitted(won: ArrayLike, lost: ArrayLike, cells: Ints = CELLS, groups: tuple[Group, ...] = TWO) -> Fit:
    return fit(groups, cells, won, lost, rate=0.3, weight=4)


def design(cells: Ints) -> Floats:
    """The regression's rows, written out: intercept, first group, second group."""
    columns = np.zeros((len(cells), 8))
    columns[:, 0] = 1
    columns[np.arange(len(cells)), 1 + cells[:, 0]] = 1
    columns[np.arange(len(cells)), 4 + cells[:, 1]] = 1
    return columns


def test_no_cells_give_the_prior() -> None:
    mean, covariance = fitted([], [], np.zeros((0, 2), dtype=np.int64)).predict([(0, 0), (0, 1), (1, 1)])
    assert mean == pytest.approx(np.full(3, np.log(0.3 / 0.7)))
    shared = 1 / (4 * 0.3 * 0.7)
    assert covariance == pytest.approx(shared + np.array([[0.34, 0.09, 0.0], [0.09, 0.34, 0.25], [0.0, 0.25, 0.34]]))


counts = st.lists(st.tuples(st.floats(0, 3_000), st.floats(0, 3_000)), min_size=12, max_size=12)


@given(counts)
def test_the_fit_is_the_mode_and_its_curvature(some: list[tuple[float, float]]) -> None:
    won, lost = np.array(some).T
    found = fitted(won, lost)
    rows, rate = design(CELLS), sigmoid(design(CELLS) @ found.effects)
    precisions = np.concatenate(([4 * 0.3 * 0.7], np.repeat(found.sds**-2.0, (3, 4))))
    centre = np.array([np.log(0.3 / 0.7)] + [0.0] * 7)
    slope = rows.T @ (won - (won + lost) * rate) - precisions * (found.effects - centre)
    assert np.sqrt(slope @ found.covariance @ slope) < 1e-4  # in posterior standard deviations
    curvature = rows.T @ (((won + lost) * rate * (1 - rate))[:, None] * rows) + np.diag(precisions)
    assert found.covariance @ curvature == pytest.approx(np.eye(8), abs=1e-6)


def test_predictions_are_sums_of_effects_with_all_their_covariances() -> None:
    found = fitted([5.0] * 12, list(range(12)))
    mean, covariance = found.predict(CELLS)
    assert mean == pytest.approx(design(CELLS) @ found.effects)
    assert covariance == pytest.approx(design(CELLS) @ found.covariance @ design(CELLS).T)
    alone, variance = found.predict_each(CELLS)
    assert alone == pytest.approx(mean)
    assert variance == pytest.approx(np.diag(covariance))


def test_a_level_never_seen_is_its_group_without_an_effect_of_its_own() -> None:
    found = fitted([5.0] * 12, list(range(12)))
    mean, covariance = found.predict([(-1, 2), (-1, 2), (-2, 2), (7, -1)])
    assert mean[0] == pytest.approx(found.effects[0] + found.effects[6])
    assert covariance[0, 1] == pytest.approx(covariance[0, 0])
    assert covariance[0, 0] - covariance[0, 2] == pytest.approx(found.sds[0] ** 2)
    assert found.predict_each([(-1, 2), (7, -1)])[1] == pytest.approx([covariance[0, 0], covariance[3, 3]])


def test_a_level_declared_but_without_cells_is_a_level_never_seen() -> None:
    found = fitted([5.0] * 8, [9.0] * 8, CELLS[:8])
    mean, covariance = found.predict([(2, 1), (-1, 1)])
    assert mean[0] == pytest.approx(mean[1])
    assert covariance[0, 0] == pytest.approx(covariance[1, 1])


def test_a_cell_without_a_level_teaches_the_others() -> None:
    found = fitted([80.0, 10.0], [20.0, 90.0], np.array([(-1, 0), (-1, 1)]))
    assert found.effects[4] > 0.3 > -0.3 > found.effects[5]
    assert found.effects[1:4] == pytest.approx(np.zeros(3))


def test_the_same_cells_give_the_same_fit_to_the_last_bit() -> None:
    one, two = fitted([3.0] * 12, list(range(12))), fitted([3.0] * 12, list(range(12)))
    assert (one.effects == two.effects).all()
    assert (one.covariance == two.covariance).all()


@pytest.mark.parametrize("scale", [0.05, 1.0])
def test_spreads_are_learned_and_what_is_certain_is_right_as_often_as_it_says(scale: float) -> None:
    """Another spread than expected is found, within a third where it can be told; 90 % intervals hold 86–97 %."""
    groups = (Group(5, 0.3), Group(40, 0.3))
    cells, inside, spreads = np.array(list(product(range(5), range(40)))), [], []
    for seed in range(20):
        world = np.random.default_rng(seed)
        effects = (world.normal(0, 0.3, 5), world.normal(0, scale, 40))
        logits = -0.8 + effects[0][cells[:, 0]] + effects[1][cells[:, 1]]
        tried = world.integers(5, 60, len(cells))
        won = world.binomial(tried, sigmoid(logits))
        found = fitted(won, tried - won, cells, groups)
        mean, variance = found.predict_each(cells)
        inside.append(np.mean(np.abs(logits - mean) < 1.645 * np.sqrt(variance)))
        spreads.append(found.sds[1])
    assert 0.86 < np.mean(inside) < 0.97
    assert scale * 0.67 < np.mean(spreads) < max(scale * 1.33, 0.18)


@pytest.mark.parametrize("size", [0.0, 1e-9, 1e9])
def test_extreme_counts_neither_break_the_numbers_nor_the_spreads(size: float) -> None:
    for won, lost in (([size] * 12, [0.0] * 12), ([0.0] * 12, [size] * 12), ([0.0, size] * 6, [size, 0.0] * 6)):
        found = fitted(won, lost)
        assert np.isfinite(found.effects).all()
        assert (np.diag(found.covariance) > 0).all()
        assert ((found.sds > 0.05) & (found.sds < 50)).all()


@pytest.mark.parametrize(
    ("won", "lost", "cells"),
    [([-1.0], [1.0], [(0, 0)]), ([np.nan], [1.0], [(0, 0)]), ([1.0], [np.inf], [(0, 0)]), ([1.0], [1.0], [(3, 0)])],
)
def test_impossible_cells_are_refused(won: list[float], lost: list[float], cells: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match=r"counts|level"):
        fitted(won, lost, np.array(cells))


def test_rates_of_gaussian_logits_agree_with_monte_carlo() -> None:
    draws = sigmoid(np.random.default_rng(1).normal(-1.0, 0.8, 400_000))
    mean, variance = rates(-1.0, 0.64)
    assert float(mean) == pytest.approx(draws.mean(), abs=0.001)
    assert float(variance) == pytest.approx(draws.var(), rel=0.01)
