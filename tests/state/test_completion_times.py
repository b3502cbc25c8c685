"""The horizon is the 90th percentile of the last completions, whatever the scale, and the catalog's only while there are few."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from state.duration import DAY, HOUR, MINUTE, SECOND
from state.stuck.completion_times import ENOUGH, KEPT, SHORTEST, CompletionTimes


def of(times: list[int], *, unaided: bool = True) -> CompletionTimes:
    made = CompletionTimes()
    for took in times:
        made.add(took, unaided=unaided)
    return made


@pytest.mark.parametrize("scale", [10 * SECOND, 20 * MINUTE, 3 * HOUR, 40 * DAY])
@pytest.mark.parametrize("expected", [MINUTE, 20 * DAY])
def test_the_horizon_is_a_quantile_of_the_last_completions_on_every_scale(scale: int, expected: int) -> None:
    rng = Random(scale)
    times = [round(rng.expovariate(1 / scale)) for _ in range(3 * KEPT)]
    assert of(times).horizon(expected) == pytest.approx(np.quantile(times[-KEPT:], 0.9), abs=1)
    assert of(times).median(expected) == pytest.approx(np.quantile(times[-KEPT:], 0.5), abs=1)


def test_without_completions_the_catalog_is_believed_and_with_enough_no_longer() -> None:
    assert CompletionTimes().horizon(2 * DAY) == 2 * DAY
    few = of([HOUR] * (ENOUGH // 2))
    assert HOUR < few.horizon(2 * DAY) < 2 * DAY
    assert not few.settled
    enough = of([HOUR] * ENOUGH)
    assert (enough.horizon(2 * DAY), enough.settled) == (HOUR, True)


def test_a_false_belief_of_the_catalog_never_locks_itself_in() -> None:
    """Nearly everybody is done within 40 seconds, and the catalog expects a week: five people a day for ten days are enough."""
    times = [(20 + number % 20) * SECOND for number in range(ENOUGH)]
    assert of(times).horizon(7 * DAY) < 40 * SECOND


def test_unaided_people_count_before_those_who_are_helped() -> None:
    made = of([HOUR] * KEPT, unaided=False)
    assert made.horizon(2 * DAY) == HOUR
    for _ in range(ENOUGH):
        made.add(2 * HOUR, unaided=True)
    assert made.horizon(2 * DAY) == 2 * HOUR


def test_many_at_once_leave_a_horizon_that_a_timer_can_meet() -> None:
    assert of([0] * KEPT).horizon(DAY) == SHORTEST


def test_what_is_kept_is_bounded() -> None:
    made = of(list(range(10 * KEPT)))
    assert len(made.unaided) == len(made.everyone) == KEPT
