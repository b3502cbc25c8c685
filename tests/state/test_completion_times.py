"""The horizon is the 90th percentile of the last completions, whatever the scale, and the catalog's only while there are few."""

from __future__ import annotations

import math
from random import Random

import msgspec
import numpy as np
import pytest

from state.duration import DAY, HOUR, MINUTE, SECOND
from state.stuck.completion_times import CURVE, ENOUGH, KEPT, SHORTEST, CompletionTimes, level_of

LATER = 400 * DAY


def of(times: list[int], *, unaided: bool = True) -> CompletionTimes:
    made = CompletionTimes()
    for took in times:
        made.add(took, 0, unaided=unaided)
    return made


@pytest.mark.parametrize("scale", [10 * SECOND, 20 * MINUTE, 3 * HOUR, 40 * DAY])
@pytest.mark.parametrize("expected", [MINUTE, 20 * DAY])
def test_the_horizon_is_a_quantile_of_the_last_completions_on_every_scale(scale: int, expected: int) -> None:
    rng = Random(scale)
    times = [round(rng.expovariate(1 / scale)) for _ in range(3 * KEPT)]
    assert of(times).horizon(expected, LATER) == pytest.approx(np.quantile(times[-KEPT:], 0.9), abs=1)
    assert of(times).median(expected, LATER) == pytest.approx(np.quantile(times[-KEPT:], 0.5), abs=1)


def test_without_completions_the_catalog_is_believed_and_with_enough_no_longer() -> None:
    assert CompletionTimes().horizon(2 * DAY, LATER) == 2 * DAY
    few = of([HOUR] * (ENOUGH // 2))
    assert HOUR < few.horizon(2 * DAY, LATER) < 2 * DAY
    assert not few.settled(2 * DAY, LATER)
    enough = of([HOUR] * ENOUGH)
    assert (enough.horizon(2 * DAY, LATER), enough.settled(2 * DAY, LATER)) == (HOUR, True)


def test_a_false_belief_of_the_catalog_never_locks_itself_in() -> None:
    """Nearly everybody is done within 40 seconds, and the catalog expects a week: five people a day for ten days are enough."""
    times = [(20 + number % 20) * SECOND for number in range(ENOUGH)]
    assert of(times).horizon(7 * DAY, LATER) < 40 * SECOND


def test_unaided_people_count_before_those_who_are_helped() -> None:
    made = of([HOUR] * KEPT, unaided=False)
    assert made.horizon(2 * DAY, LATER) == HOUR
    for number in range(KEPT):
        made.add(2 * HOUR, 0, unaided=True)
        if number < 15:  # fewer than one in ten of all
            assert made.horizon(2 * DAY, LATER) == HOUR
    assert made.horizon(2 * DAY, LATER) == 2 * HOUR


def test_a_few_quick_people_who_are_held_out_do_not_make_the_horizon_quick() -> None:
    """Nine of ten completions are quick and the others slow, for everyone alike: by chance no held-out person may be slow."""
    made = of([MINUTE] * 700 + [12 * HOUR] * 100, unaided=False)
    for _ in range(12):
        made.add(MINUTE, 0, unaided=True)
    assert made.horizon(DAY, LATER, level_of([made])) == 12 * HOUR


def test_help_that_hurries_people_is_taken_into_account_over_all_steps() -> None:
    """Of the guided people one in twenty is slow, of the others one in five: nine in ten of these do not make it within minutes."""
    steps = [of([MINUTE + n for n in range(380)] + [12 * HOUR + n for n in range(20)], unaided=False) for _ in range(20)]
    for made in steps:
        for n in range(40):
            made.add(MINUTE + n if n % 5 else 12 * HOUR + n, 0, unaided=True)
    assert level_of(steps) > 0.94
    assert steps[0].horizon(DAY, LATER) < HOUR < steps[0].horizon(DAY, LATER, level_of(steps))


def test_help_that_hurries_people_is_taken_into_account_where_one_step_has_enough_of_both() -> None:
    made = of([MINUTE + n for n in range(380)] + [12 * HOUR + n for n in range(20)], unaided=False)
    for n in range(150):
        made.add(MINUTE + n if n % 5 else 12 * HOUR + n, 0, unaided=True)
    assert made.curve[CURVE.index(0.9)] == pytest.approx(MINUTE, rel=0.01), "of everyone nine in ten are quick"
    assert made.horizon(DAY, LATER) == pytest.approx(12 * HOUR, rel=0.01)


def test_a_usual_time_from_history_gives_way_as_people_without_help_complete_the_step() -> None:
    made = of([HOUR] * 800, unaided=False)
    assert made.settled(2 * DAY, LATER)
    assert not made.settled(2 * DAY, LATER, fitted=True)
    assert made.horizon(2 * DAY, LATER, fitted=True) == 2 * DAY, "what people with help take says little about others"
    for _ in range(ENOUGH // 2):
        made.add(HOUR, 0, unaided=True)
    assert made.horizon(2 * DAY, LATER, fitted=True) == 2 * DAY, "one in ten of so few is not known"
    for _ in range(ENOUGH // 4):
        made.add(HOUR, 0, unaided=True)
    assert HOUR < made.horizon(2 * DAY, LATER, fitted=True) == pytest.approx(48 ** (1 - 37 / 50) * HOUR, rel=0.01)
    for _ in range(ENOUGH // 2):
        made.add(HOUR, 0, unaided=True)
    assert made.settled(2 * DAY, LATER, fitted=True)
    assert made.horizon(2 * DAY, LATER, fitted=True) == HOUR


def spread(count: int, seed: int, scale: float = 1.0) -> CompletionTimes:
    """Unaided people whose times differ by orders of magnitude: half an hour to days; and one who is guided."""
    rng, made = Random(seed), CompletionTimes()
    for _ in range(count):
        made.add(round(scale * HOUR * math.exp(1.5 * rng.gauss(0.0, 1.0))), 0, unaided=True)
    made.add(HOUR, 0, unaided=False)
    return made


FITTED = HOUR * math.exp(1.5 * 1.2816)
"""The 90th percentile of ``spread``."""


def test_a_fitted_horizon_stands_where_chance_explains_what_people_do_now() -> None:
    horizons = [spread(200, seed).horizon(FITTED, LATER, fitted=True) for seed in range(40)]
    assert sum(horizon == round(FITTED) for horizon in horizons) >= 34
    alone = [spread(200, seed).horizon(DAY, LATER) for seed in range(40)]
    assert max(abs(math.log(each / FITTED)) for each in horizons) < max(abs(math.log(each / FITTED)) for each in alone)


def test_users_who_began_too_recently_to_be_slow_do_not_contradict_a_fit() -> None:
    """The product is as in the log, which gave the fit; 170 users began since, in twice the fitted time. Of the slow ones few are done."""
    horizons = []
    for seed in range(40):
        rng, made, now = Random(seed), CompletionTimes(), round(2 * FITTED)
        for _ in range(170):
            since, took = rng.randrange(now), round(HOUR * math.exp(1.5 * rng.gauss(0.0, 1.0)))
            if since + took <= now:
                made.add(took, since, unaided=True)
        made.add(HOUR, 0, unaided=False)
        horizons.append(made.horizon(FITTED, now, fitted=True) / FITTED)
    assert sum(each < 0.8 for each in horizons) <= 12
    assert 0.9 < sorted(horizons)[20] <= 1.1


def test_the_last_completions_of_many_do_not_contradict_a_fit() -> None:
    """Of a long log only the last ones are kept: quick users who began lately, and as many slow ones who began before, as it should be."""
    horizons = []
    for seed in range(5):
        rng, now = Random(seed), round(10 * FITTED)
        people = [(rng.randrange(now), round(HOUR * math.exp(1.5 * rng.gauss(0.0, 1.0)))) for _ in range(20_000)]
        made = CompletionTimes()
        for since, took in sorted((each for each in people if sum(each) <= now), key=sum):
            made.add(took, since, unaided=True)
        made.add(HOUR, 0, unaided=False)
        horizons.append(made.horizon(FITTED, now, fitted=True) / FITTED)
    assert all(0.8 < each < 1.25 for each in horizons)


def test_the_interval_of_a_quantile_has_two_sides() -> None:
    """Ten hours are far from five by what is below the quantile, and near by what is above it."""
    made = of([HOUR] * 160 + [10 * HOUR] * 25 + [100 * HOUR] * 15)
    made.add(HOUR, 0, unaided=False)
    assert made.horizon(5 * HOUR, LATER, fitted=True) == 10 * HOUR
    assert made.horizon(30 * HOUR, LATER, fitted=True) == 30 * HOUR


def test_beyond_its_interval_a_difference_is_shrunk_by_the_square() -> None:
    """The quantile is one hour, its upper bound two, and the fit four: half of the difference is explained, so three quarters count."""
    made = of([HOUR] * 93 + [2 * HOUR] * 7)
    made.add(HOUR, 0, unaided=False)
    assert made.horizon(4 * HOUR, LATER, fitted=True) == pytest.approx(HOUR * 4**0.25, rel=1e-6)


@pytest.mark.parametrize("scale", [0.2, 4.0, 20.0])
def test_a_fitted_horizon_gives_way_to_a_change_of_the_product(scale: float) -> None:
    for seed in range(5):
        horizon = spread(200, seed, scale).horizon(FITTED, LATER, fitted=True)
        assert abs(math.log(horizon / (scale * FITTED))) < 0.5 * abs(math.log(scale))


def test_times_that_are_all_zero_contradict_a_fitted_horizon_too() -> None:
    made = of([0] * KEPT)
    made.add(0, 0, unaided=False)
    assert made.horizon(2 * DAY, LATER, fitted=True) == SHORTEST
    assert made.horizon(SHORTEST, LATER, fitted=True) == SHORTEST


@pytest.mark.parametrize("seed", range(3))
def test_what_is_kept_in_order_is_what_would_be_sorted_anew(seed: int) -> None:
    rng, made = Random(seed), CompletionTimes()
    for number in range(1_500):
        made.add(rng.choice((0, rng.randrange(10 * DAY), 5 * MINUTE)), rng.randrange(DAY), unaided=rng.random() < 0.3)
        if number % 97 == 0 or number > 1_490:
            again = msgspec.msgpack.decode(msgspec.msgpack.encode(made), type=CompletionTimes)
            assert made.curve == again.curve
            assert made.horizon(DAY, LATER, 0.93) == again.horizon(DAY, LATER, 0.93)
            assert made.median(DAY, 2 * DAY) == again.median(DAY, 2 * DAY)
            assert made.places.tolist() == again.places.tolist()


def test_the_first_quick_completions_do_not_contradict_history() -> None:
    made = of([HOUR] * KEPT)
    made.add(HOUR, 0, unaided=False)
    assert made.horizon(2 * DAY, 2 * DAY, fitted=True) == 2 * DAY
    assert HOUR < made.horizon(2 * DAY, 3 * DAY, fitted=True) < 2 * DAY
    assert made.horizon(2 * DAY, 4 * DAY, fitted=True) == HOUR


def test_where_people_are_guided_the_first_quick_completions_say_little() -> None:
    """Half of the people need some minutes, the others about twelve hours, and the first ones began ten, then sixty hours ago."""
    rng = Random(1)
    people = [(rng.randrange(60 * HOUR), rng.expovariate(1 / (5 * MINUTE if rng.random() < 0.5 else 12 * HOUR))) for _ in range(2_000)]
    truth = float(np.quantile([took for _, took in people], 0.9))

    def known(now: int) -> CompletionTimes:
        made = CompletionTimes()
        for since, took in people[::4]:
            if since + took <= now:
                made.add(round(took), since, unaided=since % 5 == 0)
        return made

    early, late = known(10 * HOUR), known(60 * HOUR)
    assert early.horizon(20 * HOUR, 10 * HOUR) == 20 * HOUR
    assert late.settled(20 * HOUR, 60 * HOUR)
    assert late.horizon(20 * HOUR, 60 * HOUR) == pytest.approx(truth, rel=0.25)


def test_many_at_once_leave_a_horizon_that_a_timer_can_meet() -> None:
    assert of([0] * KEPT).horizon(DAY, LATER) == SHORTEST


def test_what_is_kept_is_bounded() -> None:
    made = of(list(range(10 * KEPT)))
    assert len(made.unaided) == KEPT


def test_people_who_began_too_recently_to_be_slow_are_allowed_for() -> None:
    """Half take minutes and half some ten hours. After twenty hours all of the quick ones are known, and not all of the slow ones."""
    rng, now, made = Random(2), 20 * HOUR, CompletionTimes()
    for _ in range(400):
        since, took = rng.randrange(now), rng.choice((5 * MINUTE, 6 * HOUR + rng.randrange(8 * HOUR)))
        if since + took <= now:
            made.add(took, since, unaided=False)
    assert made.median(HOUR, now) > HOUR, "half of all people"
    assert made.median(HOUR, LATER) < HOUR, "of those who are known, more are quick"


def test_what_is_kept_beside_the_times_is_bounded() -> None:
    made = of([HOUR] * KEPT, unaided=False)
    made.add(HOUR, 0, unaided=True)
    for day in range(1, 30):
        made.horizon(HOUR, day * DAY)
    assert len(made._distributions) == 1
    made.add(HOUR, 0, unaided=True)
    assert list(made.__dict__) == ["_in_order"]
    for _ in range(2 * KEPT):
        made.add(HOUR, 0, unaided=True)
    assert len(made._in_order.unaided) == KEPT
    assert len(made._in_order.everyone) == len(made._in_order.since) == 2 * KEPT
