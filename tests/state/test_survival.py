"""Completion times are learned without bias: by hand on few people, and on many against the distribution they were drawn from."""

from __future__ import annotations

import math
from collections import defaultdict
from random import Random

import pytest

from state.catalog.plan import Plan
from state.duration import DAY, HOUR
from state.stuck.estimator import Estimator, new_estimator, restore_estimator
from state.stuck.observations import EpisodeObservation
from state.stuck.parameters import PERIOD, prior
from state.stuck.survival import BINS, EDGES, NO_COUNTS, CohortCounts, _life_table, _survival, bin_of, estimate
from tests.state.lives import START, catalog

PLAN = Plan(catalog())
FIRST = START // PERIOD + 1


def test_a_time_is_in_the_bin_between_its_edges() -> None:
    for lasted in (0, 1, 59_999, 60_000, HOUR, DAY, 400 * DAY):
        place = bin_of(lasted)
        assert EDGES[place] <= lasted < EDGES[place + 1]


def test_the_curve_is_that_of_counting_by_hand() -> None:
    """Everybody was watched for long: the share that has not completed the step is counted, without any formula."""
    rng = Random(1)
    lasted = [round(rng.lognormvariate(math.log(5 * HOUR), 1.0)) if rng.random() < 0.7 else -1 for _ in range(400)]
    entered = {FIRST: 400.0}
    ended: dict[int, dict[int, tuple[float, float]]] = {FIRST: defaultdict(lambda: (0.0, 0.0))}
    for each in lasted:
        if each >= 0:
            done, left = ended[FIRST][bin_of(each)]
            ended[FIRST][bin_of(each)] = (done + 1, left)
    completed, at_risk, people = _life_table(entered, ended, FIRST * PERIOD + 400 * DAY, PERIOD, 10**18)
    survival = _survival(completed, at_risk)
    assert people == pytest.approx(400)
    for place in range(0, BINS - 1, 7):
        by_hand = sum(each < 0 or each >= EDGES[place + 1] for each in lasted) / 400
        assert survival[place] == pytest.approx(by_hand, abs=1e-9)


def lessons(rng: Random, cohorts: int, a_cohort: int, until: int) -> list[EpisodeObservation]:
    """People who begin all the time; what is not over by ``until`` is not known."""
    found = []
    for cohort in range(cohorts):
        for _ in range(a_cohort):
            since = (FIRST + cohort) * PERIOD + rng.randrange(PERIOD)
            found.append(EpisodeObservation(tenant="t", step="connect", kind="entered", at=since, since=since))
            if rng.random() < 0.6:
                lasted = round(rng.lognormvariate(math.log(6 * HOUR), 1.2))
                if since + lasted < until:
                    found.append(
                        EpisodeObservation(tenant="t", step="connect", kind="completed", at=since + lasted, since=since, lasted=lasted)
                    )
    return sorted(found, key=lambda each: each.at)


def test_who_began_lately_does_not_make_the_step_look_quick() -> None:
    """Right truncation: of recent people only the fast have completed the step; the horizon stays that of everybody."""
    truth = math.exp(math.log(6 * HOUR) + 1.2816 * 1.2)
    until = (FIRST + 40) * PERIOD  # ten days, for a horizon of 28 hours
    estimator = new_estimator(PLAN, "t")
    known = lessons(Random(2), 40, 60, until)
    for lesson in known:
        estimator.learn(lesson)
    curve = estimator.parameters(FIRST + 41).curves["connect"]
    naive = sorted(each.lasted for each in known if each.kind == "completed")
    assert abs(math.log(curve.horizon / truth)) < 0.2
    assert naive[int(0.9 * len(naive))] < curve.horizon * 0.97
    assert curve.deadline < curve.horizon / 2


def test_before_anybody_was_seen_the_catalog_is_believed() -> None:
    curve = prior(PLAN).curves["connect"]
    assert (curve.horizon, curve.deadline, curve.episodes) == (2 * DAY, DAY, 0.0)
    assert estimate(PLAN, NO_COUNTS, CohortCounts({}, {}), START, PERIOD)["connect"] == curve


def test_parameters_are_made_of_earlier_periods_alone_and_survive_a_restart() -> None:
    known = lessons(Random(3), 12, 20, 10**18)
    plain, broken = new_estimator(PLAN, "t"), new_estimator(PLAN, "t")
    for index, lesson in enumerate(known):
        period = lesson.at // PERIOD
        before = plain.parameters(period)
        assert before.version <= period
        if index % 50 == 0:
            broken = restore_estimator(PLAN, broken.encode())
        assert broken.parameters(period).version == before.version
        assert broken.parameters(period).curves == before.curves
        assert broken.parameters(period).model.weights() == before.model.weights()
        plain.learn(lesson)
        broken.learn(lesson)
        assert plain.parameters(period).curves == before.curves, "a lesson changed the parameters of its own period"


def test_the_order_of_lessons_within_a_period_does_not_matter() -> None:
    known = lessons(Random(4), 6, 15, 10**18)

    def after(order: list[EpisodeObservation]) -> Estimator:
        estimator = new_estimator(PLAN, "t")
        for lesson in order:
            estimator.learn(lesson)
        return estimator

    shuffled = sorted(known, key=lambda each: (each.at // PERIOD, each.lasted, -each.at))
    one, other = after(known).parameters(10**9), after(shuffled).parameters(10**9)
    assert one.curves == other.curves
    assert one.model.weights() == other.model.weights()
