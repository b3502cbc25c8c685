"""The frontier: what scores of people without guidance say, and what they are worth beside time alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evaluation.episodes import episodes
from evaluation.evidence import Evidence
from evaluation.frontier import curve, frontier
from state.duration import DAY, HOUR
from tests.evaluation.cases import START, alarm

H = 10 * HOUR
LATER = START + 30 * DAY


def progress(user: str, step: str, position: int, since: int | None, done: int | None) -> dict[str, Any]:
    """Return a row of progress; ``since`` and ``done`` in ms after the start."""
    return {
        "user_id": user,
        "path_id": "p",
        "step_id": step,
        "position": position,
        "current_since_at": 0 if since is None else START + since,
        "completed_at": 0 if done is None else START + done,
    }


def said(user: str, share: float, score: float, *, time: float = 0.5, step: str = "connect", since: int = 0) -> dict[str, Any]:
    """Return a score at ``share`` of ``H``."""
    at = START + since + round(share * H)
    return {"user_id": user, "step_id": step, "share": share, "score": score, "time_alone": time, "horizon_ms": float(H), "judged_at": at}


def statistic(horizon: int, *, at: int = -DAY, step: str = "connect") -> dict[str, Any]:
    """Return the statistics of a step, learned ``at`` ms after the start."""
    return {"step_id": step, "horizon_ms": float(horizon), "learned_at": START + at}


def evidence(
    rows: list[dict[str, Any]],
    scores: list[dict[str, Any]] = [],  # noqa: B006 -- never changed
    signals: list[dict[str, Any]] = [],  # noqa: B006
    *,
    until: int = LATER,
    activated: dict[str, int] | None = None,
    guided: tuple[str, ...] = (),
    decisions: list[dict[str, Any]] = [],  # noqa: B006
    statistics: list[dict[str, Any]] = [],  # noqa: B006
    catalogs: list[dict[str, Any]] = [],  # noqa: B006
) -> Evidence:
    """Return the evidence of held-out people, but those ``guided``."""
    people = [
        {
            "user_id": user,
            "experiment_group": "adaptive" if user in guided else "holdout",
            "path_id": "p",
            "segment": "*",
            "signup_at": START,
            "activated_at": START + activated[user] if activated and user in activated else 0,
        }
        for user in sorted({row["user_id"] for row in rows})
    ]
    return Evidence.of(
        until=until,
        people=people,
        progress=rows,
        scores=scores,
        signals=signals,
        decisions=decisions,
        statistics=statistics,
        catalogs=catalogs,
    )


def crowd(count: int = 100) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every other one of ``count`` people is stuck; all others finish shortly before the end of H."""
    rows = [progress(f"u{n}", "connect", 1, 0, None if n % 2 else H - 1) for n in range(count)]
    scores = [said(f"u{n}", share, 0.9 if n % 2 else 0.1) for n in range(count) for share in (0.1, 0.5)]
    return rows, scores


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
