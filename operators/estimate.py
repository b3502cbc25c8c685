"""estimate: one estimator for each tenant learns step durations and the score, and publishes them for ``track``.

The graph has no loop: parameters are published in a store of this process (``state/stuck/parameters.py``), and ``track`` reads them at the
next boundary of log time. Sources end a batch at every boundary, and on one worker a batch is drained before the next is requested. The
parameters of a period therefore come from all observations of earlier periods, independent of how the input was batched. After a restart
the builder is called with every tenant's counts before the first batch, which fills the store again.

With several processes each uses what its own estimators published, and the catalog's priors for other tenants. With several workers in a
process an observation may arrive after its boundary; it then counts at the next.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from threading import RLock
from typing import Final

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from operators.track import Tracked
from state.catalog.plan import Plan
from state.records.facts import StepStatisticFact
from state.stuck.estimator import Estimator, new_estimator, restore_estimator
from state.stuck.observations import EpisodeObservation
from state.stuck.parameters import Parameters, ParameterStore

_in_time = attrgetter("at")


class LockedEstimator:
    """An estimator with a lock: threads of other workers read its parameters while its own thread changes its counts."""

    def __init__(self, estimator: Estimator) -> None:
        """Takes ownership of ``estimator``."""
        self._estimator: Final = estimator
        self._lock: Final = RLock()

    def parameters(self, period: int) -> Parameters:
        """See ``Estimator``."""
        with self._lock:
            return self._estimator.parameters(period)

    def learn(self, observation: EpisodeObservation) -> list[StepStatisticFact]:
        """See ``Estimator``."""
        with self._lock:
            return self._estimator.learn(observation)

    def encode(self) -> bytes:
        """See ``Estimator``."""
        with self._lock:
            return self._estimator.encode()


class Estimated:
    """What ``estimate`` emits at the end of a period: the statistics published."""

    __slots__ = ("rows",)

    def __init__(self, rows: list[StepStatisticFact]) -> None:
        self.rows = rows


class EstimateLogic(StatefulBatchLogic[EpisodeObservation, Estimated, bytes]):
    """One estimator in the dataflow. It emits the published statistics whenever a period ends."""

    def __init__(self, plan: Plan, parameters: ParameterStore, resume_state: bytes | None) -> None:
        """Called for the first observation of a tenant, and after a restart for every tenant in the recovery store."""
        self._plan, self._parameters = plan, parameters
        self._estimator: LockedEstimator | None = None
        if resume_state is not None:
            estimator = restore_estimator(plan, resume_state)
            self._estimator = LockedEstimator(estimator)
            parameters.publish(estimator.tenant, self._estimator)

    @override
    def on_batch(self, values: list[EpisodeObservation]) -> tuple[list[Estimated], bool]:
        values.sort(key=_in_time)  # Bytewax emits people in order of their keys
        facts: list[StepStatisticFact] = []
        for observation in values:
            if self._estimator is None:
                self._estimator = LockedEstimator(new_estimator(self._plan, observation.tenant))
                self._parameters.publish(observation.tenant, self._estimator)
            facts += self._estimator.learn(observation)
        return ([Estimated(facts)] if facts else []), False

    @override
    def snapshot(self) -> bytes:
        assert self._estimator is not None, "an estimator exists from the first observation on"
        return self._estimator.encode()


def estimate_logic(plan: Plan, parameters: ParameterStore) -> Callable[[bytes | None], EstimateLogic]:
    """Builder for ``stateful_batch``."""
    return lambda resume_state: EstimateLogic(plan, parameters, resume_state)


def estimate_step(step_id: str, up: Stream[Tracked], plan: Plan, parameters: ParameterStore) -> KeyedStream[Estimated]:
    """Route observations to the estimators of their tenants, which publish in ``parameters``."""

    def route(batch: list[Tracked]) -> list[tuple[str, EpisodeObservation]]:
        return [(each.tenant, each) for tracked in batch for each in tracked.observations]

    return op.stateful_batch(step_id, op.flat_map_batch(f"{step_id}_route", up, route), estimate_logic(plan, parameters))
