"""Kaplan–Meier curves compared with known results."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.survival import kaplan_meier


def test_a_published_data_set() -> None:
    """Remission of leukaemia patients under 6-MP (Freireich et al. 1963), with the published curve."""
    weeks = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    relapsed = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    curve = kaplan_meier(weeks, relapsed)
    assert curve.times.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert curve.surviving == pytest.approx([0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], abs=5e-4)
    assert curve.standard_error == pytest.approx([0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346], abs=5e-4)
    assert curve.at(0) == 1.0
    assert curve.at(6.5) == pytest.approx(0.857, abs=5e-4)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60))
def test_without_censoring_it_is_the_share_of_longer_durations(durations: list[int]) -> None:
    curve = kaplan_meier(durations, [True] * len(durations))
    for time in set(durations):
        assert curve.at(time) == pytest.approx(np.mean(np.array(durations) > time))


def test_quantiles_among_completers_leave_out_those_that_never_end() -> None:
    curve = kaplan_meier([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 99, 99, 99, 99, 99], [True] * 10 + [False] * 5)
    assert curve.quantile_among_completers(0.9) == 9
    assert kaplan_meier([5], [False]).quantile_among_completers(0.9) is None
