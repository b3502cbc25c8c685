"""The table of the ablation: differences are paired by world, and the yardsticks begin anew where they should."""

from __future__ import annotations

from typing import Any

from benchmarks.bandit_ablation import WHOLE, Clairvoyant, Restarted, between, table
from state.decision.bandit_policy import BanditPolicy
from state.duration import DAY

AT = 1_772_442_000_000


def row(variant: str, seed: int, share: float) -> dict[str, Any]:
    return {"variant": variant, "scenario": "drift", "seed": seed, "share": share, "seconds": 2.0, "changes": [3], "stops": []}


ROWS = [row(WHOLE, 1, 0.4), row(WHOLE, 2, 0.6), row("part", 1, 0.3), row("part", 2, 0.5)]


def test_differences_are_paired_by_world() -> None:
    assert table(ROWS).splitlines()[2:] == ["| whole | 50.0 ± 10.0 | 2 | 0 | 1.00 |", "| part | -10.0 ± 0.0 | 2 | 0 | 1.00 |"]


def test_another_learner_is_compared_in_the_worlds_that_both_have_seen() -> None:
    assert between(ROWS, [row(WHOLE, 2, 0.5), row(WHOLE, 9, 0.1)]).splitlines()[2:] == ["| drift | 1 | +10.0 ± nan |"]


def test_the_yardsticks_give_up_what_they_knew_of_the_arms_at_the_change() -> None:
    for kind in (Restarted, Clairvoyant):
        learner = kind(BanditPolicy(), AT + DAY)
        for number in range(200):
            learner.observe(0, number % 2, 0, 0, number % 2 == 1, AT + number, AT)
        assert learner.propensities(0, 0, 0, range(2), AT + DAY - 1)[1] > 0.9
        assert abs(learner.propensities(0, 0, 0, range(2), AT + DAY)[1] - 0.5) < 0.01
        for number in range(200):
            learner.observe(0, 0, 0, 0, True, AT + DAY + number, AT)  # decided before the change
        assert abs(learner.propensities(0, 0, 0, range(2), AT + 2 * DAY)[1] - 0.5) < 0.01
