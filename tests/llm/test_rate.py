"""The token bucket keeps the rate, whatever the pattern of calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.rate import TokenBucket

RATES = st.floats(min_value=0.01, max_value=1_000)
BURSTS = st.floats(min_value=1, max_value=100)
STEPS = st.lists(st.floats(min_value=0, max_value=5), min_size=1, max_size=60)
STARTS = st.sampled_from([0.0, 1_700_000_000.0, -5.0])


def test_a_full_bucket_gives_its_burst_at_once_and_then_says_how_long_to_wait() -> None:
    bucket = TokenBucket(rate=2, burst=3)
    assert [bucket.take(10.0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(10.0) == pytest.approx(0.5)
    assert bucket.take(10.4) == pytest.approx(0.1)
    assert bucket.take(10.5) == 0
    assert bucket.take(10.5) > 0


@given(RATES, BURSTS, STEPS, STARTS)
def test_no_window_sees_more_than_the_burst_and_the_rate(rate: float, burst: float, steps: list[float], start: float) -> None:
    bucket, now, taken = TokenBucket(rate, burst), start, []
    for step in steps:
        now += step
        while bucket.take(now) == 0:
            taken.append(now)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + rate * (taken[last] - taken[first] + 3e-6) + 1e-6


@given(RATES, BURSTS, STEPS, STARTS)
def test_the_wait_it_asks_for_is_enough_and_never_longer_than_needed(rate: float, burst: float, steps: list[float], start: float) -> None:
    bucket, now = TokenBucket(rate, burst), start
    for step in steps:
        now += step
        while (wait := bucket.take(now)) == 0:
            pass
        assert 0 < wait <= 1 / rate + 1e-5
        assert bucket.take(now + wait) == 0
        now += wait


def test_a_clock_that_steps_back_gives_nothing_and_takes_nothing() -> None:
    bucket = TokenBucket(rate=1, burst=1)
    assert bucket.take(100.0) == 0
    assert bucket.take(50.0) == pytest.approx(1.0)
    assert bucket.take(101.0) == 0


def test_tokens_that_are_given_back_can_be_taken_again_but_never_overfill() -> None:
    bucket = TokenBucket(rate=1, burst=2)
    assert bucket.take(0.0, 2) == 0
    bucket.give_back()
    assert bucket.level(0.0) == pytest.approx(1)
    assert bucket.take(0.0) == 0
    for _ in range(5):
        bucket.give_back()
    assert bucket.level(0.0) == 2
    assert bucket.take(0.0, 2) == 0
    assert bucket.take(0.0, 2) > 1


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (1, 0), (-1, 1), (float("nan"), 1)])
def test_a_bucket_that_never_fills_is_refused(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        TokenBucket(rate, burst)


@pytest.mark.parametrize("tokens", [0, -1, 2.5])
def test_tokens_that_never_fit_are_refused(tokens: float) -> None:
    with pytest.raises(ValueError, match="never be taken"):
        TokenBucket(1, 2).take(0, tokens)
