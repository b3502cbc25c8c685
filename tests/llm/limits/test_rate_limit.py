"""The rate limit keeps the rate, whatever the pattern of calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.limits.rate_limit import RateLimit

RATES = st.floats(min_value=0.01, max_value=1_000)
BURSTS = st.floats(min_value=1, max_value=100)
STEPS = st.lists(st.floats(min_value=0, max_value=5), min_size=1, max_size=60)
STARTS = st.sampled_from([0.0, 1_700_000_000.0, -5.0])


def test_a_burst_goes_at_once_and_then_each_call_waits_its_turn() -> None:
    limit = RateLimit(2, burst=3)
    assert [limit.reserve(10.0, 9) for _ in range(5)] == pytest.approx([0, 0, 0, 0.5, 1.0])
    assert limit.reserve(11.5, 9) == pytest.approx(0)


def test_a_turn_that_is_too_far_away_is_not_taken() -> None:
    limit = RateLimit(1)
    assert limit.reserve(0.0, 9) == 0
    assert limit.reserve(0.0, 0.5) is None
    assert limit.reserve(0.0, 1.0) == pytest.approx(1.0)


@given(RATES, BURSTS, STEPS, STARTS)
def test_no_window_sees_more_than_the_burst_and_the_rate(rate: float, burst: float, steps: list[float], start: float) -> None:
    limit, now, sent = RateLimit(rate, burst), start, []
    for step in steps:
        now += step
        for _ in range(3):
            wait = limit.reserve(now, 10)
            if wait is not None:
                sent.append(now + wait)
    assert sent == sorted(sent), "in the order of the calls"
    for first in range(len(sent)):
        for last in range(first, len(sent)):
            assert last - first + 1 <= burst + rate * (sent[last] - sent[first] + 3e-6) + 1e-6


def test_a_clock_that_steps_back_gives_nothing_and_takes_nothing() -> None:
    limit = RateLimit(1)
    assert limit.reserve(100.0, 9) == 0
    assert limit.reserve(50.0, 9) is None
    assert limit.reserve(101.0, 9) == pytest.approx(0)


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0.5), (float("nan"), 1)])
def test_what_limits_nothing_is_refused(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="a rate limit needs"):
        RateLimit(rate, burst)
