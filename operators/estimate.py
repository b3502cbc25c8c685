"""estimate: one estimator for each tenant learns step durations and the score, and publishes them for ``track``.

The graph has no loop: parameters are published in a store of this process (``state/stuck/parameters.py``), and ``track`` reads them at the
next boundary of log time. Sources end a batch at every boundary, and on one worker a batch is drained before the next is requested. The
parameters of a period therefore come from all observations of earlier periods, independent of how the input was batched. After a restart
the builder is called with every tenant's counts before the first batch, which fills the store again.

With several workers in a process an observation may arrive after its boundary; it then counts at the next. With several processes
``operators/share.py`` brings what an estimator published to the others.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import chain
from operator import attrgetter
from threading import RLock
from typing import Final

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from operators.lanes import by_key
from operators.track import Tracked
from state.catalog.by_tenant import Plans
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
    """What ``estimate`` emits at the end of a period: the statistics published, and the parameters of a tenant for other processes."""

    __slots__ = ("published", "rows", "tenant")

    def __init__(self, rows: list[StepStatisticFact], tenant: str, published: Parameters) -> None:
        self.rows, self.tenant, self.published = rows, tenant, published


class EstimateLogic(StatefulBatchLogic[list[EpisodeObservation], Estimated, bytes]):
    """One estimator in the dataflow. It emits the published statistics whenever a period ends."""

    def __init__(self, plans: Plans, parameters: ParameterStore, resume_state: bytes | None, *, shared: bool = False) -> None:
        """Called for the first observation of a tenant, and after a restart for every tenant in the recovery store.

        ``shared``: other processes, which know nothing after a start, are told at once.
        """
        self._plans, self._parameters = plans, parameters
        self._estimator: LockedEstimator | None = None
        self._tenant = ""
        self._untold = shared and resume_state is not None
        if resume_state is not None:
            self._begin(restore_estimator(plans.of, resume_state))

    @override
    def on_batch(self, values: list[list[EpisodeObservation]]) -> tuple[list[Estimated], bool]:
        facts: list[StepStatisticFact] = []
        for observation in sorted(chain.from_iterable(values), key=_in_time):  # Bytewax emits people in order of their keys
            estimator = self._estimator or self._begin(new_estimator(self._plans.of(observation.tenant), observation.tenant))
            facts += estimator.learn(observation)
        return (self._published(facts) if facts else []), False

    @override
    def notify_at(self) -> datetime | None:
        return datetime.now(UTC) if self._untold else None

    @override
    def on_notify(self) -> tuple[list[Estimated], bool]:
        self._untold = False
        return self._published([]), False

    @override
    def snapshot(self) -> bytes:
        assert self._estimator is not None, "an estimator exists from the first observation on"
        return self._estimator.encode()

    def _begin(self, estimator: Estimator) -> LockedEstimator:
        locked = self._estimator = LockedEstimator(estimator)
        self._tenant = estimator.tenant
        self._parameters.publish(estimator.tenant, locked)
        return locked

    def _published(self, rows: list[StepStatisticFact]) -> list[Estimated]:
        assert self._estimator is not None, "what was learned is in an estimator"
        in_force = self._estimator.parameters(-1)  # before the first period, so that none ends by the question
        return [Estimated(rows, self._tenant, in_force)] if in_force.version else []


def estimate_logic(plans: Plans, parameters: ParameterStore, *, shared: bool = False) -> Callable[[bytes | None], EstimateLogic]:
    """Builder for ``stateful_batch``."""
    return lambda resume_state: EstimateLogic(plans, parameters, resume_state, shared=shared)


def estimate_step(
    step_id: str, up: Stream[Tracked], plans: Plans, parameters: ParameterStore, *, shared: bool = False
) -> KeyedStream[Estimated]:
    """Route observations to the estimators of their tenants, which publish in ``parameters``. ``shared``: the step ``share`` follows."""

    def route(batch: list[Tracked]) -> list[tuple[str, list[EpisodeObservation]]]:
        return by_key((each.tenant, each) for tracked in batch for each in tracked.observations)

    return op.stateful_batch(step_id, op.flat_map_batch(f"{step_id}_route", up, route), estimate_logic(plans, parameters, shared=shared))
