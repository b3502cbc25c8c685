"""Weights of evidence survive the way through the text of a catalog, and damaged text is refused with a sentence."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from state.catalog.evidence_weights import FEATURES, read, render
from state.catalog.model import Evidence

_WEIGHTS = st.dictionaries(
    st.integers(0, FEATURES - 1),
    st.tuples(st.floats(-30, 30), st.floats(0.001, 1)).map(lambda each: (each[0] or 0.0, each[1])),
    max_size=40,
)


@given(weights=_WEIGHTS)
def test_means_and_variances_keep_three_digits(weights: dict[int, tuple[float, float]]) -> None:
    found = read(render(weights))
    assert list(found) == sorted(weights)
    for number, weight in weights.items():
        assert found[number] == pytest.approx(weight, rel=1e-3, abs=1e-6)


def packed(number: int, mean: float, variance: float) -> str:
    return base64.b64encode(struct.pack("<Hee", number, mean, variance)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "no base64",
        "AAAA",
        packed(FEATURES, 0.5, 0.04),
        packed(1, float("nan"), 0.04),
        packed(1, float("inf"), 0.04),
        packed(1, 0.5, 0.0),
        packed(1, 0.5, -0.04),
        packed(1, 0.5, float("nan")),
        packed(1, 0.5, float("inf")),
        packed(1, 0.5, 0.04)[:-1],
        packed(1, 0.5, 0.04) + "é",
        packed(1, 0.5, 0.04) + "!",
    ],
)
def test_damaged_weights_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="run `onramp catalog fit` again"):
        read(text)
    with pytest.raises(ValidationError, match="run `onramp catalog fit` again"):
        Evidence(trust=[0.5] * 6, weights=text)


@pytest.mark.parametrize("trust", [[0.5] * 5, [0.5] * 7, [-0.1, *[0.5] * 5], [float("nan"), *[0.5] * 5]])
def test_trust_is_a_share_for_each_moment_at_which_people_are_scored(trust: list[float]) -> None:
    with pytest.raises(ValidationError):
        Evidence(trust=trust, weights="")
