"""The breaker stops a storm, tries with one call at a time, and comes back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.limits.circuit_breaker import Breaker, BreakerPolicy, State

POLICY = BreakerPolicy(
    failures_in_a_row=3, failure_share=0.5, window_seconds=10, window_calls=8, cooldown_seconds=5, longest_cooldown_seconds=20
)


def state(breaker: Breaker) -> State:
    return breaker.state  # a call, so that mypy does not take one assertion for the next


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(POLICY)
    for _ in range(3):
        assert breaker.allow(now)
        breaker.failed(now)
    return breaker


def test_failures_in_a_row_open_it_and_a_success_between_starts_the_count_again() -> None:
    breaker = Breaker(POLICY)
    for ok in (False, False, True, False, False):
        assert breaker.allow(0)
        (breaker.succeeded if ok else breaker.failed)(0)
    assert state(breaker) == "closed"
    assert breaker.allow(0)
    breaker.failed(0)
    assert state(breaker) == "open"
    assert not breaker.allow(4.9)


def test_a_share_of_failures_opens_it_though_no_three_come_in_a_row() -> None:
    breaker = Breaker(POLICY)
    for call in range(7):
        assert breaker.allow(call)
        (breaker.succeeded if call % 2 else breaker.failed)(call)
    assert state(breaker) == "closed"
    assert breaker.allow(7)
    breaker.failed(7)
    assert state(breaker) == "open"


def test_failures_older_than_the_window_are_forgotten() -> None:
    breaker = Breaker(POLICY)
    for call in range(40):
        assert breaker.allow(call * 3.0)  # at most four calls in any window: too few to speak of a share
        (breaker.succeeded if call % 2 else breaker.failed)(call * 3.0)
    assert state(breaker) == "closed"


def test_one_probe_goes_through_and_its_success_closes_it() -> None:
    breaker = opened()
    assert [breaker.allow(5.0) for _ in range(4)] == [True, False, False, False]
    breaker.succeeded(5.5)
    assert state(breaker) == "closed"
    assert breaker.allow(5.5)
    assert [change.after for change in breaker.take_changes()] == ["open", "half_open", "closed"]
    assert breaker.take_changes() == []


def test_the_cool_down_doubles_up_to_its_cap_and_starts_anew_after_a_success() -> None:
    breaker, now, waits = opened(), 0.0, []
    for _ in range(4):
        waits.append(breaker.seconds_until_trial(now))
        now += waits[-1]
        assert breaker.allow(now)
        breaker.failed(now)
    assert waits == [5, 10, 20, 20]
    now += 20
    assert breaker.allow(now)
    breaker.succeeded(now)
    for _ in range(3):
        assert breaker.allow(now)
        breaker.failed(now)
    assert breaker.seconds_until_trial(now) == 5


def test_an_abandoned_probe_waits_out_the_same_cool_down() -> None:
    breaker = opened()
    assert breaker.allow(5.0)
    breaker.abandoned(5.0)
    assert not breaker.allow(9.9)
    assert breaker.allow(10.0)


def test_calls_from_before_the_outage_neither_close_it_nor_pass_for_the_probe() -> None:
    breaker = Breaker(POLICY)
    for _ in range(5):
        assert breaker.allow(0)
    for _ in range(3):
        breaker.failed(1)
    breaker.succeeded(2)
    assert state(breaker) == "open"
    assert not breaker.allow(6)  # one earlier call is still out: its result could be taken for the probe's
    breaker.failed(7)
    assert breaker.allow(7)
    assert state(breaker) == "half_open"


def test_a_report_without_a_call_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="did not allow"):
        Breaker().failed(0)


@pytest.mark.parametrize(
    "wrong",
    [{"failures_in_a_row": 0}, {"failure_share": 0}, {"cooldown_seconds": 0}, {"longest_cooldown_seconds": 1}, {"window_seconds": 0}],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="a breaker needs"):
        BreakerPolicy(**wrong)  # type: ignore[arg-type]


ACTIONS = st.lists(st.tuples(st.sampled_from(["ask", "ask", "succeeded", "failed", "failed", "abandoned"]), st.floats(0, 4)), max_size=150)


@given(ACTIONS)
def test_never_two_probes_at_once_and_none_beside_an_earlier_call(actions: list[tuple[str, float]]) -> None:
    breaker, now, out = Breaker(POLICY), 0.0, 0
    for action, step in actions:
        now += step
        if action == "ask":
            before = breaker.state
            if breaker.allow(now):
                assert before == "closed" or out == 0
                out += 1
        elif out:
            {"succeeded": breaker.succeeded, "failed": breaker.failed, "abandoned": breaker.abandoned}[action](now)
            out -= 1
        assert breaker.in_flight == out
        assert (breaker.state != "half_open") or out == 1


@given(st.lists(st.floats(min_value=0.001, max_value=3), min_size=1, max_size=400), st.floats(0, 2))
def test_while_the_server_is_down_there_is_at_most_one_call_a_cool_down(pauses: list[float], abandoned_below: float) -> None:
    breaker, now, calls = opened(), 0.0, []
    for pause in pauses:
        now += pause
        if breaker.allow(now):
            calls.append(now)
            (breaker.abandoned if pause < abandoned_below else breaker.failed)(now)
    assert all(later - earlier >= POLICY.cooldown_seconds - 1e-9 for earlier, later in pairwise(calls))
    assert len(calls) <= now / POLICY.cooldown_seconds + 1e-9


@given(ACTIONS)
def test_whatever_happened_a_server_that_is_back_is_used_again(actions: list[tuple[str, float]]) -> None:
    breaker, now, out = Breaker(POLICY), 0.0, 0
    for action, step in actions:
        now += step
        if action == "ask":
            out += breaker.allow(now)
        elif out:
            {"succeeded": breaker.succeeded, "failed": breaker.failed, "abandoned": breaker.abandoned}[action](now)
            out -= 1
    for _ in range(out):
        breaker.succeeded(now)
    now += POLICY.longest_cooldown_seconds
    assert breaker.allow(now)
    breaker.succeeded(now)
    assert state(breaker) == "closed"
