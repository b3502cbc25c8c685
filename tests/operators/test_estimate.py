"""Estimators are asked by the threads of other workers while they learn."""

from __future__ import annotations

from threading import Event, Thread

import pytest

from operators.estimate import LockedEstimator, estimate_logic
from state.stuck.estimator import Estimator, new_estimator
from state.stuck.observations import EpisodeObservation
from state.stuck.parameters import PERIOD, ParameterStore
from tests.state.lives import START, plan
from tests.support.waiting import PATIENCE, join

FIRST = START // PERIOD + 1


def entered(step: str, at: int) -> EpisodeObservation:
    """Somebody at the beginning of ``step``."""
    return EpisodeObservation(tenant="t", step=step, kind="entered", at=at, since=at)


def test_counts_stand_still_while_another_worker_asks_for_what_is_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = LockedEstimator(new_estimator(plan(), "t"))
    shared.learn(entered("connect", FIRST * PERIOD))
    at_work, may_go_on = Event(), Event()
    closing = Estimator._with_open_period

    def slowly(estimator: Estimator) -> object:
        at_work.set()
        assert may_go_on.wait(PATIENCE)
        return closing(estimator)

    monkeypatch.setattr(Estimator, "_with_open_period", slowly)
    asking = Thread(target=shared.parameters, args=(FIRST + 1,), daemon=True)
    learning = Thread(target=shared.learn, args=(entered("explore", FIRST * PERIOD + 1),), daemon=True)
    asking.start()
    assert at_work.wait(PATIENCE)
    learning.start()
    learning.join(0.2)
    waited = learning.is_alive()
    may_go_on.set()
    join(asking, "the worker that asks")
    join(learning, "the worker that learns")
    assert waited
    assert shared.parameters(FIRST + 1).curves["explore"].episodes > 0


def test_what_stands_on_the_board_is_what_learns_before_and_after_a_restart() -> None:
    board, again = ParameterStore(), ParameterStore()
    step = estimate_logic(plan(), board)(None)
    step.on_batch([entered("connect", FIRST * PERIOD)])
    estimate_logic(plan(), again)(step.snapshot())
    later = (FIRST + 1) * PERIOD
    assert board.at(plan(), "t", later).version == FIRST + 1
    assert again.at(plan(), "t", later).curves == board.at(plan(), "t", later).curves
