"""What ``catalog fit`` measures on a log is what the log says, and a job that begins with it knows it from the first person on."""

from __future__ import annotations

import pytest

from evaluation.catalog_fit import CatalogFit, fit_to_history
from evaluation.completions import KEPT, Completion, crowded_day, to_measure
from state.catalog.evidence_weights import read
from state.catalog.model import Catalog
from state.catalog.parse import parse
from state.catalog.plan import Plan
from state.catalog.set_measured import with_measured
from state.duration import DAY, HOUR, MINUTE, SECOND
from state.duration import parse as parse_duration
from state.stuck.estimator import ENOUGH_NEW, Estimator, new_estimator, restore_estimator
from state.stuck.observations import COMPLETED, EpisodeObservation
from state.stuck.parameters import prior
from tests.evaluation.two_step_log import CATALOG, lines, log
from tests.state.lives import signup, track


def learn_rare_completions(estimator: Estimator) -> None:
    """Enough to learn parameters from; they say nothing of evidence, and nothing of the step ``one``."""
    for n in range(2 * ENOUGH_NEW):
        estimator.learn(
            EpisodeObservation(tenant="t", step="rare", end=COMPLETED, at=n, since=0, horizon=HOUR, lasted=n, rows=(), settled=True)
        )


@pytest.fixture(scope="module")
def fit() -> CatalogFit:
    found = CatalogFit(parse(CATALOG, ""))
    for each in log(1_500):
        found.add(each)
    return found


@pytest.fixture(scope="module")
def fitted(fit: CatalogFit) -> Catalog:
    return with_measured(parse(CATALOG, ""), {step.id: step.changes for step in fit.steps()}, fit.triggers())


def test_it_finds_the_usual_time_and_who_is_stuck_after_waiting(fitted: Catalog) -> None:
    one, rare = fitted.steps
    assert one.usual == pytest.approx(16 * HOUR, rel=0.05)
    assert one.waiting is not None
    # Stuck are the two of ten who never complete it, and the slowest tenth of those who do.
    assert one.waiting[0] == pytest.approx(0.28, abs=0.03)
    assert one.waiting[1:] == pytest.approx([0.7] * 5, abs=0.03)
    assert rare.waiting is None
    assert (rare.usual, rare.typical) == (None, parse(CATALOG, "").steps[1].typical), "too few completed it"


def test_who_begins_last_is_measured_where_all_sign_up_within_an_hour_and_the_last_completions_are_slow_ones() -> None:
    found = CatalogFit(parse(CATALOG, ""))
    for each in (*log(3_000, every=SECOND), signup(9 * DAY, user="later")):
        found.add(each)
    one = found.steps()[0]
    assert (one.completions, one.used) == (2_400, KEPT)
    assert parse_duration(one.changes["usual"]) == pytest.approx(16 * HOUR, rel=0.05)


def test_without_enough_people_who_were_followed_the_last_completions_are_measured() -> None:
    found = CatalogFit(parse(CATALOG, ""))
    for each in log(3_000, every=SECOND):
        found.add(each)
    one = found.steps()[0]
    assert (one.completions, one.used) == (2_400, KEPT)
    assert parse_duration(one.changes["usual"]) > 17 * HOUR


def test_a_long_log_says_the_same_of_who_is_stuck_as_a_short_one(fitted: Catalog) -> None:
    """Those who still wait and those who do not are counted of the same people: the last who began and could have waited so long."""
    found = CatalogFit(parse(CATALOG, ""))
    for each in log(7_500):
        if each.type == "signup" or int(each.user[1:]) >= 1_500:  # those who began first never complete the step
            found.add(each)
    one = with_measured(parse(CATALOG, ""), {step.id: step.changes for step in found.steps()}, {}).steps[0]
    assert one.waiting is not None
    assert one.waiting == pytest.approx(fitted.steps[0].waiting, abs=0.03)


def test_times_are_those_of_the_last_who_were_followed_however_many_complete_the_step() -> None:
    """In the time for which users must be followed more complete the step than are measured."""
    found = CatalogFit(parse(CATALOG, ""))
    for each in (*log(8_000, every=15 * SECOND), signup(62 * HOUR, user="later")):
        found.add(each)
    one = found.steps()[0]
    assert one.completions == 6_400
    assert one.used == pytest.approx(KEPT, rel=0.1)
    assert parse_duration(one.changes["usual"]) == pytest.approx(16 * HOUR, rel=0.05)


def test_old_cases_that_were_closed_on_one_day_do_not_ask_for_years_of_following() -> None:
    quick = [Completion(n * DAY, (1 + n % 40) * DAY, 0) for n in range(2_000)]
    old = [Completion(n * DAY // 10, 1_900 * DAY - n * DAY // 10, 0) for n in range(600)]
    times = sorted([*quick, *old], key=lambda each: each.at)
    crowded = crowded_day(times)
    assert crowded is not None
    assert (crowded.at, crowded.last) == (1_900 * DAY, KEPT)
    assert max(each.took for each in to_measure(times, 2_040 * DAY)) == 40 * DAY
    assert crowded_day([each for each in times if each.at // DAY == 1_900]) is None, "a log of a day"


def test_active_time_that_nobody_has_is_not_written() -> None:
    found = CatalogFit(parse(CATALOG, ""))
    for n in range(80):
        found.add(signup(n * HOUR, user=f"u{n}"))
        found.add(track("one", n * HOUR + 40 * MINUTE, user=f"u{n}"))
    assert found.steps()[0].changes["usual"] == "40m"
    assert "typical" not in found.steps()[0].changes


def test_who_began_at_the_same_time_is_measured_together() -> None:
    """As in a log that knows only days. To take some of them, by how long they took, would be to choose the slow ones."""
    found = CatalogFit(parse(CATALOG, ""))
    for each in (*log(2_000, every=0), signup(9 * DAY, user="later")):
        found.add(each)
    one = found.steps()[0]
    assert (one.completions, one.used) == (1_600, 1_600)
    assert parse_duration(one.changes["usual"]) == pytest.approx(16 * HOUR, rel=0.05)


def test_alarms_get_the_thresholds_that_past_ones_had(fit: CatalogFit) -> None:
    found = fit.alarm_at()
    assert found is not None
    assert 0.0 < found.last <= 1.0
    # Who waits long enough is stuck with 0.69. Those who never come back are known by their timers only; without them 0.92 is the lowest.
    assert found.last < 0.8
    assert CatalogFit(parse(CATALOG, "")).alarm_at() is None


def test_a_step_without_alarms_is_measured_and_sets_no_thresholds(fit: CatalogFit) -> None:
    quiet = CATALOG.replace("id: one,", "id: one, alarms: false,")
    some, none = (CatalogFit(parse(text, "")) for text in (quiet, quiet.replace("id: rare,", "id: rare, alarms: false,")))
    for each in log(1_500):
        some.add(each)
        none.add(each)
    assert some.steps() == none.steps() == fit.steps()
    assert some.alarm_at() not in (None, fit.alarm_at())
    assert none.alarm_at() is None, "no step is left that raises alarms"


def test_a_second_fit_does_not_learn_from_the_first(fitted: Catalog) -> None:
    known, again = CatalogFit(fitted), CatalogFit(with_measured(fitted, {"one": {"waiting": "[1, 1, 1, 1, 1, 1]"}}, {}))
    for each in log(1_500):
        known.add(each)
        again.add(each)
    assert not known.steps()[0].changes.keys() & {"typical", "usual"}
    measured = [with_measured(fitted, {"one": each.steps()[0].changes}, each.triggers()).steps[0].waiting for each in (known, again)]
    assert measured[0] == measured[1]
    assert known.alarm_at() == again.alarm_at()
    assert known.evidence() == again.evidence()


def second_pass(catalog: Catalog) -> CatalogFit:
    first = CatalogFit(catalog)
    for each in log(1_500):
        first.add(each)
    second = first.again()
    for each in log(1_500):
        second.add(each)
    return second


def fitted_twice(catalog: Catalog) -> Catalog:
    fit = second_pass(catalog)
    return with_measured(catalog, {step.id: step.changes for step in fit.steps()}, fit.triggers())


def test_who_gets_stuck_is_measured_with_the_times_that_were_measured_so_a_later_fit_says_the_same(fit: CatalogFit) -> None:
    once = fitted_twice(parse(CATALOG, ""))
    assert once.triggers.evidence is not None
    assert once.steps[0].usual == parse_duration(fit.steps()[0].changes["usual"])
    again = second_pass(once)
    assert again.triggers() == {}
    assert [step.changes for step in again.steps()] == [{}, {}]


def test_history_is_read_twice_too() -> None:
    assert fit_to_history(parse(CATALOG, ""), lines(1_500)) == fitted_twice(parse(CATALOG, ""))


def test_a_second_pass_does_not_believe_old_shares_of_a_step_that_the_first_could_not_measure() -> None:
    unknown = with_measured(parse(CATALOG, ""), {"rare": {"usual": "1h"}}, {})
    stale = with_measured(unknown, {"rare": {"waiting": "[1, 1, 1, 1, 1, 1]"}}, {})
    assert fitted_twice(stale).triggers == fitted_twice(unknown).triggers


def test_a_job_begins_with_what_evidence_said(fit: CatalogFit, fitted: Catalog) -> None:
    plan, evidence = Plan(fitted), fit.evidence()
    assert evidence is not None
    weights = read(evidence.weights)
    assert len(weights) > 20
    assert min(abs(mean) for mean, _ in weights.values()) == pytest.approx(0.02, abs=0.01), "what says next to nothing is left out"
    assert any(prior(Plan(parse(CATALOG, ""))).score.weight(number) != mean for number, (mean, _) in weights.items())
    estimator = new_estimator(plan, "t")
    learn_rare_completions(estimator)
    again = restore_estimator(lambda _tenant: plan, estimator.encode())
    for parameters in (prior(plan), estimator.parameters(10**6), again.parameters(10**6)):
        assert {number: parameters.score.weight(number) for number in weights} == {number: mean for number, (mean, _) in weights.items()}
        assert parameters.score.trust == evidence.trust
    assert estimator.parameters(10**6).version
    assert CatalogFit(parse(CATALOG, "")).evidence() is None, "nothing is known of nobody"


def test_a_job_begins_with_what_was_measured_and_keeps_it_over_a_restart(fitted: Catalog) -> None:
    plan, one = Plan(fitted), fitted.steps[0]
    for parameters in (
        prior(plan),
        new_estimator(plan, "t").parameters(10**6),
        restore_estimator(lambda _tenant: plan, new_estimator(plan, "t").encode()).parameters(10**6),
    ):
        assert [parameters.score.time_alone("one", bucket) for bucket in range(6)] == pytest.approx(one.waiting, abs=0.02)
        assert parameters.horizons["one"] == one.usual
        assert parameters.settled == {"one": 0}
        assert fitted.triggers.alarm_at is not None
        assert parameters.point[:2] == (fitted.triggers.alarm_at.early, fitted.triggers.alarm_at.last)


def test_a_job_that_ran_before_the_fit_takes_the_shares_of_steps_it_has_not_judged(fitted: Catalog) -> None:
    before = new_estimator(Plan(parse(CATALOG, "")), "t").encode()
    plan, one = Plan(fitted), fitted.steps[0]
    estimator = restore_estimator(lambda _tenant: plan, before)
    learn_rare_completions(estimator)
    learned = estimator.parameters(10**6)
    assert learned.version
    score = learned.score
    assert [score.time_alone("one", bucket) for bucket in range(6)] == pytest.approx(one.waiting, abs=0.02)


def test_tenants_of_one_log_are_measured_together() -> None:
    found = CatalogFit(parse(CATALOG, ""))
    for each in log(400):
        each.tenant = ("a", "b")[int(each.user[1:]) % 2]
        found.add(each)
    assert found.steps()[0].completions == 320


def test_who_has_waited_longer_than_expected_counts_once() -> None:
    found = CatalogFit(parse(CATALOG.replace("usual: 9d", "usual: 30m"), ""))
    for each in log(600):
        found.add(each)
    (one, _) = with_measured(parse(CATALOG, ""), {step.id: step.changes for step in found.steps()}, {}).steps
    assert one.waiting is not None
    assert one.waiting[0] == pytest.approx(0.28, abs=0.03)
