"""At a step with `alarms: false` users are scored as at any other, and nobody raises an alarm."""

from __future__ import annotations

import msgspec
import pytest

from state.catalog.plan import Plan
from state.duration import HOUR, MINUTE
from state.records.facts import SignalFact, StuckScoreFact
from state.stuck.estimator import Estimator, EstimatorState, new_estimator, restore_estimator
from state.stuck.observations import WAITING, EpisodeObservation
from state.stuck.parameters import PERIOD
from state.stuck.row import Row, pack
from tests.state.lives import START, Life, catalog, event, plan, signup

ERRORS = [event("error", HOUR + each * MINUTE, code="source_gone") for each in range(9)]


def plan_with(alarms: str) -> Plan:
    return Plan(catalog(change=lambda text: text.replace("  - id: connect\n", f"  - id: connect\n    alarms: {alarms}\n")))


def lives(alarms: str) -> Life:
    """Somebody with many errors who then waits at the step ``connect``."""
    life = Life(plan_with(alarms))
    life.see(signup(), *ERRORS)
    for at in range(1, 48):
        life.wait(at * HOUR)
    return life


def test_users_are_scored_and_raise_no_alarm() -> None:
    usual, quiet = lives("true"), lives("false")
    assert usual.of(SignalFact)
    assert quiet.of(SignalFact) == []
    assert [(each.share, each.score) for each in quiet.of(StuckScoreFact)] == [
        (each.share, each.score) for each in usual.of(StuckScoreFact)
    ]


def test_another_step_of_the_catalog_raises_its_alarms() -> None:
    life = Life(plan_with("false"))
    life.see(signup(), event("form_submit", MINUTE, form="connect"), *ERRORS)
    for at in range(1, 48):
        life.wait(at * HOUR)
    assert {each.step_id for each in life.of(SignalFact)} == {"explore"}


def test_a_catalog_that_does_not_use_it_is_the_same_catalog() -> None:
    assert plan_with("true").digest == plan().digest != plan_with("false").digest
    assert all("alarms" not in step.model_dump(exclude_defaults=True) for step in plan().catalog.steps)


def learned(before: Plan, step: str = "connect", episodes: int = 200) -> Estimator:
    """An estimator that knows the ends of episodes with a score."""
    estimator, rows = new_estimator(before, "t"), (Row(4, 0.9, 0.0, 0.9, pack((17,))),)
    for number in range(episodes):
        since = START // PERIOD * PERIOD + number * HOUR
        estimator.learn(
            EpisodeObservation(
                tenant="t", step=step, end=WAITING, at=since + 2 * MINUTE, since=since, horizon=MINUTE, lasted=2 * MINUTE, rows=rows
            )
        )
    estimator.parameters(1 << 40)  # learns what is fresh
    return estimator


def episodes(estimator: Estimator) -> int:
    """How many episodes the thresholds rest on."""
    return estimator.parameters(1 << 40).point.episodes


@pytest.mark.parametrize(("step", "rests_on"), [("connect", 0), ("explore", 200)])
def test_such_a_step_does_not_take_part_in_setting_the_thresholds(step: str, rests_on: int) -> None:
    assert episodes(learned(plan_with("false"), step)) == rests_on


def test_what_was_learned_there_of_who_is_stuck_is_kept() -> None:
    estimators = learned(plan_with("false")), learned(plan_with("true"))
    found, usual = (each.parameters(1 << 40).score for each in estimators)
    assert found.time_alone("connect", 4) == usual.time_alone("connect", 4) > 0.9


def test_after_a_change_of_the_catalog_episodes_from_before_do_not_set_the_thresholds_either() -> None:
    before = learned(plan_with("true"))
    assert episodes(before) == 200
    for step in ("connect", "explore"):
        expected = 0 if step == "connect" else 200
        after = restore_estimator(lambda _tenant: plan_with("false"), learned(plan_with("true"), step).encode())
        assert episodes(after) == expected


def test_episodes_that_an_older_release_wrote_without_their_step_count() -> None:
    fields = msgspec.msgpack.decode(learned(plan_with("true")).encode())
    for each in fields[EstimatorState.__struct_fields__.index("past")]:
        del each[6:]
    after = restore_estimator(lambda _tenant: plan_with("false"), msgspec.msgpack.encode(fields))
    assert episodes(after) == 200
