"""Estimates the step statistics of one tenant: counts observations by period, and fits parameters to the counts of earlier periods.

The parameters in force are a function of the counts, so a snapshot holds only counts: those of the *closed* periods, merged and discounted,
and those of the *open* one, the period of the latest observation. The first observation of a later period closes the open one. A reader
that needs the parameters of a later period before that gets the same values, computed in advance. Observations that arrive after their
period was closed (from a partition whose log time lags) are counted in the open one.
"""

from __future__ import annotations

from typing import Final

import msgspec

from state.catalog.plan import Plan
from state.records.facts import StepStatisticFact
from state.stuck.observations import EpisodeObservation
from state.stuck.parameters import PERIOD, Parameters, prior
from state.stuck.score import LAST_CHECKPOINT, checkpoint_of, fit
from state.stuck.survival import EDGES, CohortCounts, bin_of, estimate

VERSION: Final = 1
MOST_CELLS: Final = 8_192
"""Cells kept at most. Beyond it, those of least weight are deleted; those of the last checkpoint, which set the threshold, last."""
_MIN_CELL_WEIGHT: Final = 0.02
_json = msgspec.json.Encoder()


Entered = dict[str, dict[int, float]]
Cells = dict[str, dict[int, tuple[float, float]]]
Ended = dict[str, dict[int, dict[int, tuple[float, float]]]]


class EpisodeCounts(msgspec.Struct, array_like=True):
    """Counts of episodes. Those of guided people are in ``guided_entered`` and ``guided_ended``.

    ``entered``: step → cohort → people who began. ``ended``: step → cohort → bin → completions and censored people. ``cells``: step → row →
    episodes completed within the horizon, and not. Within a period counts are whole numbers, so sums do not depend on the order of
    observations.
    """

    entered: Entered = {}
    ended: Ended = {}
    guided_entered: Entered = {}
    guided_ended: Ended = {}
    cells: Cells = {}
    maturing: dict[int, Cells] = {}
    """Cohort → its cells, until the horizon has passed for everyone in it. People who complete the step are known before those who do not;
    counted at once, they would bias the rate upwards."""


class EstimatorState(msgspec.Struct, array_like=True):
    """The snapshot of an estimator. Periods are numbered from 1970 on; -1 where there was none."""

    version: int
    tenant: str
    closed: EpisodeCounts
    closed_period: int = -1
    open: EpisodeCounts | None = None
    open_period: int = -1


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(EstimatorState)


class EstimatorError(Exception):
    """The snapshot of an estimator cannot be read: a newer release wrote it, or it is damaged."""


class Estimator:
    """The estimator of one tenant. Only ``learn`` changes its counts."""

    def __init__(self, plan: Plan, state: EstimatorState) -> None:
        """Continue from ``state``."""
        self._plan: Final = plan
        self._state: Final = state
        self._in_force: Parameters | None = None
        self._upcoming: Parameters | None = None

    @property
    def tenant(self) -> str:
        """Tenant of the steps."""
        return self._state.tenant

    def parameters(self, period: int) -> Parameters:
        """The parameters in force in ``period``."""
        state = self._state
        if state.open is not None and period > state.open_period:
            if self._upcoming is None:
                self._upcoming = self._estimate(self._with_open_period(), state.open_period)
            return self._upcoming
        if self._in_force is None:
            self._in_force = prior(self._plan) if state.closed_period < 0 else self._estimate(state.closed, state.closed_period)
        return self._in_force

    def learn(self, observation: EpisodeObservation) -> list[StepStatisticFact]:
        """Count an observation. Return the rows to publish where it closed a period.

        Observations of different periods must come in order of time.
        """
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
        """The rows of published ``parameters``."""
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
        """Encode the counts."""
        return _encoder.encode(self._state)

    def _estimate(self, counts: EpisodeCounts, period: int) -> Parameters:
        until = (period + 1) * PERIOD
        held_out, guided = CohortCounts(counts.entered, counts.ended), CohortCounts(counts.guided_entered, counts.guided_ended)
        curves = estimate(self._plan, held_out, guided, until, PERIOD)
        return Parameters(period + 1, curves, fit(self._plan, counts.cells))

    def _with_open_period(self) -> EpisodeCounts:
        """The counts of the closed periods, discounted, together with those of the open one."""
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
                if step not in horizons:  # an earlier catalog had it
                    continue
                matured = (cohort + 1) * PERIOD + horizons[step].horizon <= until
                counted = (cells if matured else maturing.setdefault(cohort, {})).setdefault(step, {})
                for row, pair in added.items():
                    counted[row] = _add(counted.get(row), pair)
        return EpisodeCounts(
            entered=_entered(state.closed.entered, state.open.entered, oldest),
            ended=_ended(state.closed.ended, state.open.ended, oldest),
            guided_entered=_entered(state.closed.guided_entered, state.open.guided_entered, oldest),
            guided_ended=_ended(state.closed.guided_ended, state.open.guided_ended, oldest),
            cells=_limited(cells),
            maturing=maturing,
        )


def new_estimator(plan: Plan, tenant: str) -> Estimator:
    """An estimator without observations."""
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
