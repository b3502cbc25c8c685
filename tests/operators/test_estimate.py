"""Estimators are asked by the threads of other workers while they learn."""

from __future__ import annotations

from threading import Event, Thread

import pytest

from operators.estimate import LockedEstimator, estimate_logic
from state.duration import DAY, MINUTE
from state.stuck.estimator import ENOUGH_NEW, Estimator, new_estimator
from state.stuck.observations import COMPLETED, EpisodeObservation
from state.stuck.parameters import PERIOD, ParameterStore
from tests.state.lives import START, plan
from tests.support.waiting import PATIENCE, join

FIRST = START // PERIOD + 1


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
    step = estimate_logic(plan(), board)(None)
    step.on_batch([ended(number, FIRST * PERIOD + MINUTE) for number in range(ENOUGH_NEW)])
    estimate_logic(plan(), again)(step.snapshot())
    later = (FIRST + 1) * PERIOD
    assert board.at(plan(), "t", later).version == FIRST + 1
    assert again.at(plan(), "t", later).horizons == board.at(plan(), "t", later).horizons
