"""What has been learned of a tenant's steps, as the fold reads it: immutable, numbered, in force from one boundary of log time to the next.

Log time is cut into periods of ``PERIOD``. What is in force in a period was made of the lessons of earlier periods and of nothing else, so
that a replay gives what the live run gave, however its input was batched. An event belongs to the period of its log time, a timer to that
of the moment before its deadline, since sources run timers up to a boundary before what comes at it.
"""

from __future__ import annotations

from typing import Final, Protocol

from state.catalog.plan import Plan
from state.duration import HOUR
from state.stuck.score import Model, prior_model
from state.stuck.survival import Curve, prior_curves

PERIOD: Final = 6 * HOUR


class Parameters:
    """What is in force: ``version`` is the period from which on it may be, 0 for what the catalog alone says."""

    __slots__ = ("curves", "model", "version")

    def __init__(self, version: int, curves: dict[str, Curve], model: Model) -> None:
        """Called by estimators; never changed afterwards."""
        self.version, self.curves, self.model = version, curves, model


class Publisher(Protocol):
    """Somebody who knows the parameters of one tenant."""

    def parameters(self, period: int) -> Parameters:
        """What is in force in ``period``."""
        ...


class ParameterStore:
    """Where the estimators of this process publish, and the fold reads. One for each flow object.

    A tenant whose estimator lives in another process, or has not been heard of yet, gets what the catalog says.
    """

    def __init__(self) -> None:
        """An empty board."""
        self._publishers: dict[str, Publisher] = {}
        self._priors: dict[str, Parameters] = {}

    def publish(self, tenant: str, publisher: Publisher) -> None:
        """Ask ``publisher`` for the parameters of ``tenant`` from now on."""
        self._publishers[tenant] = publisher

    def at(self, plan: Plan, tenant: str, log_time: int) -> Parameters:
        """What is in force for ``tenant`` at ``log_time``."""
        publisher = self._publishers.get(tenant)
        if publisher is None:
            known = self._priors.get(plan.version)
            if known is None:
                known = self._priors[plan.version] = prior(plan)
            return known
        return publisher.parameters(log_time // PERIOD)


def prior(plan: Plan) -> Parameters:
    """What the catalog says, before anybody has been seen."""
    return Parameters(0, prior_curves(plan), prior_model(plan))
