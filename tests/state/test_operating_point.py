"""The threshold of the alarms gives the precision that was asked for, or the best that can be had."""

from __future__ import annotations

import math
from random import Random

import pytest

from state.stuck.operating_point import ENOUGH, FIRST_THRESHOLD, MARGIN, OperatingPoint, Past, current
from state.stuck.operating_point import choose as choose_from
from state.stuck.score import last_look


def choose(past: list[Past], asked: float, floor: float) -> OperatingPoint:
    return choose_from(past, asked, floor, (FIRST_THRESHOLD, FIRST_THRESHOLD))


def calibrated(count: int, seed: int, highest: float = 1.0) -> list[Past]:
    """Episodes whose last score is their true rate."""
    rng = Random(seed)
    rates = [rng.uniform(0.0, highest) for _ in range(count)]
    return [Past((rate / 2,), (rate,), rng.random() < rate, True) for rate in rates]


@pytest.mark.parametrize("asked", [0.6, 0.75, 0.9])
def test_alarms_have_the_precision_that_was_asked_for(asked: float) -> None:
    point = choose(calibrated(1_000, 1), asked, 0.0)
    assert point.reachable
    fresh = [past for past in calibrated(4_000, 2) if past.early[0] >= point.early or past.last[0] >= point.last]
    assert sum(past.stuck for past in fresh) / len(fresh) == pytest.approx(asked, abs=0.05)


def test_a_precision_out_of_reach_gives_the_best_in_reach_and_says_so() -> None:
    point = choose(calibrated(1_000, 3, highest=0.6), 0.9, 0.0)
    assert not point.reachable
    assert point.last < 0.6
    assert point.precision == pytest.approx(0.55, abs=0.08)


def test_below_the_floor_no_alarm_is_raised() -> None:
    point = choose(calibrated(1_000, 3, highest=0.6), 0.9, 0.7)
    assert point.early == point.last == math.inf
    assert not point.reachable


def test_the_first_score_that_reaches_the_threshold_is_the_alarm() -> None:
    """A high score that falls again raised an alarm, whatever came later."""
    past = [Past((0.9, 0.1), (), False, True) for _ in range(50)] + [Past((0.2, 0.9), (), True, True) for _ in range(50)]
    assert choose(past, 0.6, 0.0).precision == pytest.approx(0.5)


def test_guided_people_count_with_their_score_since_help_may_have_changed_the_end() -> None:
    helped = [Past((0.92,), (), False, False) for _ in range(100)]
    assert choose(helped, 0.8, 0.0).reachable


def test_few_episodes_say_nothing() -> None:
    assert choose(calibrated(ENOUGH - 1, 1), 0.9, 0.0).last == FIRST_THRESHOLD


def overconfident(held_out: int, guided: int) -> list[Past]:
    """Everyone has a score of 0.92, and six of ten who get no help are stuck."""
    return [Past((0.92,), (), number % 10 < 6, True) for number in range(held_out)] + [Past((0.92,), (), False, False)] * guided


@pytest.mark.parametrize(("held_out", "precision"), [(0, 0.92), (50, 0.75), (1_000, 0.61)])
def test_held_out_people_say_how_much_scores_overstate(held_out: int, precision: float) -> None:
    point = choose(overconfident(held_out, 900), 0.8, 0.0)
    assert point.reachable == (precision > 0.8)
    assert point.precision == pytest.approx(precision, abs=0.01)
    assert point.episodes == held_out + 900


def test_while_episodes_are_few_the_thresholds_of_the_catalog_hold() -> None:
    few = calibrated(ENOUGH - 1, 1)
    assert choose_from(few, 0.9, 0.0, (0.95, 0.7))[:2] == (0.95, 0.7)


def test_the_precision_of_past_alarms_exceeds_the_asked_one_by_a_margin() -> None:
    sure = [Past((), (0.5 + number / 1_000,), number % 10 < 8, True) for number in range(400)]
    surer = [Past((), (0.95,), True, True)] * 100
    point = choose(sure + surer, 0.84, 0.0)
    assert point.precision >= 0.84 + MARGIN > 0.845
    assert choose(sure, 0.79, 0.0).reachable, "within the margin: asked for and reached"


def test_once_a_horizon_is_settled_episodes_labelled_by_an_expected_one_count_no_longer() -> None:
    labelled = [Past((0.9,), (), True, True, "connect"), Past((0.9,), (), True, True, "invite")] * ENOUGH
    true = [Past((0.9,), (), False, True)] * ENOUGH
    assert current(labelled + true, []) == labelled + true
    assert current(labelled + true, ["connect"]) == labelled[1::2] + true
    assert current(labelled[::2] + true[1:], ["connect"]) == labelled[::2] + true[1:], "too few would be left"


def scored(count: int, seed: int, held_out: float) -> list[Past]:
    """Episodes with scores of every kind: none, several, at the edges, overconfident."""
    rng, past = Random(seed), list[Past]()
    for _ in range(count):
        rate = rng.random()
        scores = [min(1.0, rate * rng.uniform(0.6, 1.4)) for _ in range(rng.randrange(5))]
        past.append(Past(tuple(scores[:-1]), tuple(scores[-1:]), rng.random() < rate, rng.random() < held_out))
    return past


def precision_at(past: list[Past], early: float, last: float) -> tuple[float, int]:
    """The precision at two thresholds as it is defined, and the number of alarms."""
    alarms = []
    for each in past:
        first = next((score for score in each.early if score >= early), None)
        first = max(each.last, default=-1.0) if first is None and max(each.last, default=-1.0) >= last else first
        if first is not None:
            alarms.append((first, each))
    held_out = [(score, each.stuck) for score, each in alarms if each.unaided]
    known = sum(stuck for _, stuck in held_out)
    overstated = (sum(score for score, _ in held_out) - known) / (len(held_out) + 50.0)
    right = known + sum(min(max(score - overstated, 0.0), 1.0) for score, each in alarms if not each.unaided)
    return (right + 5.0 * sum(each.stuck for each in past) / len(past)) / (len(alarms) + 5.0), len(alarms)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("asked", [0.5, 0.8, 0.9])
def test_the_point_is_the_lowest_threshold_by_the_definition(asked: float, seed: int) -> None:
    past = scored(400, seed, held_out=(1.0, 0.1)[seed % 2])
    point = choose(past, asked, 0.0)
    precision, alarms = precision_at(past, point.early, point.last)
    assert point.precision == pytest.approx(precision)
    assert alarms >= 10
    lower = [number / 100 for number in range(20, 97) if number / 100 < point.last]
    needed = asked + MARGIN if point.precision >= asked + MARGIN else point.precision + 1e-9
    assert all(precision_at(past, max(each, asked), each)[0] < needed for each in lower)


def test_where_all_alarms_of_the_last_look_are_surer_than_asked_they_come_earlier() -> None:
    """Everybody who waits until the last look is stuck. Before it scores are true rates, and those of the others are low."""
    rng, past = Random(4), list[Past]()
    for _ in range(1_000):
        rate = rng.uniform(0.2, 0.9)
        stuck = rng.random() < rate
        past.append(Past((rate,), (0.9,) if stuck else (), stuck, True))
    surer, point = (choose(past, asked, 0.0) for asked in (0.9, 0.7))
    assert surer.last == point.last == 0.2
    assert point.early < 0.6
    assert surer.early > 0.7
    assert 0.7 + MARGIN <= point.precision < 0.73


def seen_there(seed: int, sure: float) -> list[Past]:
    """Half of the people get a score while they are there, the others a surer one at the last look. Scores are true rates."""
    rng, past = Random(seed), list[Past]()
    for number in range(1_000):
        rate = rng.uniform(0.5, 0.8) if number % 2 else rng.uniform(sure, 1.0)
        scores, stuck = (rate,), rng.random() < rate
        past.append(Past(scores, (), stuck, True, "", scores) if number % 2 else Past((), scores, stuck, True))
    return past


def test_less_may_be_asked_in_the_session_as_long_as_all_alarms_are_as_sure_as_asked() -> None:
    past = seen_there(1, sure=0.9) + [Past((), (rate,), False, True) for rate in (0.2, 0.3, 0.4)] * 60
    usual = choose_from(past, 0.8, 0.0, (1.0, 1.0))
    point = choose_from(past, 0.8, 0.0, (1.0, 1.0), asked_in_session=0.6)
    assert usual.in_session == math.inf
    assert point.in_session < 0.7
    assert point.precision >= 0.8
    assert point.recall > usual.recall + 0.2
    assert point.threshold(0, settled=True, in_session=True) == point.in_session
    assert point.threshold(0, settled=True) == point.early


def test_a_few_alarms_in_the_session_are_too_few_for_a_threshold() -> None:
    few, many = ([Past((0.6,), (), True, True, "", (0.6,))] * count for count in (6, 12))
    others = [Past((), (0.95,), True, True)] * 100 + [Past((), (0.3,), False, True)] * 100
    assert choose_from(few + others, 0.9, 0.0, (1.0, 1.0), asked_in_session=0.5).in_session == math.inf
    assert choose_from(many + others, 0.9, 0.0, (1.0, 1.0), asked_in_session=0.5).in_session < 0.6


@pytest.mark.parametrize("settled", [True, False])
def test_each_look_has_its_threshold_and_after_the_last_there_is_no_alarm(settled: bool) -> None:
    point, latest = OperatingPoint(0.8, 0.6, 0.9, 0.5, reachable=True, episodes=99, in_session=0.7), last_look(settled=settled)
    assert [point.threshold(latest + n, settled=settled) for n in (-1, 0, 1)] == [0.8, 0.6, math.inf]
    assert [point.threshold(latest + n, settled=settled, in_session=True) for n in (-1, 0, 1)] == [0.7, 0.6, math.inf]


def test_the_session_has_no_threshold_that_would_cost_the_precision_of_all_alarms() -> None:
    past = seen_there(2, sure=0.82)
    usual = choose_from(past, 0.9, 0.0, (1.0, 1.0))
    point = choose_from(past, 0.9, 0.0, (1.0, 1.0), asked_in_session=0.5)
    assert point.precision >= min(usual.precision, 0.9 + MARGIN)
    assert point.in_session > 0.65, "by itself every alarm in the session would be sure enough"
