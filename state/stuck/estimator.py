"""Learns from the observations of one tenant: counts them by period, and makes parameters of what was counted in earlier periods.

What is in force is a function of the counts alone, so that a snapshot is nothing but counts. They consist of the *closed* periods, merged
and faded, and of the *open* one, the last of which a observation was heard. The first observation of a later period closes the open one; whoever
asks for a later period before that gets what closing it will give. Observations that come after their period was closed (from a partition
whose time is behind) count for the open one.
"""

from __future__ import annotations

from typing import Final

import msgspec

from state.catalog.plan import Plan
from state.records.facts import StepStatisticFact
from state.stuck.observations import EpisodeObservation
from state.stuck.parameters import PERIOD, Parameters, prior
from state.stuck.score import LAST_CHECKPOINT, fit, checkpoint_of
from state.stuck.survival import EDGES, CohortCounts, bin_of, estimate

VERSION: Final = 1
MOST_CELLS: Final = 8_192
"""Cells kept at most. Beyond it those that weigh least are forgotten; those of the last checkpoint, which set the threshold, last."""
_MIN_CELL_WEIGHT: Final = 0.02
_json = msgspec.json.Encoder()


Entered = dict[str, dict[int, float]]
Cells = dict[str, dict[int, tuple[float, float]]]
Ended = dict[str, dict[int, dict[int, tuple[float, float]]]]


class EpisodeCounts(msgspec.Struct, array_like=True):
    """Counts. ``entered``: step → cohort → how many; ``ended``: step → cohort → bin → how many completed it and left; ``cells``: step → row
    → how many made it in time, and did not. Those of guided people are in ``guided_entered`` and ``guided_ended``.

    Within a period they are whole numbers, so that sums do not depend on the order in which observations come.
    """

    entered: Entered = {}
    ended: Ended = {}
    guided_entered: Entered = {}
    guided_ended: Ended = {}
    cells: Cells = {}
    maturing: dict[int, Cells] = {}
    """Cohort → its cells, as long as not everybody in it can be judged. Whoever makes it is known before those who do not: taken at once,
    they would make everybody look better than they are."""


class EstimatorState(msgspec.Struct, array_like=True):
    """What an estimator writes down. Periods are numbered from 1970 on; -1 where there was none."""

    version: int
    tenant: str
    closed: EpisodeCounts
    closed_period: int = -1
    open: EpisodeCounts | None = None
    open_period: int = -1


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(EstimatorState)


class EstimatorError(Exception):
    """The counts cannot be read: they were written by a newer release, or they are damaged."""


class Estimator:
    """The counts of one tenant. ``learn`` changes them; ``parameters`` never does."""

    def __init__(self, plan: Plan, state: EstimatorState) -> None:
        """Go on from ``state``."""
        self._plan: Final = plan
        self._state: Final = state
        self._in_force: Parameters | None = None
        self._upcoming: Parameters | None = None

    @property
    def tenant(self) -> str:
        """Whose steps these are."""
        return self._state.tenant

    def parameters(self, period: int) -> Parameters:
        """What is in force in ``period``."""
        state = self._state
        if state.open is not None and period > state.open_period:
            if self._upcoming is None:
                self._upcoming = self._estimate(self._with_open_period(), state.open_period)
            return self._upcoming
        if self._in_force is None:
            self._in_force = prior(self._plan) if state.closed_period < 0 else self._estimate(state.closed, state.closed_period)
        return self._in_force

    def learn(self, observation: EpisodeObservation) -> list[StepStatisticFact]:
        """Count a observation; return the rows to publish where it closed a period. Observations must come in order of time, but for a period's own."""
        state, facts = self._state, []
        period = observation.at // PERIOD
        if state.open is None:
            state.open, state.open_period = EpisodeCounts(), period
        elif period > state.open_period:
            parameters = self.parameters(period)
            state.closed, state.closed_period = self._with_open_period(), state.open_period
            state.open, state.open_period = EpisodeCounts(), period
            self._in_force = parameters
            facts = self.statistics(parameters)
        self._upcoming = None
        _count(state.open, observation)
        return facts

    def statistics(self, parameters: Parameters) -> list[StepStatisticFact]:
        """The rows of what was published."""
        at = parameters.version * PERIOD
        edges = tuple(float(edge) for edge in EDGES[1:-1])
        rows = [
            StepStatisticFact(
                tenant_id=self.tenant,
                step_id=step,
                parameters_version=parameters.version,
                horizon_ms=float(curve.horizon),
                median_ms=float(curve.median),
                completion_share=curve.share,
                episodes=curve.episodes,
                curve_ms=edges,
                survival=tuple(round(each, 6) for each in curve.survival[:-1]),
                weights="",
                learned_at=at,
                version=parameters.version,
            )
            for step, curve in parameters.curves.items()
            if curve.episodes > 0.0
        ]
        weights = _json.encode(parameters.model.weights()).decode()
        episodes = sum(curve.episodes for curve in parameters.curves.values())
        whole = StepStatisticFact(
            tenant_id=self.tenant,
            step_id="*",
            parameters_version=parameters.version,
            horizon_ms=0.0,
            median_ms=0.0,
            completion_share=0.0,
            episodes=episodes,
            curve_ms=(),
            survival=(),
            weights=weights,
            learned_at=at,
            version=parameters.version,
        )
        return [*rows, whole]

    def encode(self) -> bytes:
        """Write the counts down."""
        return _encoder.encode(self._state)

    def _estimate(self, counts: EpisodeCounts, period: int) -> Parameters:
        until = (period + 1) * PERIOD
        held_out, guided = CohortCounts(counts.entered, counts.ended), CohortCounts(counts.guided_entered, counts.guided_ended)
        curves = estimate(self._plan, held_out, guided, until, PERIOD)
        return Parameters(period + 1, curves, fit(self._plan, counts.cells))

    def _with_open_period(self) -> EpisodeCounts:
        """The closed periods with the open one."""
        state = self._state
        assert state.open is not None
        half_life = self._plan.catalog.learning.half_life
        discount = 2.0 ** (-(state.open_period - state.closed_period) * PERIOD / half_life) if state.closed_period >= 0 else 1.0
        oldest = state.open_period - round(EDGES[-2]) // PERIOD
        cells = {
            step: {row: (a * discount, b * discount) for row, (a, b) in of.items() if (a + b) * discount >= _MIN_CELL_WEIGHT}
            for step, of in state.closed.cells.items()
        }
        horizons = self.parameters(state.open_period).curves
        until = (state.open_period + 1) * PERIOD
        maturing: dict[int, Cells] = {}
        for cohort, by_step in [*sorted(state.closed.maturing.items()), *sorted(state.open.maturing.items())]:
            for step, added in by_step.items():
                if step not in horizons:  # a catalog of earlier knew it
                    continue
                matured = (cohort + 1) * PERIOD + horizons[step].horizon <= until
                counted = (cells if matured else maturing.setdefault(cohort, {})).setdefault(step, {})
                for row, pair in added.items():
                    counted[row] = _add(counted.get(row), pair)
        return EpisodeCounts(
            _entered(state.closed.entered, state.open.entered, oldest),
            _ended(state.closed.ended, state.open.ended, oldest),
            _entered(state.closed.guided_entered, state.open.guided_entered, oldest),
            _ended(state.closed.guided_ended, state.open.guided_ended, oldest),
            _limited(cells),
            maturing,
        )


def new_estimator(plan: Plan, tenant: str) -> Estimator:
    """An estimator that has seen nobody."""
    return Estimator(plan, EstimatorState(VERSION, tenant, EpisodeCounts()))


def restore_estimator(plan: Plan, snapshot: bytes) -> Estimator:
    """The estimator that wrote ``snapshot``. Raises ``EstimatorError``."""
    try:
        state = _decoder.decode(snapshot)
    except msgspec.DecodeError as error:
        raise EstimatorError(f"a tenant's step statistics are damaged: {error}") from error
    if state.version != VERSION:
        raise EstimatorError(
            f"a tenant's step statistics have version {state.version}, this release reads {VERSION}: start the release that wrote them"
        )
    return Estimator(plan, state)


def _entered(closed: Entered, added: Entered, oldest: int) -> Entered:
    merged = {step: {cohort: count for cohort, count in of.items() if cohort >= oldest} for step, of in closed.items()}
    for step, cohorts in added.items():
        target = merged.setdefault(step, {})
        for cohort, count in cohorts.items():
            target[cohort] = target.get(cohort, 0.0) + count
    return merged


def _ended(closed: Ended, added: Ended, oldest: int) -> Ended:
    merged = {step: {cohort: dict(bins) for cohort, bins in of.items() if cohort >= oldest} for step, of in closed.items()}
    for step, cohorts in added.items():
        target = merged.setdefault(step, {})
        for cohort, bins in cohorts.items():
            here = target.setdefault(cohort, {})
            for place, pair in bins.items():
                here[place] = _add(here.get(place), pair)
    return merged


def _add(counted: tuple[float, float] | None, added: tuple[float, float]) -> tuple[float, float]:
    first, second = counted or (0.0, 0.0)
    return first + added[0], second + added[1]


def _count(counts: EpisodeCounts, observation: EpisodeObservation) -> None:
    cohort = observation.since // PERIOD
    if observation.kind == "entered":
        entered = (counts.guided_entered if observation.guided else counts.entered).setdefault(observation.step, {})
        entered[cohort] = entered.get(cohort, 0) + 1
    elif observation.kind in ("completed", "censored"):
        bins = (counts.guided_ended if observation.guided else counts.ended).setdefault(observation.step, {}).setdefault(cohort, {})
        place = bin_of(observation.lasted)
        bins[place] = _add(bins.get(place), (1, 0) if observation.kind == "completed" else (0, 1))
    if observation.rows:
        cells = counts.maturing.setdefault(cohort, {}).setdefault(observation.step, {})
        for row in observation.rows:
            cells[row] = _add(cells.get(row), (0, 1) if observation.positive else (1, 0))


def _limited(cells: Cells) -> Cells:
    excess = sum(map(len, cells.values())) - MOST_CELLS
    if excess <= 0:
        return cells
    order = sorted((checkpoint_of(row) == LAST_CHECKPOINT, sum(pair), step, row) for step, of in cells.items() for row, pair in of.items())
    for _, _, step, row in order[:excess]:
        del cells[step][row]
    return cells
