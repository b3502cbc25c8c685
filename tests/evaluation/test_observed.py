"""What observing shows: losses by step, how early they can be known, and the bound on what guidance could bring."""

from __future__ import annotations

from typing import Any

import pytest

from evaluation.observed import is_observing, observed
from state.duration import DAY, HOUR
from tests.evaluation.cases import START
from tests.evaluation.stuck_cases import H, evidence, progress, request, said, statistic


@pytest.mark.parametrize(
    ("requests", "observing"),
    [
        ([], False),
        ([request(1, "observing"), request(2, "activated")], True),
        ([request(1, "observing"), request(2, outcome="decided")], False),
        ([request(1, "observing"), request(2, "holdout")], False),
        ([request(1, outcome="decided"), request(2, "observing")], True),
    ],
)
def test_it_observes_where_nobody_was_guided_or_held_out_since(requests: list[dict[str, Any]], observing: bool) -> None:
    assert is_observing(evidence([], decisions=requests)) is observing


def test_everybody_who_began_a_step_is_counted_once() -> None:
    rows = [
        progress("done", "connect", 1, 0, HOUR),
        progress("done", "invite", 2, HOUR, 2 * HOUR),
        progress("late", "connect", 1, 0, 3 * H),
        progress("late", "invite", 2, 3 * H, None),
        progress("past", "connect", 1, 0, None),
        progress("past", "invite", 2, None, HOUR),
        progress("lost", "connect", 1, 0, None),
        progress("lost", "invite", 2, None, None),
        progress("unscored", "connect", 1, 0, None),
        progress("new", "connect", 1, 4 * H - HOUR, None),
    ]
    scores = [said("late", 0.1, 0.9), said("lost", 0.1, 0.9)]
    found = observed(
        evidence(rows, scores, until=START + 4 * H - 1, activated={"done": 2 * HOUR}, statistics=[statistic(1, at=-2 * DAY), statistic(H)])
    )
    connect, invite = found.steps
    assert connect.step == "connect"
    assert (connect.began, connect.completed, connect.after_horizon, connect.passed) == (6, 2, 1, 1)
    assert (connect.lost, connect.too_early) == (2, 1)
    assert connect.lost_share == pytest.approx(2 / 5)
    assert (connect.judged, connect.stuck, connect.horizon) == (2, 2, H)
    assert (invite.began, invite.completed, invite.too_early) == (2, 1, 1), "without any horizon nobody can be lost"
    assert (found.users, found.activated, found.too_early) == (6, 1, 2)
    assert found.at_most == 3, "late is still on its way to activation, and new has just begun"
    assert (found.lost, found.went_another_way) == (2, 1)
    assert found.after_horizon == 1


def _calls(*rows: tuple[float, int, int]) -> Any:
    """One step: at each (share, called, right) as many people are called stuck, and so many of them are; 60 people, half stuck."""
    people = [progress(f"u{n}", "connect", 1, 0, None if n < 30 else H) for n in range(60)]
    scores = []
    for share, called, right in rows:
        chosen = {*range(right), *range(30, 30 + called - right)}
        scores += [said(f"u{n}", share, 0.5 if n in chosen else 0.49) for n in range(60)]
    return observed(evidence(people, scores)).steps[0]


def test_the_stuck_are_known_at_the_first_look_where_three_in_four_calls_are_right() -> None:
    step = _calls((0.1, 30, 22), (0.2, 40, 30), (0.3, 24, 24))
    assert [(look.share, look.people, look.called, look.right) for look in step.looks] == [
        (0.1, 60, 30, 22),
        (0.2, 60, 40, 30),
        (0.3, 60, 24, 24),
    ]
    assert step.known is not None
    assert step.known.share == 0.2
    assert step.known.precision == pytest.approx(0.75)
    assert step.known.found == 1.0


def test_a_few_lucky_calls_are_no_knowledge() -> None:
    assert _calls((0.1, 19, 19)).known is None
    assert _calls((0.1, 20, 20)).known is not None
    assert _calls((0.1, 30, 22)).known is None


def test_the_step_where_most_are_lost_comes_first() -> None:
    rows = [progress(f"a{n}", "often", 1, 0, None) for n in range(3)] + [progress(f"a{n + 3}", "often", 1, 0, HOUR) for n in range(9)]
    rows += [progress(f"b{n}", "seldom", 1, 0, None) for n in range(2)]
    found = observed(evidence(rows, statistics=[statistic(H, step="often"), statistic(H, step="seldom")]))
    assert [(step.step, step.lost) for step in found.steps] == [("often", 3), ("seldom", 2)]


def test_nobody_there_is_no_step() -> None:
    assert observed(evidence([])).steps == []


def test_where_half_of_the_horizon_is_too_short_for_a_look_nothing_is_known() -> None:
    people = [progress(f"u{n}", "connect", 1, 0, None) for n in range(30)]
    scores = [said(f"u{n}", 0.1, 0.9) for n in range(30)]
    for horizon, leaves_look in ((1_998, False), (1_999, True), (2_000, True)):
        step = observed(evidence(people, scores, statistics=[statistic(horizon)])).steps[0]
        assert (step.leaves_look, step.known is not None) == (leaves_look, leaves_look)
