"""The learner of one (tenant, trigger): a posterior over arms by step and segment, and the propensities that follow from it.

The policy is Thompson sampling with explicit probabilities. An arm's propensity is the posterior probability that it is the best arm, with
the posterior's standard deviation scaled by ``curiosity`` and an exploration floor applied. The choice is one draw from these propensities,
seeded by the decision's id, so the logged propensities are exactly the distribution of the draw (Thompson 1933; propensities for off-policy
evaluation as in Li et al. 2010, arXiv:1003.0146). The floor already explores; the full standard deviation on top would lower the reward.

The posterior is one regression (``state/decision/posterior.py``) over all contexts, refitted from time to time. When a refit is due depends
only on the number of outcomes learned. Between refits outcomes are collected in ``recent``; the next refit adds them to the cells. The
cells are therefore always those of the last fit, and a restored learner has the same posterior as before. Outcomes are discounted with
``half_life``: a new outcome is added with a weight that grows with time, so that old cells need not be rescaled at every step.

A success arrives when it happens, a failure only when its attribution window closes. Learning at once would overestimate recent decisions,
and new arms most of all. Therefore every outcome waits until its window would have closed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple

import msgspec

from state.decision.bandit_policy import BanditPolicy
from state.decision.posterior import Posterior
from state.decision.propensity import probability_best, with_floor_and_caps
from state.logistic_regression import Floats
from state.snapshot_codec import SnapshotCodec

MOST_CONTEXTS: Final = 20_000
"""Cells that a learner keeps. Segments come from user data, so their number is unbounded. Beyond this, outcomes in new cells are ignored.
"""

MIN_CELL_WEIGHT: Final = 0.01
"""Cells whose discounted weight is below this many outcomes are deleted."""

REFIT_SHARE: Final = 50
REFIT_SOON: Final = 10
REFIT_AT_MOST: Final = 250
"""Outcomes between refits: a fifth of those learned so far, up to ``REFIT_SOON``; later one in ``REFIT_SHARE``, up to ``REFIT_AT_MOST``."""

EFFECTS_PER_OUTCOME: Final = 4
"""A refit also waits until there is one outcome for this many effects of the last fit. A fit of 250 effects takes ten times as long as one
of 50, and ten outcomes say little about them. In worlds of 60 segments (``benchmarks.bandit_worlds --scenario cold``) that halves the time
and costs no reward."""

SLOW_DISCOUNT: Final = 8.0
"""Half-life of the ``slow`` cells, in half-lives of the posterior. They hold the evidence on harm: an arm that is chosen rarely must keep
its record until a check has enough of it."""

FAST_DISCOUNT: Final = 14.0
"""Half-life of the posterior, in half-lives of the ``fast`` cells. They hold the evidence of the last days, for change detection."""

CHANGE_THRESHOLD: Final = 4.0
"""Log likelihood ratio (in nats) at which a change is detected and older outcomes are discarded."""

HARM_CHECK_SHARE: Final = 0.05
"""Outcomes between two checks for harm, as a share of those learned so far. Checks close together would count the same evidence twice."""

_RESCALE_AT: Final = 2.0**40
_MAX_HALVINGS: Final = 500.0
_MAX_FAST_UNIT: Final = 2.0**70
_MAX_CACHED: Final = 20_000


class Cell(msgspec.Struct, gc=False, array_like=True):
    """Discounted successes and failures, in the learner's units. The half-life of ``slow_…`` is ``SLOW_DISCOUNT`` times as long, that of
    ``fast_…`` is ``FAST_DISCOUNT`` times as short. ``suspect_…`` are undiscounted counts since the change evidence was last zero.
    """

    successes: float = 0.0
    failures: float = 0.0
    slow_successes: float = 0.0
    slow_failures: float = 0.0
    fast_successes: float = 0.0
    fast_failures: float = 0.0
    suspect_successes: float = 0.0
    suspect_failures: float = 0.0


class Reward(msgspec.Struct, gc=False, array_like=True, frozen=True, order=True):
    """Success or failure of one decision that was shown. It counts from log time ``at`` on; ``number`` keeps the order of arrival."""

    at: int
    number: int
    arm: str
    context: str
    success: bool


class Learner(msgspec.Struct, gc=False, array_like=True):
    """State of one learner. Snapshots hold the fields in this order.

    ``version`` counts the outcomes learned. ``origin`` is the log time at which one observation has weight 1. Arms are keyed
    ``arm@version``, contexts ``arm@version|step|segment``. ``pending`` maps each open decision to its arm. ``recent`` holds the outcomes
    since the last fit, which was made at version ``fitted`` and log time ``fitted_at``. ``maturing`` is a heap of outcomes whose
    attribution windows are still open.

    ``trials`` counts the outcomes of each arm, undiscounted. ``newcomers`` are arms that appeared when others were established.
    ``harm_streaks`` counts the checks in a row at which an arm looked harmful; the last check was at version ``harm_checked``. ``stopped``
    holds the log time at which an arm was stopped for harm. ``half_life`` is the one that the units of the cells were computed with.
    ``change_evidence`` is the evidence that the posterior no longer holds, ``changes`` how often a change was detected. ``catalog`` is the
    version of the catalog whose promises it last recorded.
    """

    version: int = 0
    origin: int = 0
    contexts: dict[str, Cell] = {}
    pending: dict[str, str] = {}
    fitted: int = 0
    fitted_at: int = 0
    arrivals: int = 0
    recent: list[Reward] = []
    maturing: list[Reward] = []
    trials: dict[str, int] = {}
    newcomers: list[str] = []
    harm_streaks: dict[str, int] = {}
    stopped: dict[str, int] = {}
    harm_checked: int = 0
    half_life: int = 0
    change_evidence: float = 0.0
    changes: int = 0
    catalog: str = ""


LEARNER_CODEC: Final = SnapshotCodec(Learner, "a learner's snapshot", version=1)


class ArmStop(NamedTuple):
    """An arm that was stopped, with the figures of ``ArmStopFact``."""

    arm: str
    confidence: float
    rate: float
    others_rate: float
    outcomes: float


class FitResult(NamedTuple):
    """Result of the fit at ``version`` and log time ``at``. ``changed`` are the ``(arm, context)`` with new outcomes."""

    version: int
    at: int
    posterior: Posterior
    changed: list[tuple[str, str]]
    stops: list[ArmStop]


class Bandit:
    """A learner with its posterior. ``learner`` is the state that is written to snapshots; all else is derived from it."""

    def __init__(self, policy: BanditPolicy, learner: Learner) -> None:
        """Takes ownership of ``learner`` and changes it. After a restart the posterior equals the one before it."""
        self.learner: Final = learner
        self._policy: Final = policy
        self._logits: Final[dict[tuple[tuple[str, ...], str, float], tuple[Floats, Floats]]] = {}
        self._probabilities: Final[dict[tuple[tuple[str, ...], str, float], list[float]]] = {}
        self._convert_half_life()
        self.posterior = self._fit_posterior()

    def propensities(self, arms: Sequence[str], context: str, recovery: Sequence[float] = ()) -> tuple[float, ...]:
        """Probability of choosing each of ``arms`` (at least one) in ``context`` (``step|segment``); they sum to 1.

        ``recovery`` (parallel to ``arms``; empty: all 1) is how far the person has recovered from having seen each. None is below the
        exploration floor. A newcomer's propensity is capped while an established arm is eligible.
        """
        self._register_arms(arms)
        spread = self._spread(arms)
        key = (tuple(arms), context, spread)
        seen_recently = any(each < 1.0 for each in recovery)
        probabilities = None if seen_recently else self._probabilities.get(key)
        if probabilities is None:
            if len(self._logits) >= _MAX_CACHED:
                self._clear_caches()
            logits = self._logits.get(key)
            if logits is None:
                logits = self._logits[key] = self.posterior.logits(arms, context)
            mean, covariance = logits
            if seen_recently:
                mean = mean - [self._policy.repeat_penalty * (1.0 - each) for each in recovery]
            probabilities = probability_best(mean, covariance * spread**2)
            if not seen_recently:
                self._probabilities[key] = probabilities
        return with_floor_and_caps(probabilities, self._policy.exploration_floor, [self._cap(arm) for arm in arms])

    def observe(self, arm: str, context: str, success: bool, at: int, matures_at: int = 0) -> None:
        """Record that ``arm`` succeeded or failed in ``context`` at log time ``at``. It counts from ``matures_at`` on, if that is later."""
        learner = self.learner
        learner.arrivals += 1
        heappush(learner.maturing, Reward(max(at, matures_at), learner.arrivals, arm, context, success))

    def learn(self, now: int, live: Iterable[str]) -> list[FitResult]:
        """Learn all outcomes that have matured by log time ``now``, and refit whenever due. Only ``live`` arms may be stopped."""
        learner, fits = self.learner, list[FitResult]()
        while learner.maturing and learner.maturing[0].at <= now:
            outcome = heappop(learner.maturing)
            learner.recent.append(outcome)
            learner.version += 1
            self._register_arms([outcome.arm])
            learner.trials[outcome.arm] += 1
            if learner.version - learner.fitted >= self._refit_after():
                fits.append(self._fit(sorted(live)))
        return fits

    def _refit_after(self) -> int:
        """The number of outcomes since the last fit at which the next is due. It depends on the learner's state alone."""
        version, effects = self.learner.version, len(self.posterior.fit.effects)
        return max(min(version // 5, REFIT_SOON), min(version // REFIT_SHARE, REFIT_AT_MOST), effects // EFFECTS_PER_OUTCOME, 1)

    def _convert_half_life(self) -> None:
        """Convert the cells to the units of the catalog's half-life where that has changed. Their present weight stays the same."""
        learner, policy = self.learner, self._policy
        if learner.half_life not in (0, policy.half_life):
            unit = weight(learner, learner.half_life, learner.fitted_at)
            for cell in learner.contexts.values():
                _rescale(cell, unit)
            learner.origin, learner.half_life = learner.fitted_at, policy.half_life

    def _clear_caches(self) -> None:
        self._logits.clear()
        self._probabilities.clear()

    def _fit(self, live: list[str]) -> FitResult:
        learner = self.learner
        changed = list(dict.fromkeys((outcome.arm, outcome.context) for outcome in learner.recent))
        self._detect_change(changed)
        for outcome in learner.recent:
            self._count(outcome)
        learner.recent.clear()
        # Each partition has its own log time; the learner's time never goes back.
        learner.fitted_at, learner.fitted = max(learner.fitted_at, outcome.at), learner.version
        learner.half_life = self._policy.half_life
        least = MIN_CELL_WEIGHT * weight(learner, self._policy.half_life, learner.fitted_at) ** (1.0 / SLOW_DISCOUNT)
        learner.contexts = {key: cell for key, cell in learner.contexts.items() if cell.slow_successes + cell.slow_failures >= least}
        if learner.change_evidence >= CHANGE_THRESHOLD:
            self._restart_from_change()
        self.posterior = self._fit_posterior()
        self._clear_caches()
        return FitResult(learner.fitted, learner.fitted_at, self.posterior, changed, self._stop(live))

    def _detect_change(self, pairs: list[tuple[str, str]]) -> None:
        """Change detection: compare how well the posterior and the last days' cells, both from before, predict the recent outcomes.

        The evidence is a cumulative sum of log likelihood ratios, never below zero (CUSUM; Page 1954, doi:10.1093/biomet/41.1-2.100).
        Without a change the last days predict worse, because they hold less data, and the sum stays near zero. After a change it grows. The
        time at which it left zero is the estimate of when the change happened.
        """
        learner = self.learner
        scale = weight(learner, self._policy.half_life, learner.fitted_at) ** -FAST_DISCOUNT if learner.contexts else 1.0
        fast = Posterior(
            self._policy, {key: (cell.fast_successes * scale, cell.fast_failures * scale) for key, cell in learner.contexts.items()}
        )
        rates = dict(zip(pairs, zip(fast.expected_rates(pairs), self.posterior.expected_rates(pairs), strict=True), strict=True))
        if not learner.change_evidence:
            for cell in learner.contexts.values():
                cell.suspect_successes = cell.suspect_failures = 0.0
        for outcome in learner.recent:
            new, old = rates[outcome.arm, outcome.context]
            ratio = new / old if outcome.success else (1.0 - new) / (1.0 - old)
            learner.change_evidence = max(learner.change_evidence + math.log(ratio), 0.0)

    def _restart_from_change(self) -> None:
        """A change was detected: replace all cells, those on harm included, by the outcomes since the evidence was last zero."""
        learner = self.learner
        units = weight(learner, self._policy.half_life, learner.fitted_at)
        now, slow, fast = units, units ** (1.0 / SLOW_DISCOUNT), units**FAST_DISCOUNT
        for cell in learner.contexts.values():
            won, lost = cell.suspect_successes, cell.suspect_failures
            cell.fast_successes, cell.fast_failures = won * fast, lost * fast
            cell.successes, cell.failures = won * now, lost * now
            cell.slow_successes, cell.slow_failures = won * slow, lost * slow
        learner.change_evidence, learner.harm_streaks = 0.0, {}
        learner.changes += 1

    def _stop(self, live: list[str]) -> list[ArmStop]:
        """Stop harmful arms. An arm must look harmful at several checks in a row, so that chance alone rarely stops one."""
        learner, policy, stops = self.learner, self._policy, list[ArmStop]()
        if learner.version - learner.harm_checked < HARM_CHECK_SHARE * learner.version:
            return []
        learner.harm_checked = learner.version
        running = [arm for arm in live if arm in learner.trials and arm not in learner.stopped]
        known = [arm for arm in running if learner.trials[arm] >= policy.stop_after]
        if len(known) < 2:
            return []
        scale = weight(learner, policy.half_life, learner.fitted_at) ** (-1.0 / SLOW_DISCOUNT)
        cells = {key: (cell.slow_successes * scale, cell.slow_failures * scale) for key, cell in learner.contexts.items()}
        record = Posterior(policy, cells)
        comparisons = {arm: record.compare(arm, [other for other in known if other != arm], policy.harm_margin) for arm in known}
        harmful = [arm for arm, comparison in comparisons.items() if comparison.confidence >= policy.stop_confidence]
        streaks = {arm: learner.harm_streaks.get(arm, 0) + 1 for arm in harmful}
        learner.harm_streaks = streaks
        for arm in sorted(streaks, key=lambda each: comparisons[each].rate):
            if streaks[arm] >= policy.stop_looks and len(running) > 1:
                comparison = comparisons[arm]
                stops.append(ArmStop(arm, comparison.confidence, comparison.rate, comparison.others_rate, float(learner.trials[arm])))
                learner.stopped[arm] = learner.fitted_at
                running.remove(arm)
                break  # the next check compares the others without it
        return stops

    def _fit_posterior(self) -> Posterior:
        scale = 1.0 / weight(self.learner, self._policy.half_life, self.learner.fitted_at)
        cells = {key: (cell.successes * scale, cell.failures * scale) for key, cell in self.learner.contexts.items()}
        return Posterior(self._policy, cells)

    def _register_arms(self, arms: Sequence[str]) -> None:
        learner = self.learner
        for arm in arms:
            if arm not in learner.trials:
                if any(trials >= self._policy.newcomer_trials for trials in learner.trials.values()):
                    learner.newcomers.append(arm)
                learner.trials[arm] = 0

    def _spread(self, arms: Sequence[str]) -> float:
        """Factor on the posterior's standard deviation: 1 while one of the arms is a newcomer, which must be explored."""
        learner = self.learner
        new = any(arm in learner.newcomers and learner.trials[arm] < self._policy.newcomer_trials for arm in arms)
        return 1.0 if new else self._policy.curiosity

    def _cap(self, arm: str) -> float:
        if arm not in self.learner.newcomers:
            return 1.0
        known = self.learner.trials[arm] / self._policy.newcomer_trials
        return min(self._policy.newcomer_share + (1.0 - self._policy.newcomer_share) * known, 1.0)

    def _count(self, outcome: Reward) -> None:
        learner, key = self.learner, f"{outcome.arm}|{outcome.context}"
        if len(learner.contexts) >= MOST_CONTEXTS and key not in learner.contexts:
            return
        learner.origin = learner.origin or outcome.at
        unit = weight(learner, self._policy.half_life, outcome.at)
        if unit > _RESCALE_AT:
            for cell in learner.contexts.values():
                _rescale(cell, unit)
            learner.origin, unit = outcome.at, 1.0
        cell = learner.contexts.setdefault(key, Cell())
        if outcome.success:
            cell.successes += unit
            cell.slow_successes += unit ** (1.0 / SLOW_DISCOUNT)
            cell.fast_successes += unit**FAST_DISCOUNT
            cell.suspect_successes += 1.0
        else:
            cell.failures += unit
            cell.slow_failures += unit ** (1.0 / SLOW_DISCOUNT)
            cell.fast_failures += unit**FAST_DISCOUNT
            cell.suspect_failures += 1.0


def weight(learner: Learner, half_life: int, at: int) -> float:
    """Weight of one observation at log time ``at``, in the learner's units."""
    halvings = (at - learner.origin) / half_life
    return float(2.0 ** max(0.0, min(halvings, _MAX_HALVINGS)))  # an outcome from before ``origin`` (a lagging partition) has weight 1


def _rescale(cell: Cell, unit: float) -> None:
    cell.successes /= unit
    cell.failures /= unit
    cell.slow_successes /= unit ** (1.0 / SLOW_DISCOUNT)
    cell.slow_failures /= unit ** (1.0 / SLOW_DISCOUNT)
    fast = unit**FAST_DISCOUNT if unit < _MAX_FAST_UNIT else math.inf
    cell.fast_successes /= fast
    cell.fast_failures /= fast
