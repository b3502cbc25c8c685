"""Estimators are asked by the threads of other workers while they learn."""

from __future__ import annotations

import pickle
import re
from threading import Event, Thread, get_ident

import bytewax.operators as op
import msgspec
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, cluster_main

from operators.estimate import Estimated, EstimateLogic, LockedEstimator, estimate_logic
from operators.lanes import Lanes
from operators.share import ShareLogic, share_step
from state.catalog.by_tenant import ByTenant
from state.catalog.evidence_weights import FEATURES
from state.catalog.plan import Plan
from state.duration import DAY, MINUTE
from state.stuck.estimator import ENOUGH_NEW, Estimator, new_estimator
from state.stuck.evidence import Kind, feature
from state.stuck.observations import COMPLETED, EpisodeObservation
from state.stuck.operating_point import OperatingPoint
from state.stuck.parameters import PERIOD, Parameters, ParameterStore
from state.stuck.score import BUCKETS, Score, ScoreLearner
from state.stuck.score_state import ScoreState
from tests.state.lives import START, catalog, plan
from tests.support.waiting import PATIENCE, join

FIRST = START // PERIOD + 1
FAR = OperatingPoint(0.5, 0.5, 0.9, 0.5, reachable=True, episodes=0)


def ended(number: int, at: int) -> EpisodeObservation:
    """Somebody who completed a step a minute after it became current."""
    since = at - MINUTE - number
    return EpisodeObservation(tenant="t", step="connect", end=COMPLETED, at=at, since=since, horizon=2 * DAY, lasted=at - since)


def test_counts_stand_still_while_another_worker_asks_for_what_is_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = LockedEstimator(new_estimator(plan(), "t"))
    for number in range(ENOUGH_NEW):
        shared.learn(ended(number, FIRST * PERIOD + MINUTE))
    at_work, may_go_on = Event(), Event()
    closing = Estimator._learn_fresh

    def slowly(estimator: Estimator) -> None:
        at_work.set()
        assert may_go_on.wait(PATIENCE)
        closing(estimator)

    monkeypatch.setattr(Estimator, "_learn_fresh", slowly)
    asking = Thread(target=shared.parameters, args=(FIRST + 1,), daemon=True)
    learning = Thread(target=shared.learn, args=(ended(0, (FIRST + 1) * PERIOD + MINUTE),), daemon=True)
    asking.start()
    assert at_work.wait(PATIENCE)
    learning.start()
    learning.join(0.2)
    waited = learning.is_alive()
    may_go_on.set()
    join(asking, "the worker that asks")
    join(learning, "the worker that learns")
    assert waited
    assert shared.parameters(FIRST + 1).version == FIRST + 1


def test_what_stands_on_the_board_is_what_learns_before_and_after_a_restart() -> None:
    board, again = ParameterStore(), ParameterStore()
    step = estimate_logic(ByTenant(plan()), board)(None)
    step.on_batch([[ended(number, FIRST * PERIOD + MINUTE) for number in range(ENOUGH_NEW)]])
    estimate_logic(ByTenant(plan()), again)(step.snapshot())
    later = (FIRST + 1) * PERIOD
    assert board.at(plan(), "t", later).version == FIRST + 1
    assert again.at(plan(), "t", later).horizons == board.at(plan(), "t", later).horizons


def test_the_estimators_of_two_tenants_learn_and_are_restored_each_with_its_own_catalog() -> None:
    hasty = Plan(catalog(change=lambda text: re.sub(r"usual: \w+", "usual: 20m", text)))
    plans = ByTenant(None, {"t": plan(), "u": hasty})
    both, later, snapshots = ParameterStore(), (FIRST + 1) * PERIOD, list[bytes]()
    for tenant in ("t", "u"):
        step = estimate_logic(plans, both)(None)
        observed = (ended(number, FIRST * PERIOD + MINUTE) for number in range(ENOUGH_NEW))
        step.on_batch([[msgspec.structs.replace(each, tenant=tenant) for each in observed]])
        snapshots.append(step.snapshot())
    restored = ParameterStore()
    for snapshot in snapshots:
        estimate_logic(plans, restored)(snapshot)
    for tenant in ("t", "u"):
        alone = ParameterStore()
        own = plans.of(tenant)
        step = estimate_logic(ByTenant(own), alone)(None)
        step.on_batch([[ended(number, FIRST * PERIOD + MINUTE) for number in range(ENOUGH_NEW)]])
        expected = alone.at(own, "t", later).horizons
        assert both.at(own, tenant, later).horizons == restored.at(own, tenant, later).horizons == expected
    assert both.at(plan(), "t", later).horizons != both.at(hasty, "u", later).horizons


# ---------------------------------------------------------------------------------------------------------------- other processes


def learned(board: ParameterStore, *, shared: bool = True) -> EstimateLogic:
    """An estimator that has learned of enough episodes, and waits for the next observation to publish it."""
    step = estimate_logic(ByTenant(plan()), board, shared=shared)(None)
    assert step.on_batch([[ended(number, FIRST * PERIOD + MINUTE) for number in range(ENOUGH_NEW)]]) == ([], False)
    return step


def sent(values: list[Estimated]) -> list[Estimated]:
    """The values as another process gets them."""
    there: list[Estimated] = pickle.loads(pickle.dumps(values))
    return there


def test_another_process_judges_with_what_was_learned_here() -> None:
    board, other = ParameterStore(), ParameterStore()
    step = learned(board)
    (published,), _ = step.on_batch([[ended(0, (FIRST + 1) * PERIOD + MINUTE)]])
    assert published.rows
    ShareLogic(other).on_batch(sent([published]))
    here, there = (each.at(plan(), "t", (FIRST + 2) * PERIOD) for each in (board, other))
    assert there.version == here.version == FIRST + 1
    assert (there.horizons, there.settled, there.finished, there.point) == (here.horizons, here.settled, here.finished, here.point)
    assert [there.score.weight(number) for number in range(FEATURES)] == [here.score.weight(number) for number in range(FEATURES)]
    features = [feature(Kind.ERROR_BURSTS, 2), feature(Kind.SLOW, 1)]
    assert there.score.predict("connect", 1, features) == here.score.predict("connect", 1, features)
    assert other.at(plan(), "another tenant", FIRST * PERIOD).version == 0


@pytest.mark.parametrize("workers", [2, 3])
def test_what_an_estimator_publishes_reaches_every_worker(workers: int) -> None:
    """Workers stand for processes, each of which has a store of its own."""

    class Store(ParameterStore):
        def receive(self, tenant: str, published: Parameters) -> None:
            reached.add(get_ident())
            super().receive(tenant, published)

    (published,), _ = learned(ParameterStore()).on_batch([[ended(0, (FIRST + 1) * PERIOD + MINUTE)]])
    flow, reached = Dataflow("share"), set[int]()
    told = share_step("share", op.input("in", flow, TestingSource([("t", published)])), Store(), Lanes(workers))
    op.output("out", told, TestingSink(list[tuple[str, None]]()))
    cluster_main(flow, [], 0, worker_count_per_proc=workers)  # type: ignore[no-untyped-call]
    assert len(reached) == workers


def test_observations_are_learned_in_order_of_time() -> None:
    """Those of one batch come from people in order of their keys, and may lie on both sides of a boundary."""
    earlier = [ended(number, FIRST * PERIOD + MINUTE + number) for number in range(ENOUGH_NEW)]
    later = [ended(number, (FIRST + 1) * PERIOD + MINUTE + number) for number in range(ENOUGH_NEW)]
    boards = ParameterStore(), ParameterStore()
    for board, batch in zip(boards, ([earlier, later], [later[::-1], earlier[::-1]]), strict=True):
        estimate_logic(ByTenant(plan()), board)(None).on_batch(batch)
    sorted_ones, others = (board.at(plan(), "t", (FIRST + 1) * PERIOD) for board in boards)
    assert sorted_ones.version == others.version == FIRST + 1
    assert sorted_ones.horizons == others.horizons


def test_a_score_says_the_same_in_another_process() -> None:
    features = [feature(Kind.ERROR_BURSTS, 2), feature(Kind.SLOW, 1), feature(Kind.BUCKET, 1)]
    state = ScoreState(weights={features[0]: (2.5, 0.1)}, trust=[(0.1 * bucket, 0.1) for bucket in range(BUCKETS)])
    learner = ScoreLearner(state)
    learner.begin("connect", [0.05 + 0.1 * bucket for bucket in range(BUCKETS)])
    here = learner.score()
    there: Score = pickle.loads(pickle.dumps(here))
    for bucket in range(BUCKETS):
        assert there.predict("connect", bucket, features) == here.predict("connect", bucket, features)
        assert there.time_alone("connect", bucket) == here.time_alone("connect", bucket) != there.time_alone("another step", bucket)


def test_what_was_learned_is_small_on_the_wire() -> None:
    (published,), _ = learned(ParameterStore()).on_batch([[ended(0, (FIRST + 1) * PERIOD + MINUTE)]])
    assert len(pickle.dumps(published.published)) < 5_000


def test_what_arrives_holds_from_the_next_period_on_and_never_gives_way_to_something_older() -> None:
    store, now = ParameterStore(), FIRST * PERIOD
    older, newer = (Parameters(plan(), version, {"connect": DAY}, {}, ScoreLearner().score(), FAR) for version in (FIRST - 1, FIRST))
    store.receive("t", older)
    assert store.at(plan(), "t", now).version == FIRST - 1
    store.receive("t", newer)
    assert store.at(plan(), "t", now + 1).version == FIRST - 1
    store.receive("t", older)
    assert store.at(plan(), "t", now + PERIOD).version == FIRST


def test_an_estimator_of_this_process_is_not_replaced_by_what_arrives() -> None:
    board = ParameterStore()
    learned(board)
    board.receive("t", Parameters(plan(), FIRST + 9, {"connect": DAY}, {}, ScoreLearner().score(), FAR))
    assert board.at(plan(), "t", (FIRST + 1) * PERIOD).version == FIRST + 1


def test_after_a_restart_other_processes_are_told_at_once_and_once() -> None:
    step = learned(ParameterStore())
    step.on_batch([[ended(0, (FIRST + 1) * PERIOD + MINUTE)]])
    again = estimate_logic(ByTenant(plan()), ParameterStore(), shared=True)(step.snapshot())
    assert again.notify_at() is not None
    (told,), _ = again.on_notify()
    assert (told.tenant, told.published.version, told.rows) == ("t", FIRST + 1, [])
    assert again.notify_at() is None
    assert step.notify_at() is None
    assert estimate_logic(ByTenant(plan()), ParameterStore())(step.snapshot()).notify_at() is None, "a job of one process tells nobody"


def test_before_anything_was_learned_nothing_is_told() -> None:
    again = estimate_logic(ByTenant(plan()), ParameterStore(), shared=True)(learned(ParameterStore()).snapshot())
    assert again.on_notify() == ([], False)
