"""The step statistics of a tenant, as the fold reads them: immutable, versioned, and constant within a period of log time.

Log time is cut into periods of ``PERIOD``. The parameters in force in a period are estimated only from observations of earlier periods, so
a replay gives the same results as the live run, independent of how the input was batched. An event belongs to the period of its log time, a
timer to that of the millisecond before its deadline, since sources run timers up to a boundary before the events at it.
"""

from __future__ import annotations

from typing import Final, Protocol

from state.catalog.plan import Plan
from state.duration import HOUR
from state.stuck.score import Model, prior_model
from state.stuck.survival import Curve, prior_curves

PERIOD: Final = 6 * HOUR


class Parameters:
    """The parameters of one tenant. ``version`` is the first period in which they are in force, 0 for the catalog's priors."""

    __slots__ = ("curves", "model", "version")

    def __init__(self, version: int, curves: dict[str, Curve], model: Model) -> None:
        """Called by estimators. Immutable afterwards."""
        self.version, self.curves, self.model = version, curves, model


class Publisher(Protocol):
    """Provides the parameters of one tenant."""

    def parameters(self, period: int) -> Parameters:
        """The parameters in force in ``period``."""
        ...


class ParameterStore:
    """Where the estimators of a process publish their parameters, and the fold reads them. One for each flow object.

    A tenant without an estimator in this process gets the catalog's priors.
    """

    def __init__(self) -> None:
        """An empty store."""
        self._publishers: dict[str, Publisher] = {}
        self._priors: dict[str, Parameters] = {}

    def publish(self, tenant: str, publisher: Publisher) -> None:
        """Read the parameters of ``tenant`` from ``publisher`` from now on."""
        self._publishers[tenant] = publisher

    def at(self, plan: Plan, tenant: str, log_time: int) -> Parameters:
        """The parameters in force for ``tenant`` at ``log_time``."""
        publisher = self._publishers.get(tenant)
        if publisher is None:
            known = self._priors.get(plan.version)
            if known is None:
                known = self._priors[plan.version] = prior(plan)
            return known
        return publisher.parameters(log_time // PERIOD)


def prior(plan: Plan) -> Parameters:
    """The catalog's priors, in force before any observation."""
    return Parameters(0, prior_curves(plan), prior_model(plan))
