"""estimate: learns how long steps take and what being stuck looks like, one estimator a tenant; publishes what it learned for ``track``.

The graph has no loop: what is learned goes on a board of this process (``state/stuck/parameters.py``), where ``track`` reads it at the next
boundary of log time. Sources end a batch at every boundary, and on one worker a batch has drained before the next is asked for, so that
what is in force in a period was made of all lessons of the periods before, however the input was batched. After a restart the builder is
called with every tenant's counts before the first batch, which fills the board again.

With several processes each uses what the estimators that live in it have published, and for other tenants what the catalog says; with
several workers in a process a lesson may come too late for its boundary, and then counts at the next.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from threading import RLock
from typing import Any, Final

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from state.catalog.plan import Plan
from state.decision.guidance import Output
from state.records.facts import StepStatisticFact
from state.stream_items import EpisodeObservation
from state.stuck.estimator import Estimator, resuming, starting
from state.stuck.parameters import Parameters, ParameterStore

_in_time = attrgetter("at")


class Shared:
    """An estimator that the threads of all workers may ask while the one that feeds it learns: its counts stand still meanwhile."""

    def __init__(self, estimator: Estimator) -> None:
        """Take the estimator over."""
        self._estimator: Final = estimator
        self._lock: Final = RLock()

    def parameters(self, period: int) -> Parameters:
        """As the estimator's."""
        with self._lock:
            return self._estimator.parameters(period)

    def learn(self, lesson: EpisodeObservation) -> list[StepStatisticFact]:
        """As the estimator's."""
        with self._lock:
            return self._estimator.learn(lesson)

    def encode(self) -> bytes:
        """As the estimator's."""
        with self._lock:
            return self._estimator.encode()


class Estimating(StatefulBatchLogic[EpisodeObservation, list[StepStatisticFact], bytes]):
    """One estimator in the dataflow. Emits what it published whenever a period is over."""

    def __init__(self, plan: Plan, board: ParameterStore, resume_state: bytes | None) -> None:
        """Called for the first lesson of a tenant, and after a restart for every tenant that was ever written down."""
        self._plan, self._board = plan, board
        self._estimator: Shared | None = None
        if resume_state is not None:
            estimator = resuming(plan, resume_state)
            self._estimator = Shared(estimator)
            board.publish(estimator.tenant, self._estimator)

    @override
    def on_batch(self, values: list[EpisodeObservation]) -> tuple[list[list[StepStatisticFact]], bool]:
        values.sort(key=_in_time)  # Bytewax visits people in order of their keys
        facts: list[StepStatisticFact] = []
        for lesson in values:
            if self._estimator is None:
                self._estimator = Shared(starting(self._plan, lesson.tenant))
                self._board.publish(lesson.tenant, self._estimator)
            facts += self._estimator.learn(lesson)
        return ([facts] if facts else []), False

    @override
    def snapshot(self) -> bytes:
        assert self._estimator is not None, "an estimator exists from the first lesson on"
        return self._estimator.encode()


def estimating(plan: Plan, board: ParameterStore) -> Callable[[bytes | None], Estimating]:
    """Builder for ``stateful_batch``."""
    return lambda resume_state: Estimating(plan, board, resume_state)


def estimate_step(step_id: str, up: KeyedStream[list[Output]], plan: Plan, board: ParameterStore) -> KeyedStream[list[StepStatisticFact]]:
    """Route lessons from the people to their tenants' estimators, and publish what those learn."""

    def address(batch: list[tuple[str, list[Any]]]) -> list[tuple[str, EpisodeObservation]]:
        return [(item.tenant, item) for _, outputs in batch for item in outputs if type(item) is EpisodeObservation]

    return op.stateful_batch(step_id, op.flat_map_batch(f"{step_id}_address", up, address), estimating(plan, board))
