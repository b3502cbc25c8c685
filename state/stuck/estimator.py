"""Learns the step statistics of one tenant from how episodes ended, and publishes them at boundaries of log time.

Observations wait until enough new ones came (``ENOUGH_NEW``) and their period has ended; then they are learned together, in an order that
does not depend on how they arrived. The parameters in force are a function of what was learned, so a snapshot
need not hold them. A boundary after which nothing happened costs nothing.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any, Final

import msgspec

from state.catalog.plan import Plan
from state.other_version import other_version
from state.records.facts import StepStatisticFact
from state.stuck import operating_point
from state.stuck.completion_times import CURVE, CompletionTimes, level_of
from state.stuck.first_episodes import FirstEpisodes
from state.stuck.observations import BEGUN, CENSORED, COMPLETED, WAITING, EpisodeObservation
from state.stuck.operating_point import OperatingPoint, Past
from state.stuck.parameters import (
    PERIOD,
    Parameters,
    begin_evidence,
    choose_operating_point,
    expected_horizon,
    fitted,
    prior,
    replaceable,
)
from state.stuck.row import with_packed_features
from state.stuck.score import ScoreLearner, bucket_at, last_look
from state.stuck.score_state import ScoreState

VERSION: Final = 3
ENOUGH_NEW: Final = 20
"""Observations after which new parameters are worth their cost. With a twentieth of what is known, up to 60, horizons lag behind, and 0.73
of the alarms in the permit log are right instead of 0.81; with 1 it follows the calendar."""
_PART_OF_PAST: Final = 10
"""A tenth of the past episodes must be new before the operating point is chosen from all of them again. A twentieth finds no more
(`benchmarks.measure --seeds 500-507 --users 2000 --days 21 --history 1500`)."""
MOST_WAITING: Final = 4_096
"""Episodes kept at most until it is known for their contemporaries whether they were stuck. Above it, half of all episodes are left out."""
_MOST_THINNINGS: Final = 30
_json = msgspec.json.Encoder()


class EstimatorState(msgspec.Struct, array_like=True):
    """The snapshot of an estimator. Periods are numbered from 1970 on; -1 where there was none.

    ``settled``: steps of which an episode with a settled horizon has ended; those that began before no longer count.
    ``fresh``: observations not learned yet. ``waiting``: those whose contemporaries are not all known. ``thinning``: from
    a time on, of 2 ** n episodes that began, one is learned. It holds for all who began together, however their episodes end.
    ``unread``: how many of ``past``, the last ones, the operating point does not know yet; it is kept until they are enough.
    ``unpublished``: whether rows of the parameters in force are still to come, with the next observation. ``first``: by step, the episodes
    that began before the horizon was learned. ``fitted_until``: by step, when completions contradicted a fit; its horizon is that of who
    began before.
    """

    version: int
    tenant: str
    times: dict[str, CompletionTimes] = {}
    score: ScoreState = msgspec.field(default_factory=ScoreState)
    past: list[Past] = []
    ended: dict[str, list[int]] = {}
    settled: list[str] = []
    learned_period: int = -1
    fresh: list[EpisodeObservation] = []
    fresh_period: int = -1
    waiting: list[EpisodeObservation] = []
    thinning: list[tuple[int, int]] = []
    unread: int = 0
    unpublished: bool = False
    first: dict[str, FirstEpisodes] = {}
    fitted_until: dict[str, int] = {}


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(EstimatorState)


class EstimatorError(Exception):
    """The snapshot of an estimator cannot be read: another release wrote it, or it is damaged."""


class Estimator:
    """The estimator of one tenant."""

    def __init__(self, plan: Plan, state: EstimatorState) -> None:
        """Continue from ``state``."""
        self._plan: Final = plan
        self._state: Final = state
        self._expected: Final = {step: expected_horizon(plan, step) for step in plan.steps}
        self._replaceable: Final = replaceable(plan)
        self._learner: Final = ScoreLearner(state.score)
        for step, shares in fitted(plan).items():
            if step not in state.score.shares:
                self._learner.begin(step, shares)
                state.settled.append(step)
        begin_evidence(self._learner, plan)
        self._in_force: Parameters | None = None
        self._point: OperatingPoint | None = None

    @property
    def learner(self) -> ScoreLearner:
        """What was learned of the score."""
        return self._learner

    @property
    def tenant(self) -> str:
        """Tenant of the steps."""
        return self._state.tenant

    def parameters(self, period: int) -> Parameters:
        """The parameters in force in ``period``. No observation of an earlier period may follow."""
        state = self._state
        if period > state.fresh_period >= 0 and len(state.fresh) >= ENOUGH_NEW:
            self._learn_fresh()
        if self._in_force is None:
            self._in_force = prior(self._plan) if state.learned_period < 0 else self._parameters()
        return self._in_force

    def learn(self, observation: EpisodeObservation) -> list[StepStatisticFact]:
        """Take an observation. Return the rows to publish where parameters have changed.

        Observations of different periods must come in order of time. One that comes after its period has ended counts in the next.
        """
        if observation.end in (BEGUN, CENSORED):
            first = self._state.first.setdefault(observation.step, FirstEpisodes())
            (first.begin if observation.end == BEGUN else first.drop)(observation.since, guided=observation.guided)
            return []
        period = max(observation.at // PERIOD, self._state.fresh_period)
        parameters = self.parameters(period)
        facts: list[StepStatisticFact] = []
        if self._state.unpublished:
            self._state.unpublished, facts = False, self.statistics(parameters)
        self._state.fresh_period = period
        self._state.fresh.append(observation)
        return facts

    def statistics(self, parameters: Parameters) -> list[StepStatisticFact]:
        """The rows of published ``parameters``."""
        at, score, point = parameters.version * PERIOD, parameters.score, parameters.point
        rows = []
        for step, horizon in parameters.horizons.items():
            times, ended = self._state.times.get(step), self._state.ended.get(step)
            if times is None or ended is None:
                continue
            share = 1.0 - score.time_alone(step, 0)
            rows.append(
                StepStatisticFact(
                    tenant_id=self.tenant,
                    step_id=step,
                    parameters_version=parameters.version,
                    horizon_ms=float(horizon),
                    median_ms=float(times.median(self._expected[step], at)),
                    completion_share=share,
                    episodes=float(sum(ended)),
                    curve_ms=times.curve,
                    survival=tuple(round(1.0 - share * each, 6) for each in CURVE),
                    weights="",
                    learned_at=at,
                    version=parameters.version,
                )
            )
        summary = {
            "threshold": round(point.last, 4) if point.alarms else None,
            "earlyThreshold": round(point.early, 4) if point.alarms else None,
            "thresholdInSession": round(point.in_session, 4) if point.in_session < math.inf else None,
            "askedPrecision": self._plan.triggers.precision,
            "askedPrecisionInSession": self._plan.triggers.precision_in_session,
            "precision": round(point.precision, 4),
            "recall": round(point.recall, 4),
            "reachable": point.reachable,
            "episodes": point.episodes,
            "trust": [round(each, 3) for each in score.trust],
            "shares": {step: [round(each, 4) for each in shares] for step, shares in score.shares.items()},
        }
        whole = StepStatisticFact(
            tenant_id=self.tenant,
            step_id="*",
            parameters_version=parameters.version,
            horizon_ms=0.0,
            median_ms=0.0,
            completion_share=0.0,
            episodes=float(sum(map(sum, self._state.ended.values()))),
            curve_ms=(),
            survival=(),
            weights=_json.encode(summary).decode(),
            learned_at=at,
            version=parameters.version,
        )
        return [*rows, whole]

    def encode(self) -> bytes:
        """Encode what was learned."""
        self._state.score = self._learner.state()
        return _encoder.encode(self._state)

    def _learn_fresh(self) -> None:
        """Learn all fresh observations: their period has ended."""
        state = self._state
        until = (state.fresh_period + 1) * PERIOD
        for each in sorted(state.fresh, key=_in_order):
            if each.end == COMPLETED:
                state.times.setdefault(each.step, CompletionTimes()).add(each.lasted, each.since, unaided=not each.guided)
            if each.end != WAITING and each.step in state.first:
                state.first[each.step].end(each.since, each.lasted, guided=each.guided)
            if not each.matured and self._kept(each):
                state.waiting.append(each)
        self._judge_again(until)
        known: list[EpisodeObservation] = []
        waiting: list[EpisodeObservation] = []
        for each in state.waiting:
            (known if each.since + each.horizon <= until else waiting).append(each)
        known.sort(key=_in_order_known)
        state.waiting = waiting
        while len(state.waiting) > MOST_WAITING:
            state.thinning = [(since, of + 1) for since, of in state.thinning or [(0, 0)]]
            state.waiting = [each for each in state.waiting if self._kept(each)]
        if state.thinning and state.thinning[-1][1] and len(state.waiting) < MOST_WAITING // 4:
            state.thinning = [*state.thinning[-_MOST_THINNINGS:], (until, state.thinning[-1][1] - 1)]
        for each in known:
            self._learn_one(each)
        if state.unread >= self._enough_unread:
            state.unread, self._point = 0, None
        del state.past[: -operating_point.KEPT - state.unread]
        state.fresh, state.learned_period = [], state.fresh_period
        self._in_force, state.unpublished = None, True

    @property
    def _enough_unread(self) -> int:
        """Past episodes after which the operating point is chosen again."""
        return max(ENOUGH_NEW, len(self._state.past) // _PART_OF_PAST)

    def _learn_one(self, each: EpisodeObservation) -> None:
        state, unaided = self._state, not each.guided
        if each.settled and each.since < state.fitted_until.get(each.step, 0):
            return
        if each.settled and each.step not in state.settled:
            state.settled.append(each.step)
            state.unread = self._enough_unread
        elif not each.settled and each.step in state.settled:
            return
        ended = state.ended.setdefault(each.step, [0, 0])
        ended[each.stuck] += 1
        counts = each.settled or each.step not in state.first or not state.first[each.step].horizon
        if counts:
            self._learner.enter(each.step, stuck=each.stuck, unaided=unaided)
        if each.rows:
            self._learner.learn(each.step, each.rows, stuck=each.stuck, unaided=unaided, counts=counts)
        if each.rows and each.step not in self._plan.without_alarms:
            latest = last_look(settled=each.settled)
            state.unread += 1
            state.past.append(
                Past(
                    tuple(row.said for row in each.rows if row.bucket < latest),
                    tuple(row.said for row in each.rows if row.bucket == latest),
                    each.stuck,
                    unaided,
                    "" if each.settled else each.step,
                    tuple(row.said for row in each.rows if row.in_session and row.bucket <= latest),
                    each.step,
                )
            )

    def _judge_again(self, until: int) -> None:
        """Count the first episodes of steps whose horizon is learned, as far as their end within it is known at ``until``."""
        for step, first in self._state.first.items():
            settled = step in self._state.settled
            if not first.horizon and (not settled or step in self._replaceable):
                first.horizon = self._learned_horizon(step, until)
                if first.horizon and settled and not self._state.times[step].contradict(self._expected[step], until):
                    first.episodes.clear()
                elif first.horizon:
                    self._learner.begin_anew(step)
                    if settled:
                        self._state.fitted_until[step] = until
            if first.horizon:
                for lasted, guided in first.take(until):
                    stuck = lasted > first.horizon
                    self._learner.count(step, bucket_at(lasted, first.horizon), stuck=stuck, unaided=not guided)

    def _kept(self, each: EpisodeObservation) -> bool:
        of = next((of for since, of in reversed(self._state.thinning) if each.since >= since), 0)
        return not of or zlib.crc32(f"{each.step} {each.since}".encode()) >> 8 & (1 << of) - 1 == 0

    def _known_times(self) -> tuple[dict[str, tuple[CompletionTimes, float]], float]:
        """The completion times of each step beside what the catalog expects, and the level of all steps."""
        state = self._state
        known = {step: (state.times.get(step, CompletionTimes()), expected) for step, expected in self._expected.items()}
        return known, level_of(times for times, _ in known.values())

    def _learned_horizon(self, step: str, now: int) -> int:
        """The horizon of a step at log time ``now``; 0 where it does not follow from completions alone."""
        if step not in self._expected or not (times := self._state.times.get(step)):
            return 0
        expected = self._expected[step]
        return times.horizon(expected, now, self._known_times()[1]) if times.settled(expected, now) else 0

    def _parameters(self) -> Parameters:
        plan, state = self._plan, self._state
        has_history = fitted(plan)
        now = (state.learned_period + 1) * PERIOD
        known, level = self._known_times()
        horizons = {step: times.horizon(expected, now, level, fitted=step in has_history) for step, (times, expected) in known.items()}
        settled = {
            step: times.people for step, (times, expected) in known.items() if times.settled(expected, now, fitted=step in has_history)
        }
        finished = {step: times.people for step, (times, _) in known.items()}
        settled = dict.fromkeys(has_history, 0) | settled
        if self._point is None:
            past = [each for each in state.past[: len(state.past) - state.unread] if each.step not in plan.without_alarms]
            past = operating_point.current(past, state.settled)
            self._point = choose_operating_point(past, plan)
        return Parameters(plan, state.learned_period + 1, horizons, settled, self._learner.score(), self._point, finished)


def new_estimator(plan: Plan, tenant: str) -> Estimator:
    """An estimator without observations."""
    return Estimator(plan, EstimatorState(VERSION, tenant))


def restore_estimator(plan_of: Callable[[str], Plan], snapshot: bytes) -> Estimator:
    """The estimator that wrote ``snapshot``. ``plan_of`` returns the catalog of a tenant. Raises ``EstimatorError``."""
    try:
        state = _from_2(snapshot) or _decoder.decode(snapshot)
    except (ValueError, IndexError, TypeError) as error:
        raise EstimatorError(f"a tenant's step statistics are damaged: {error}") from error
    if state.version != VERSION:
        raise EstimatorError(other_version("the snapshot of a tenant's step statistics", state.version, VERSION))
    return Estimator(plan_of(state.tenant), state)


class _Head(msgspec.Struct, array_like=True):
    version: int


_head_decoder = msgspec.msgpack.Decoder(_Head)
_OBSERVATIONS: Final = tuple(EstimatorState.__struct_fields__.index(name) for name in ("fresh", "waiting"))
_ROWS: Final = EpisodeObservation.__struct_fields__.index("rows")


def _from_2(snapshot: bytes) -> EstimatorState | None:
    """Read version 2, where features were lists of numbers; None for another version."""
    if _head_decoder.decode(snapshot).version != 2:
        return None
    fields: list[Any] = msgspec.msgpack.decode(snapshot, type=list)
    for place in _OBSERVATIONS:
        for observation in fields[place] if place < len(fields) else ():
            observation[_ROWS] = [with_packed_features(row) for row in observation[_ROWS]]
    state: EstimatorState = msgspec.convert(fields, EstimatorState)
    state.version = VERSION
    return state


def _in_order_known(each: EpisodeObservation) -> tuple[int, int, str, int, int]:
    return each.known_at, each.since, each.step, each.end, each.lasted


def _in_order(each: EpisodeObservation) -> tuple[int, int, str, int, int]:
    return each.at, each.since, each.step, each.end, each.lasted
