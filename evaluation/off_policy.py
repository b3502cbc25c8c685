"""Off-policy evaluation: estimates the value of another policy from the log of the policy that ran.

*Estimand*: the target's mean one-step reward over the logged contexts: (1/n) sum_i sum_a target(a|x_i)·mu(x_i, a). It does not
cover contexts that only the target policy would lead to. *Decisions*: ``logged.py``.

Estimators: ``ips`` (Horvitz and Thompson 1952), ``snips`` (self-normalised: Swaminathan and Joachims 2015), ``dr`` (doubly robust:
Dudík, Langford and Li 2011, with an outcome model fitted on the past only, so that each term is unbiased given the past however the
logger adapts: Kato et al. 2020, arXiv:2002.05308), ``stabilised`` (dr with each term weighted by the inverse of its standard deviation
as predicted from propensities and earlier decisions: Hadad et al. 2021, arXiv:1911.02768; Bibaut et al. 2021, arXiv:2106.00418; Zhan et al.
2021, arXiv:2106.02029). The last is narrower only if the logging policy's propensities shrink much over time, and its estimand is the same
only if the distribution of contexts is constant; therefore reports use ``dr`` (figures: benchmarks/coverage_off_policy.py).

*Variance*: given the past and the contexts, the terms are martingale differences. Their variance is known up to the rewards' own:
sum_a target²/propensity·E(reward - guess)². The interval takes the larger of that, with the model's guesses, and the observed sum of
squares: with a few heavy weights the observed one alone is too small in most logs and too large in some. To the standard error one
standard error of its own is added, 1/sqrt(2·effective) of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final, Literal

import numpy as np
import polars as pl

from evaluation.arrays import Floats
from evaluation.evidence import Evidence
from evaluation.logged import Logged, logged
from evaluation.outcome_model import predict_sequentially
from evaluation.policies import Names, Policy, check_arm, check_segments, greedy, named_by, of_names, parse
from evaluation.sequences import mixture_scale
from state.quantity import count

Method = Literal["ips", "snips", "dr", "stabilised"]

LEAST_EFFECTIVE: Final = 100.0
_ALPHA: Final = 0.05
"""The error probability of an interval."""
_TUNED_AT: Final = 2_000
"""Decisions at which the always-valid intervals are narrowest."""
TRAINING_SHARE: Final = 0.3


@dataclass(frozen=True, slots=True)
class Value:
    """A policy's estimated value with its 95 % interval for one look, and the one valid at every look (``always_*``).

    ``effective``: effective sample size (Kish 1965), the number of the target policy's own decisions with the same information.
    """

    method: Method
    estimate: float
    lower: float
    upper: float
    always_lower: float
    always_upper: float
    standard_error: float
    decisions: int
    effective: float


@dataclass(frozen=True, slots=True)
class Refused:
    """The policy cannot be valued; ``reason`` is a sentence."""

    reason: str
    decisions: int
    effective: float


def evaluate_named(evidence: Evidence, text: str, *, trigger: str | None = None, method: Method = "dr") -> Value | Refused:
    """Value the policy given on a command line upon ``trigger``, or upon all.

    ``greedy`` learns on the first 30 % of the decisions and is valued on the rest. This is unbiased; a policy learned on all decisions
    would be somewhat better. A segment or an arm without weight (``without_weight``) changes nothing, and a policy that names nothing else
    is refused. Raises ``PolicyError``, also for a segment or an arm that no decision of the evidence has, shown or not.
    """
    log = _logged_upon(evidence, trigger)
    policy = parse(text)
    if named := named_by(text):
        _check_names(evidence, named)
        weighty = {segment: arm for segment, arm in named.items() if arm in log.arms and (segment is None or segment in log.segments)}
        if len(log) and not weighty:
            return Refused("nothing that the policy names has weight", len(log), 0.0)
        policy = of_names(weighty)
    if policy is None:
        cut = _first_valued(log)
        policy = greedy(log.part(0, cut))
        log = log.part(cut, len(log))
    return evaluate(log, policy, method=method)


def valued_on(evidence: Evidence, text: str, *, trigger: str | None = None) -> Logged:
    """Return the decisions on which ``evaluate_named`` values the policy. Raises ``PolicyError``."""
    log = _logged_upon(evidence, trigger)
    return log if parse(text) is not None else log.part(_first_valued(log), len(log))


def _first_valued(log: Logged) -> int:
    """Return the number of decisions on which ``greedy`` learns, and is not valued."""
    return math.floor(TRAINING_SHARE * len(log))


def without_weight(evidence: Evidence, text: str, *, trigger: str | None = None) -> list[str]:
    """Return a clause each for the segments and the arms that ``text`` names and no shown decision with a closed window has."""
    log, named = _logged_upon(evidence, trigger), named_by(text)
    segments = sorted({segment for segment in named if segment is not None} - log.segments)
    arms = sorted({*named.values()} - {*log.arms})
    found = (("of", segments), ("that could choose", arms))
    return [
        f"no shown decision {which} {', '.join(names)} has closed; {'it has' if len(names) == 1 else 'they have'} no weight"
        for which, names in found
        if names
    ]


def _logged_upon(evidence: Evidence, trigger: str | None) -> Logged:
    if trigger is not None:
        evidence = replace(evidence, decisions=evidence.decisions.filter(pl.col("trigger") == trigger))
    return logged(evidence)


def _check_names(evidence: Evidence, named: Names) -> None:
    decisions = evidence.decisions
    check_segments((segment for segment in named if segment is not None), _texts(decisions["segment"]))
    known = _texts(decisions["arm"]) | _texts(decisions["arms"].explode())
    for arm in named.values():
        check_arm(arm, known)


def _texts(column: pl.Series) -> set[str]:
    return {text for text in column.unique().to_list() if text}


def evaluate(log: Logged, policy: Policy, *, method: Method = "dr", least_effective: float = LEAST_EFFECTIVE) -> Value | Refused:
    """Estimate the value of ``policy`` from the log, or return the reason why it cannot be estimated."""
    size = len(log)
    if not size:
        return Refused("no decision was shown and has a closed attribution window", 0, 0.0)
    target = policy(log)
    uncovered = (target > 0) & (log.propensities <= 0)
    weights = target[np.arange(size), log.chosen] / log.chosen_propensity
    effective = float(weights.sum() ** 2 / np.square(weights).sum()) if weights.any() else 0.0
    if uncovered.any():
        arms = ", ".join(log.arms[index] for index in np.flatnonzero(uncovered.any(axis=0)))
        share = float(uncovered.any(axis=1).mean())
        return Refused(f"in {share:.1%} of the decisions the policy may show arms that the log could never show ({arms})", size, effective)
    if effective < least_effective:
        decisions = count(size, "decision has", "decisions have")
        needed = f"for this policy; {least_effective:.0f} are needed"
        reason = f"{decisions} an effective sample size of {effective:.0f} {needed}"
        return Refused(reason, size, effective)
    if method == "snips":
        return _value(method, *_self_normalised(log, target, weights), size, effective)
    model = predict_sequentially(log)
    guesses = model if method != "ips" else np.zeros_like(target)
    terms = _terms(log, target, weights, guesses)
    noise = _noise(log, target, model, guesses)
    if method == "stabilised":
        return _value(method, *_stabilised(terms, noise, target, guesses), size, effective)
    observed = np.square(weights * (log.rewards - guesses[np.arange(size), log.chosen]))
    error = math.sqrt(max(float(observed.sum()), float(noise.sum()))) / size
    return _value(method, float(terms.mean()), error, size, effective)


def _terms(log: Logged, target: Floats, weights: Floats, guesses: Floats) -> Floats:
    residual = log.rewards - guesses[np.arange(len(log)), log.chosen]
    return np.asarray((target * guesses).sum(axis=1) + weights * residual)


def _noise(log: Logged, target: Floats, model: Floats, guesses: Floats) -> Floats:
    """Return the expected square of each weighted residual given the context, from propensities and the model's reward variance."""
    squares = np.divide(np.square(target), log.propensities, out=np.zeros_like(target), where=log.propensities > 0)
    return np.asarray((squares * (model * (1.0 - model) + np.square(model - guesses))).sum(axis=1))


def _self_normalised(log: Logged, target: Floats, weights: Floats) -> tuple[float, float]:
    estimate = float((weights * log.rewards).sum() / weights.sum())
    observed = float(np.square(weights * (log.rewards - estimate)).sum())
    expected = float(_noise(log, target, predict_sequentially(log), np.full_like(target, estimate)).sum())
    return estimate, math.sqrt(max(observed, expected)) / float(weights.sum())


def _stabilised(terms: Floats, noise: Floats, target: Floats, guesses: Floats) -> tuple[float, float]:
    """Weight by the standard deviation expected from the 100 decisions before.

    Assumes identically distributed contexts and includes their variance.
    """
    total = np.cumsum(noise)
    recent = total.copy()
    recent[100:] -= total[:-100]
    recent /= np.minimum(np.arange(1, terms.size + 1), 100)
    before = np.concatenate([recent[:1], recent[:-1]])
    weights = 1.0 / np.sqrt(np.maximum(before, 1e-6))
    estimate = float((weights * terms).sum() / weights.sum())
    between = float(np.var((target * guesses).sum(axis=1)))
    observed = float(np.square(weights * (terms - estimate)).sum())
    expected = float((np.square(weights) * (noise + between)).sum())
    return estimate, math.sqrt(max(observed, expected)) / float(weights.sum())


def _value(method: Method, estimate: float, error: float, size: int, effective: float) -> Value:
    error *= 1.0 + 1.0 / math.sqrt(2.0 * effective)
    half = NormalDist().inv_cdf(1.0 - _ALPHA / 2.0) * error
    always = _always_margin(size) * error
    return Value(
        method=method,
        estimate=estimate,
        lower=max(0.0, estimate - half),
        upper=min(1.0, estimate + half),
        always_lower=max(0.0, estimate - always),
        always_upper=min(1.0, estimate + always),
        standard_error=error,
        decisions=size,
        effective=effective,
    )


def _always_margin(size: int) -> float:
    """Return the half-width of the asymptotic confidence sequence in standard errors after ``size`` decisions.

    It is a normal mixture with the estimated variance (Waudby-Smith et al., arXiv:2103.06476, theorem 2.2).
    Valid at all looks from ``LEAST_EFFECTIVE`` on, which is its burn-in, and for large samples only: with the large weights that an
    exploration floor allows, the non-asymptotic sequence would be uninformative before tens of thousands of decisions.
    """
    u = 1.0 + size * mixture_scale(_TUNED_AT, _ALPHA) ** 2
    return math.sqrt(u / (u - 1.0) * (math.log(u) - 2.0 * math.log(_ALPHA)))
