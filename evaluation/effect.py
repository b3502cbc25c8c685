"""The effect of guidance by intention to treat: every person counts in the assigned group, whether guided or not.

The outcome is activation within ``WINDOW`` of sign-up. Only *matured* people count, whose window has closed; newer people had less time
and would bias the rates. People are ordered by sign-up, which is the order of maturing.

Guidance may be paused, or ramped to a share of people. Who signed up while it was paused or outside of the share is left out, in all groups
alike: that says nothing about guidance, and was known before anything became of them, so leaving them out cannot favour a group. Who signed
up before a pause counts, though guidance ended early for them. Otherwise a pause because of harm would remove those who were harmed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import polars as pl

from evaluation.arrays import ratio
from evaluation.evidence import ADAPTIVE, GROUPS, HOLDOUT, RULES, Evidence
from evaluation.sequences import Path, difference, difference_fixed
from evaluation.truth import SealedTruth
from state.decision.switches import OUTSIDE, PAUSED
from state.duration import DAY

WINDOW: Final = 7 * DAY
COMPARISONS: Final = ((ADAPTIVE, HOLDOUT), (RULES, HOLDOUT), (ADAPTIVE, RULES))


@dataclass(frozen=True, slots=True)
class GroupRate:
    """Matured people of a group and how many of them activated in time; ``rate`` None: no person matured."""

    group: str
    people: int
    activated: int
    rate: float | None


@dataclass(frozen=True, slots=True)
class Lift:
    """Activation of ``treated`` minus that of ``control``, as a fraction (0.04: four points).

    ``lift`` is the plain difference of the rates with the fixed-sample interval ``fixed_lower`` to ``fixed_upper``, valid at one look
    chosen in advance. ``path`` is the confidence sequence, ``lower`` and ``upper`` its last interval. ``claimed``: at some look the
    whole interval was above 0; ``claimed_after``: the number of people of both groups at the first such look.
    """

    treated: str
    control: str
    lift: float
    lower: float
    upper: float
    fixed_lower: float
    fixed_upper: float
    claimed: bool
    claimed_after: int | None
    path: Path


@dataclass(frozen=True, slots=True)
class TrueLift:
    """The true lift of the matured adaptive people against their untreated twins. ``standard_error``: over people."""

    lift: float
    activated: float
    untreated: float
    people: int
    standard_error: float


@dataclass(frozen=True, slots=True)
class EffectReport:
    """One rate per group, one lift per pair of groups with matured people, and the true lift if the sealed truth is given.

    ``left_out``: people who signed up while guidance was paused, or outside of the share that might be guided.
    """

    groups: tuple[GroupRate, ...]
    lifts: tuple[Lift, ...]
    immature: int
    true_lift: TrueLift | None = None
    left_out: int = 0

    def lift_of(self, treated: str, control: str) -> Lift | None:
        """Return one comparison, None if one of the groups has no matured people."""
        return next((lift for lift in self.lifts if (lift.treated, lift.control) == (treated, control)), None)


_GUIDABLE: Final = ~pl.col("guidance_at_signup").fill_null("").is_in([PAUSED, OUTSIDE])


def _signed_up(evidence: Evidence) -> pl.DataFrame:
    return evidence.people.filter(pl.col("experiment_group").is_in(GROUPS) & (pl.col("signup_at") > 0))


def matured(evidence: Evidence) -> pl.DataFrame:
    """Return people who count and whose window has closed, in order of sign-up, with ``activated`` (bool) within it."""
    return (
        _signed_up(evidence)
        .filter(_GUIDABLE)
        .filter(pl.col("signup_at") + WINDOW <= evidence.until)
        .with_columns(activated=(pl.col("activated_at") > 0) & (pl.col("activated_at") <= pl.col("signup_at") + WINDOW))
        .sort("signup_at", "user_id")
    )


def effect(
    evidence: Evidence,
    truth: SealedTruth | None = None,
    *,
    shares: Mapping[str, float] | None = None,
    alpha: float = 0.05,
    tuned_at: int = 5_000,
) -> EffectReport:
    """Compare the groups. ``shares``: the probability of each group by design; without it the observed shares are used, which makes
    the always-valid intervals approximate. ``tuned_at``: people of both groups at which they are narrowest.
    """
    people = matured(evidence)
    rates = []
    for group in GROUPS:
        of_group = people.filter(pl.col("experiment_group") == group)
        activated = int(of_group["activated"].sum())
        rates.append(GroupRate(group, of_group.height, activated, ratio(activated, of_group.height)))
    counted = {rate.group: rate.people for rate in rates}
    lifts = tuple(
        _lift(people, treated, control, _share(treated, control, shares or {}, counted), alpha, tuned_at)
        for treated, control in COMPARISONS
        if counted[treated] and counted[control]
    )
    signed_up = _signed_up(evidence)
    counting = signed_up.filter(_GUIDABLE).height
    return EffectReport(
        groups=tuple(rates),
        lifts=lifts,
        immature=counting - people.height,
        true_lift=None if truth is None else true_lift(evidence, truth),
        left_out=signed_up.height - counting,
    )


def _share(treated: str, control: str, shares: Mapping[str, float], counted: Mapping[str, int]) -> float:
    """Return the probability of ``treated`` given one of the two groups.

    Uses the observed shares if one group is not part of the design.
    """
    if shares.get(treated) and shares.get(control):
        return shares[treated] / (shares[treated] + shares[control])
    return counted[treated] / (counted[treated] + counted[control])


def _lift(people: pl.DataFrame, treated: str, control: str, share: float, alpha: float, tuned_at: int) -> Lift:
    both = people.filter(pl.col("experiment_group").is_in([treated, control]))
    outcome = both["activated"].to_numpy()
    in_treated = (both["experiment_group"] == treated).to_numpy()
    path = difference(outcome, in_treated, share, alpha=alpha, tuned_at=tuned_at)
    estimate, fixed_lower, fixed_upper = difference_fixed(outcome, in_treated, alpha=alpha)
    first = path.first_above(0.0)
    return Lift(
        treated=treated,
        control=control,
        lift=estimate,
        lower=float(path.lower[-1]),
        upper=float(path.upper[-1]),
        fixed_lower=fixed_lower,
        fixed_upper=fixed_upper,
        claimed=first is not None,
        claimed_after=first,
        path=path,
    )


def true_lift(evidence: Evidence, truth: SealedTruth) -> TrueLift | None:
    """Compare matured adaptive people with their untreated twins, None if there are none. All times come from the sealed truth."""
    adaptive = matured(evidence).filter(pl.col("experiment_group") == ADAPTIVE).select("user_id")
    people = truth.persons().join(adaptive, on="user_id", how="semi")
    if not people.height:
        return None
    deadline = pl.col("signup_at") + WINDOW
    both = people.select(
        activated=(pl.col("activated_at") <= deadline).fill_null(value=False),
        untreated=(pl.col("twin_activated_at") <= deadline).fill_null(value=False),
    )
    activated, untreated = both["activated"].to_numpy().astype(float), both["untreated"].to_numpy().astype(float)
    gain = activated - untreated
    return TrueLift(
        lift=float(gain.mean()),
        activated=float(activated.mean()),
        untreated=float(untreated.mean()),
        people=gain.size,
        standard_error=float(gain.std()) / math.sqrt(gain.size),
    )


def people_needed(lift: float, rate: float, share: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Return about how many people of both groups the always-valid interval needs to claim ``lift`` with ``power``.

    ``rate``: activation without guidance. For planning: the margin of the normal mixture at its tightest, 5 % wider.
    """
    with_guidance = min(1.0, rate + lift)
    variance = with_guidance * (1 - with_guidance) / share + rate * (1 - rate) / (1 - share)
    log_term = -2.0 * math.log(alpha)
    u = 1.0 + log_term
    for _ in range(60):
        u = 1.0 + log_term + math.log(u)
    margin = 1.05 * math.sqrt(u / (u - 1.0) * (math.log(u) + log_term))
    return math.ceil(variance * ((margin + NormalDist().inv_cdf(power)) / lift) ** 2)
