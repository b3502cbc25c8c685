"""The step statistics of a tenant, as the fold reads them: immutable, versioned, and constant within a period of log time.

Log time is cut into periods of ``PERIOD``. The parameters in force in a period are learned only from observations of earlier periods, so
a replay gives the same results as the live run, independent of how the input was batched. An event belongs to the period of its log time, a
timer to that of the millisecond before its deadline, since sources run timers up to a boundary before the events at it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

from state.catalog.evidence_weights import read as read_weights
from state.catalog.plan import CHECKS, SHORTEST_TIMER, Plan
from state.duration import MINUTE
from state.stuck.completion_times import CompletionTimes
from state.stuck.operating_point import FIRST_THRESHOLD, OperatingPoint, Past, choose
from state.stuck.score import Score, ScoreLearner

PERIOD: Final = 30 * MINUTE
"""With six hours, horizons lag behind where more than some 500 people a day begin."""


class Parameters:
    """The parameters of one tenant. ``version`` is the first period in which they are in force, 0 for the catalog's priors.

    ``horizons``: step → milliseconds. ``settled``: the steps whose horizon follows from completions alone, with the number of people behind
    it, or which the catalog has from a fit to a log, with 0. ``finished``: step → completions that are kept. ``point``: the operating point
    of the alarms. ``lookahead``: no timer is due sooner than this after it was set, in milliseconds.
    """

    __slots__ = ("finished", "horizons", "lookahead", "point", "score", "settled", "version")

    def __init__(
        self,
        plan: Plan,
        version: int,
        horizons: dict[str, int],
        settled: Mapping[str, int],
        score: Score,
        point: OperatingPoint,
        finished: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Called by estimators. Immutable afterwards."""
        self.lookahead = max(SHORTEST_TIMER, min(plan.lookahead, min(horizons.values()) // CHECKS))
        self.version, self.horizons, self.settled, self.score, self.point = version, horizons, settled, score, point
        self.finished = finished


class Publisher(Protocol):
    """Provides the parameters of one tenant."""

    def parameters(self, period: int) -> Parameters:
        """The parameters in force in ``period``."""
        ...


class _Received:
    """Publishes what an estimator of another process has learned."""

    __slots__ = ("newest",)

    def __init__(self, newest: Parameters) -> None:
        self.newest = newest

    def parameters(self, period: int) -> Parameters:  # noqa: ARG002 - the newest is in force, as with an estimator
        return self.newest


class ParameterStore:
    """Where the estimators of a process publish their parameters, and the fold reads them. One for each flow object.

    A tenant whose estimator is in another process gets what came from there last, and before that the catalog's priors.
    """

    def __init__(self) -> None:
        """An empty store."""
        self._publishers: dict[str, Publisher] = {}
        self._in_force: dict[str, tuple[int, int, Parameters]] = {}
        self._priors: dict[Plan, Parameters] = {}

    def publish(self, tenant: str, publisher: Publisher) -> None:
        """Read the parameters of ``tenant`` from ``publisher`` from now on."""
        self._publishers[tenant] = publisher
        self._in_force.pop(tenant, None)

    def receive(self, tenant: str, parameters: Parameters) -> None:
        """Take what the estimator of ``tenant`` published in another process. It follows the priors at once, and what came before it in the
        next period that begins here.

        Nothing is changed where the estimator is in this process, or where something as new is there. From any thread.
        """
        known = self._publishers.get(tenant)
        if known is None:
            self._publishers[tenant] = _Received(parameters)
        elif isinstance(known, _Received) and known.newest.version < parameters.version:
            known.newest = parameters

    def at(self, plan: Plan, tenant: str, log_time: int) -> Parameters:
        """The parameters in force for ``tenant`` at ``log_time``. The publisher is asked once for the period, not for each event."""
        known = self._in_force.get(tenant)
        if known is not None and known[0] <= log_time < known[1]:
            return known[2]
        publisher = self._publishers.get(tenant)
        if publisher is None:
            return self._priors.get(plan) or self._prior(plan)
        begins = log_time - log_time % PERIOD
        found = publisher.parameters(log_time // PERIOD)
        self._in_force[tenant] = begins, begins + PERIOD, found
        return found

    def points(self) -> dict[str, OperatingPoint]:
        """Tenant with an estimator → operating point with which its users were last judged. From any thread; nothing is learned."""
        return {tenant: found.point for tenant, (_, _, found) in tuple(self._in_force.items())}

    def lookahead(self, plans: Iterable[Plan], log_time: int) -> int:
        """For how long after ``log_time`` no timer is due that is set from then on, in milliseconds: a batch may extend that far.

        ``plans`` are those of all tenants.
        """
        period = log_time // PERIOD
        learned = [each.parameters(period).lookahead for each in tuple(self._publishers.values())]
        return min([*(self._prior(plan).lookahead for plan in plans), *learned])

    def _prior(self, plan: Plan) -> Parameters:
        known = self._priors.get(plan)
        if known is None:
            known = self._priors[plan] = prior(plan)
        return known


def prior(plan: Plan) -> Parameters:
    """The catalog's priors, in force before any observation."""
    horizons = {step: CompletionTimes().horizon(expected_horizon(plan, step), 0) for step in plan.steps}
    learner = ScoreLearner()
    for step, shares in fitted(plan).items():
        learner.begin(step, shares)
    begin_evidence(learner, plan)
    return Parameters(plan, 0, horizons, dict.fromkeys(fitted(plan), 0), learner.score(), choose_operating_point([], plan))


def fitted(plan: Plan) -> Mapping[str, Sequence[float]]:
    """Step → its shares of stuck people, where the catalog has them from an earlier log: such a step's ``usual`` is its horizon."""
    return {each.id: each.waiting for each in plan.catalog.steps if each.waiting is not None and each.usual is not None}


def replaceable(plan: Plan) -> Mapping[str, Sequence[float]]:
    """Those of ``fitted`` whose horizon gives way to enough completions, whatever it is: where nobody is guided."""
    return fitted(plan) if plan.observing else {}


def begin_evidence(learner: ScoreLearner, plan: Plan) -> None:
    """Begin with what the catalog knows of evidence from an earlier log."""
    evidence = plan.triggers.evidence
    if evidence is not None:
        learner.begin_evidence(read_weights(evidence.weights), evidence.trust)


def choose_operating_point(past: list[Past], plan: Plan) -> OperatingPoint:
    """The thresholds from past episodes; while they are few, those of the catalog."""
    triggers = plan.triggers
    first = (triggers.alarm_at.early, triggers.alarm_at.last) if triggers.alarm_at is not None else (FIRST_THRESHOLD, FIRST_THRESHOLD)
    return choose(past, triggers.precision, triggers.precision_floor, first, asked_in_session=triggers.precision_in_session)


def expected_horizon(plan: Plan, step: str) -> float:
    """The horizon that the catalog expects: the step's ``usual``, else twice ``stuck:inactive.after``, scaled for longer steps.

    Calendar time grows slower than active time: with the fourth root of ``typical``, by at most a factor of two either way.
    """
    usual = plan.steps[step].usual
    if usual:
        return float(usual)
    typical = sorted(each.typical for each in plan.catalog.steps)
    middle = typical[len(typical) // 2]
    factor = min(max((plan.steps[step].typical / middle) ** 0.25, 0.5), 2.0)
    return float(2.0 * plan.triggers.inactive.after * factor)
