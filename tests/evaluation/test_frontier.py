"""The frontier: what scores of people without guidance say, and what they are worth beside time alone."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.episodes import episodes
from evaluation.frontier import curve, frontier
from state.duration import HOUR
from tests.evaluation.cases import START, alarm
from tests.evaluation.stuck_cases import H, crowd, evidence, progress, said


def test_who_neither_completes_nor_leaves_within_the_horizon_of_the_episode_is_stuck() -> None:
    rows = [
        progress("in time", "connect", 1, 0, H),
        progress("late", "connect", 1, 0, H + 1),
        progress("never", "connect", 1, 0, None),
        progress("left", "connect", 1, 0, None),
        progress("left", "invite", 2, None, HOUR),
        progress("left late", "connect", 1, 0, None),
        progress("left late", "invite", 2, None, H + 1),
        progress("moved on", "connect", 1, 0, None),
        progress("moved on", "invite", 2, 2 * HOUR, None),
        progress("before", "connect", 1, 0, None),
        progress("before", "invite", 2, None, -HOUR),
    ]
    scores = [said(user, 0.1, 0.5) for user in sorted({row["user_id"] for row in rows})]
    found = frontier(evidence(rows, scores))
    assert (found.episodes, found.stuck) == (7, 3), "in time, left, moved on and before are not"
    strict = frontier(evidence(rows, scores), strict=["p"])
    assert strict.stuck == 5, "where the order matters nobody leaves a step by doing another, but by its becoming current"


def test_who_has_not_been_followed_for_the_horizon_or_is_guided_is_not_judged() -> None:
    rows = [progress(user, "connect", 1, 0, None) for user in ("young", "guided")] + [progress("old", "connect", 1, -HOUR, None)]
    scores = [said("young", 0.1, 0.5), said("guided", 0.1, 0.5), said("old", 0.1, 0.5)]
    found = frontier(evidence(rows, scores, until=START + H - 1, guided=("guided",)))
    assert (found.episodes, found.stuck) == (1, 1)


def test_steps_after_activation_have_no_episode() -> None:
    rows = [progress("u", "connect", 1, 0, HOUR), progress("u", "invite", 2, HOUR, None)]
    assert episodes(evidence(rows, activated={"u": HOUR}))["step_id"].to_list() == ["connect"]


def test_better_scores_are_above_time_alone_and_worse_ones_are_named_by_their_look() -> None:
    rows, scores = crowd()
    found = frontier(evidence(rows, scores))
    assert [(look.share, look.people, look.stuck) for look in found.looks] == [(0.1, 100, 50), (0.5, 100, 50)]
    assert all(look.engine is not None and look.engine.average == 1.0 for look in found.looks)
    assert all(look.time_alone is not None and look.time_alone.average == 0.5 for look in found.looks), "one score for all is the base rate"
    assert found.comparable
    assert found.below == []
    turned = [row | {"score": 0.5, "time_alone": row["score"]} if row["share"] == 0.5 else row for row in scores]
    assert [look.share for look in frontier(evidence(rows, turned)).below] == [0.5]


def test_few_people_are_not_compared() -> None:
    assert not frontier(evidence(*crowd(38))).comparable
    assert frontier(evidence(*crowd(40))).comparable
    assert not frontier(evidence([])).comparable


def test_the_first_alarm_counts_if_it_is_in_the_first_half_of_the_horizon() -> None:
    rows, scores = crowd(10)
    signals = [alarm("u1", H // 2), alarm("u1", HOUR), alarm("u3", H // 2 + 1), alarm("u0", HOUR), alarm("stranger", HOUR)]
    found = frontier(evidence(rows, scores, signals))
    assert (found.alarms, found.right, found.stuck) == (3, 1, 5)
    assert found.precision == pytest.approx(1 / 3)
    assert found.recall == pytest.approx(1 / 5)
    assert found.by_trigger["stuck:inactive"]["alarms"] == 3


def test_an_alarm_before_the_first_look_is_judged_by_the_horizon_that_it_names() -> None:
    rows = [progress("quick", "connect", 1, 0, HOUR), progress("other", "connect", 1, 0, HOUR)]
    named = [alarm("quick", 60_000, evidence=f'{{"horizon": {H}}}'), alarm("other", 60_000, evidence="{}")]
    found = frontier(evidence(rows, [], named))
    assert (found.alarms, found.right) == (1, 0)


def test_the_area_under_the_curve_is_the_average_precision_by_hand() -> None:
    score, stuck = np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, False, True, True])
    found = curve(score, stuck)
    assert found is not None
    assert found.recall.tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    assert found.precision.tolist() == pytest.approx([1, 2 / 3, 3 / 4])
    assert found.average == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert curve(score, np.zeros(4, dtype=np.bool_)) is None
