"""The learner of one (tenant, trigger): which arm works, for which step and segment, and how likely each is to be chosen.

Thompson sampling with its probabilities worked out: an arm's propensity is the posterior probability that it is the best, with the spread
of the posterior scaled by ``curiosity`` and an exploration floor under it; the choice is then one draw from these propensities, seeded by
the decision's id. What is logged is therefore exactly the distribution that was drawn from (Thompson 1933; propensities for off-policy
evaluation as in Li et al. 2010, arXiv:1003.0146). The floor explores already: with all of the spread on top, the learner would win less.

What is believed is one regression (``state.decision.posterior``) over all contexts, fitted anew from time to time: when it is due depends on the number
of outcomes learned alone. Between fits outcomes are only noted down; they join the cells when the next fit is made, so that the cells are
always those of the last fit and a learner that was written down and read back believes the same. Old outcomes fade with ``half_life``:
cells are kept in units that grow with time instead of being shrunk one by one.

Successes come in when they happen, failures only when their window closes. Whoever learned at once would think too well of what was shown
lately, and of young arms first of all: an outcome is held back until its window would have closed, whatever it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple

import msgspec

from state.decision.bandit_policy import BanditPolicy
from state.decision.posterior import Posterior
from state.decision.propensity import probability_best, shares
from state.logistic_regression import Floats

MOST_CONTEXTS: Final = 20_000
"""Cells that a learner keeps. Segments are made of what users send; beyond this, outcomes in new ones teach nothing."""

FADED: Final = 0.01
"""Of an outcome: a cell that has faded below this is forgotten."""

REFIT_SOON: Final = 10
REFIT_AT_MOST: Final = 250
"""Outcomes from one fit to the next: a fifth of those learned so far up to ``REFIT_SOON``; later a fiftieth, up to ``REFIT_AT_MOST``."""

LASTING: Final = 8.0
"""Half-life of the evidence on harm, in half-lives of what is believed: an arm that is seldom chosen must not outlive its own record."""

FRESH: Final = 14.0
"""Half-life of what is believed, in half-lives of the *fresh* cells: what the last days alone say."""

CHANGE_AT: Final = 4.0
"""Evidence (natural logarithm of a likelihood ratio) at which the past is given up for what the last days say."""

JUDGE_SHARE: Final = 0.05
"""Outcomes from one judgement on harm to the next, of those learned so far: looks close together would count the same evidence twice."""

_RESCALE_AT: Final = 2.0**40
_MOST_HALVINGS: Final = 500.0
_MOST_FRESH: Final = 2.0**70
_MOST_CACHED: Final = 20_000


class Cell(msgspec.Struct, gc=False, array_like=True):
    """Discounted successes and failures, in the learner's growing units. The ``lasting`` ones fade ``LASTING`` times as slowly, the
    ``fresh`` ones ``FRESH`` times as fast. ``since`` counts plainly what came since there was no doubt about what is believed.
    """

    successes: float = 0.0
    failures: float = 0.0
    lasting_successes: float = 0.0
    lasting_failures: float = 0.0
    fresh_successes: float = 0.0
    fresh_failures: float = 0.0
    since_successes: float = 0.0
    since_failures: float = 0.0


class Reward(msgspec.Struct, gc=False, array_like=True, frozen=True, order=True):
    """What became of one decision that was shown. ``at`` is the log time from which it counts, ``turn`` keeps the order of arrival."""

    at: int
    turn: int
    arm: str
    context: str
    success: bool


class Learner(msgspec.Struct, gc=False, array_like=True):
    """State of one learner, in the order in which it is written down. ``origin`` is the log time at which one observation weighs 1.

    ``version`` counts the outcomes learned. Arms are keyed ``arm@version``, contexts ``arm@version|step|segment``. ``pending`` remembers which arm each open decision chose. ``recent`` was learned after the last
    fit, which was made at version ``fitted`` and log time ``fitted_at``; ``held`` (a heap) waits for its windows to close. ``trials``
    counts the outcomes of each arm, undiscounted; ``newcomers`` are arms that came when others were established; ``suspects`` counts the
    judgements in a row at which an arm looked harmful, the last made at version ``judged``; ``stopped`` says when one was stopped for it.
    ``half_life`` is that by which the units of the cells grow. ``doubt`` is the evidence that what is believed no longer holds, and
    ``changes`` how often it was given up for that.
    """

    version: int = 0
    origin: int = 0
    contexts: dict[str, Cell] = {}
    pending: dict[str, str] = {}
    fitted: int = 0
    fitted_at: int = 0
    turns: int = 0
    recent: list[Reward] = []
    held: list[Reward] = []
    trials: dict[str, int] = {}
    newcomers: list[str] = []
    suspects: dict[str, int] = {}
    stopped: dict[str, int] = {}
    judged: int = 0
    half_life: int = 0
    doubt: float = 0.0
    changes: int = 0


class ArmStop(NamedTuple):
    """An arm was stopped: the figures of ``ArmStopFact``."""

    arm: str
    confidence: float
    rate: float
    others_rate: float
    outcomes: float


class FitResult(NamedTuple):
    """What the fit at ``version`` and log time ``at`` brought: the belief, the ``(arm, context)`` that taught it, and the arms stopped."""

    version: int
    at: int
    posterior: Posterior
    changed: list[tuple[str, str]]
    stops: list[ArmStop]


class Bandit:
    """A learner and what it believes. Everything that outlives a restart is in ``learner``; the rest is worked out from it."""

    def __init__(self, policy: BanditPolicy, learner: Learner) -> None:
        """Takes the learner over and changes it. Also called after a restart: believes then what was believed before."""
        self.learner: Final = learner
        self._policy: Final = policy
        self._logits: Final[dict[tuple[tuple[str, ...], str, float], tuple[Floats, Floats]]] = {}
        self._chances: Final[dict[tuple[tuple[str, ...], str, float], list[float]]] = {}
        self._adapt()
        self.posterior = self._fit_posterior()

    def propensities(self, arms: Sequence[str], context: str, rest: Sequence[float] = ()) -> tuple[float, ...]:
        """Probability of choosing each of ``arms`` (at least one) in ``context`` (``step|segment``); they sum to 1.

        ``rest`` (parallel to ``arms``; empty: all 1) says how far the person has recovered from having seen each. None is below the
        exploration floor. A newcomer is held to its share while there is an arm that is none.
        """
        self._meet(arms)
        spread = self._spread(arms)
        key = (tuple(arms), context, spread)
        tired = any(each < 1.0 for each in rest)
        chances = None if tired else self._chances.get(key)
        if chances is None:
            if len(self._logits) >= _MOST_CACHED:
                self._forget()
            logits = self._logits.get(key)
            if logits is None:
                logits = self._logits[key] = self.posterior.logits(arms, context)
            mean, covariance = logits
            if tired:
                mean = mean - [self._policy.repeat_penalty * (1.0 - each) for each in rest]
            chances = probability_best(mean, covariance * spread**2)
            if not tired:
                self._chances[key] = chances
        return shares(chances, self._policy.exploration_floor, [self._cap(arm) for arm in arms])

    def observe(self, arm: str, context: str, success: bool, at: int, matures_at: int = 0) -> None:
        """Note that ``arm`` succeeded or failed in ``context`` at log time ``at``; counts from ``matures_at`` on, if that is later."""
        learner = self.learner
        learner.turns += 1
        heappush(learner.held, Reward(max(at, matures_at), learner.turns, arm, context, success))

    def learn(self, now: int, live: Iterable[str]) -> list[FitResult]:
        """Take in all outcomes that count by log time ``now``, and fit as often as that makes due. ``live`` arms may be stopped."""
        learner, news = self.learner, list[FitResult]()
        while learner.held and learner.held[0].at <= now:
            outcome = heappop(learner.held)
            learner.recent.append(outcome)
            learner.version += 1
            self._meet([outcome.arm])
            learner.trials[outcome.arm] += 1
            due = max(min(learner.version // 5, REFIT_SOON), min(learner.version // 50, REFIT_AT_MOST), 1)
            if learner.version - learner.fitted >= due:
                news.append(self._fit(sorted(live)))
        return news

    def _adapt(self) -> None:
        """Take the cells into the units of another half-life, where the catalog has a new one: they count as much as before."""
        learner, policy = self.learner, self._policy
        if learner.half_life not in (0, policy.half_life):
            worth = _worth(learner, learner.half_life, learner.fitted_at)
            for cell in learner.contexts.values():
                _lighten(cell, worth)
            learner.origin, learner.half_life = learner.fitted_at, policy.half_life

    def _forget(self) -> None:
        self._logits.clear()
        self._chances.clear()

    def _fit(self, live: list[str]) -> FitResult:
        learner = self.learner
        changed = list(dict.fromkeys((outcome.arm, outcome.context) for outcome in learner.recent))
        self._doubt(changed)
        for outcome in learner.recent:
            self._count(outcome)
        learner.recent.clear()
        # The latest that was learned; partitions keep time of their own, and time does not run backwards here.
        learner.fitted_at, learner.fitted = max(learner.fitted_at, outcome.at), learner.version
        learner.half_life = self._policy.half_life
        least = FADED * weight(learner, self._policy, learner.fitted_at) ** (1.0 / LASTING)
        learner.contexts = {key: cell for key, cell in learner.contexts.items() if cell.lasting_successes + cell.lasting_failures >= least}
        if learner.doubt >= CHANGE_AT:
            self._give_up()
        self.posterior = self._fit_posterior()
        self._forget()
        return FitResult(learner.fitted, learner.fitted_at, self.posterior, changed, self._stop(live))

    def _doubt(self, pairs: list[tuple[str, str]]) -> None:
        """Let what was just seen judge between what is believed and what the last days alone say, both as they were before it.

        A cumulative sum of log likelihood ratios, never below zero (Page 1954, doi:10.1093/biomet/41.1-2.100): while nothing changes the
        last days predict worse, being fewer, and the sum stays near zero; after a change it grows, and where it left zero is the best guess
        of when that was.
        """
        learner = self.learner
        scale = weight(learner, self._policy, learner.fitted_at) ** -FRESH if learner.contexts else 1.0
        fresh = Posterior(
            self._policy, {key: (cell.fresh_successes * scale, cell.fresh_failures * scale) for key, cell in learner.contexts.items()}
        )
        chances = dict(zip(pairs, zip(fresh.chances(pairs), self.posterior.chances(pairs), strict=True), strict=True))
        if not learner.doubt:
            for cell in learner.contexts.values():
                cell.since_successes = cell.since_failures = 0.0
        for outcome in learner.recent:
            new, old = chances[outcome.arm, outcome.context]
            ratio = new / old if outcome.success else (1.0 - new) / (1.0 - old)
            learner.doubt = max(learner.doubt + math.log(ratio), 0.0)

    def _give_up(self) -> None:
        """What is believed has ceased to hold: go on from what came since the doubt began, the evidence on harm too."""
        learner = self.learner
        units = weight(learner, self._policy, learner.fitted_at)
        now, lasting, fresh = units, units ** (1.0 / LASTING), units**FRESH
        for cell in learner.contexts.values():
            won, lost = cell.since_successes, cell.since_failures
            cell.fresh_successes, cell.fresh_failures = won * fresh, lost * fresh
            cell.successes, cell.failures = won * now, lost * now
            cell.lasting_successes, cell.lasting_failures = won * lasting, lost * lasting
        learner.doubt, learner.suspects = 0.0, {}
        learner.changes += 1

    def _stop(self, live: list[str]) -> list[ArmStop]:
        """Stop what does harm. An arm has to look harmful at several judgements in a row: that is what keeps chance from stopping it."""
        learner, policy, stops = self.learner, self._policy, list[ArmStop]()
        if learner.version - learner.judged < JUDGE_SHARE * learner.version:
            return []
        learner.judged = learner.version
        running = [arm for arm in live if arm in learner.trials and arm not in learner.stopped]
        known = [arm for arm in running if learner.trials[arm] >= policy.stop_after]
        if len(known) < 2:
            return []
        scale = weight(learner, policy, learner.fitted_at) ** (-1.0 / LASTING)
        cells = {key: (cell.lasting_successes * scale, cell.lasting_failures * scale) for key, cell in learner.contexts.items()}
        record = Posterior(policy, cells)
        contests = {arm: record.contest(arm, [other for other in known if other != arm], policy.harm_margin) for arm in known}
        looks = {arm: learner.suspects.get(arm, 0) + 1 for arm, found in contests.items() if found.confidence >= policy.stop_confidence}
        learner.suspects = looks
        for arm in sorted(looks, key=lambda each: contests[each].rate):
            if looks[arm] >= policy.stop_looks and len(running) > 1:
                found = contests[arm]
                stops.append(ArmStop(arm, found.confidence, found.rate, found.others_rate, float(learner.trials[arm])))
                learner.stopped[arm] = learner.fitted_at
                running.remove(arm)
                break  # the others are judged anew without it
        return stops

    def _fit_posterior(self) -> Posterior:
        scale = 1.0 / weight(self.learner, self._policy, self.learner.fitted_at)
        cells = {key: (cell.successes * scale, cell.failures * scale) for key, cell in self.learner.contexts.items()}
        return Posterior(self._policy, cells)

    def _meet(self, arms: Sequence[str]) -> None:
        learner = self.learner
        for arm in arms:
            if arm not in learner.trials:
                if any(trials >= self._policy.newcomer_trials for trials in learner.trials.values()):
                    learner.newcomers.append(arm)
                learner.trials[arm] = 0

    def _spread(self, arms: Sequence[str]) -> float:
        """How much of the posterior's spread counts: all of it while one of the arms is a newcomer, which must be tried."""
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
        worth = weight(learner, self._policy, outcome.at)
        if worth > _RESCALE_AT:
            for cell in learner.contexts.values():
                _lighten(cell, worth)
            learner.origin, worth = outcome.at, 1.0
        cell = learner.contexts.setdefault(key, Cell())
        if outcome.success:
            cell.successes += worth
            cell.lasting_successes += worth ** (1.0 / LASTING)
            cell.fresh_successes += worth**FRESH
            cell.since_successes += 1.0
        else:
            cell.failures += worth
            cell.lasting_failures += worth ** (1.0 / LASTING)
            cell.fresh_failures += worth**FRESH
            cell.since_failures += 1.0


def weight(learner: Learner, policy: BanditPolicy, at: int) -> float:
    """What one observation at log time ``at`` counts in the learner's units."""
    if not learner.origin:
        learner.origin = at
    return _worth(learner, policy.half_life, at)


def _lighten(cell: Cell, worth: float) -> None:
    cell.successes /= worth
    cell.failures /= worth
    cell.lasting_successes /= worth ** (1.0 / LASTING)
    cell.lasting_failures /= worth ** (1.0 / LASTING)
    fresh = worth**FRESH if worth < _MOST_FRESH else math.inf
    cell.fresh_successes /= fresh
    cell.fresh_failures /= fresh


def _worth(learner: Learner, half_life: int, at: int) -> float:
    halvings = (at - learner.origin) / half_life
    return float(2.0 ** max(0.0, min(halvings, _MOST_HALVINGS)))  # a partition that lags behind counts as the present
