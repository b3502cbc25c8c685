"""The effect of guidance by intention to treat: every person counts in the assigned group, whether guided or not.

The outcome is activation within ``WINDOW`` of sign-up; of the first event where the app sends no sign-ups at all. Who may be guided before
they sign up begins with the first decision about them that may depend on the group, and counts whether they sign up or not: signing up may
then be an effect of guidance, and to count only who signs up would compare other people in each group. Up to that decision all groups are
treated alike, so who begins, and when, does not depend on the group. Somebody who neither signs up nor meets a decision does not count.
``evaluation/units.py`` says which visitor and user count as one.

Only *matured* people count, whose window has closed; newer people had less time and would bias the rates. People are ordered by their
beginning, which is the order of maturing.

The shares of the groups may change with the catalog. People are compared with the probability by which their own group was drawn
(``evaluation/sequences.py``): if more people are held out in a slow month than in a busy one, the months differ, and not the groups. Who
entered while the catalog only observed is left out, because no group was drawn for them.

Decisions may be kept for some days only. Of those who came earlier the first decision may be gone. Who signed up would still count, from
the sign-up, and who did not would not. So where people may be guided before they sign up, everybody who came earlier is left out, in all
groups alike.

Guidance may be paused, or ramped to a share of people. Who began while it was paused or outside of the share is left out, in all groups
alike: that says nothing about guidance, and was known before anything became of them, so leaving them out cannot favour a group. Who began
before a pause counts, though guidance ended early for them. Otherwise a pause because of harm would remove those who were harmed.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from evaluation.arrays import ratio
from evaluation.evidence import ADAPTIVE, GROUPS, HOLDOUT, RULES, Evidence
from evaluation.sequences import Path, bernstein_margin, contrast, difference, difference_fixed, first_proof
from evaluation.truth import SealedTruth
from evaluation.units import merged, units
from state.decision.switches import OUTSIDE, PAUSED
from state.duration import DAY

WINDOW: Final = 7 * DAY
OUTSIDE_ONBOARDING: Final = "existing"
DELETED_WITHIN: Final = DAY
"""ClickHouse deletes old rows part by part, within hours: so much later than the oldest row, all rows are there."""
ALPHA: Final = 0.05
"""The error probability of a comparison."""
TUNED_AT: Final = 5_000
"""People of both groups at which the always-valid intervals are narrowest."""
_POWER: Final = 0.8
PRIMARY: Final = (ADAPTIVE, HOLDOUT)
SECONDARY: Final = ((RULES, HOLDOUT), (ADAPTIVE, RULES))
"""They share the error probability among them (Bonferroni): together they err as often as the primary comparison alone."""


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

    ``lift`` is the difference of the rates, within each set of shares where they changed. ``fixed_lower`` to ``fixed_upper`` is its
    fixed-sample interval, valid at one look chosen in advance. ``path`` is the confidence sequence, ``lower`` and ``upper`` its last
    interval. ``claimed``: at some look the whole interval was above 0; ``claimed_after``: the number of people of both groups at the first
    such look. That is past: the effect may have changed since, and ``proven`` says what holds now. Nothing is claimed or proven with shares
    that are not known, or not those by which people were drawn (``promised`` is False). ``level``: the confidence of the intervals, like
    0.95. ``people`` of both groups were compared, all who could have been in either, and ``share`` is their mean probability of
    ``treated``.
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
    people: int
    share: float
    level: float = 0.95
    promised: bool = True

    @property
    def proven(self) -> Literal["better", "worse"] | None:
        """What the present interval proves of ``treated``."""
        if not self.promised:
            return None
        return "better" if self.lower > 0 else "worse" if self.upper < 0 else None


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

    ``left_out``: people who began while guidance was paused, or outside of the share that might be guided. ``observing``: those who
    entered while the catalog only observed. ``unknown``: those whose catalog is not known, while that of others is. ``without_signup``:
    those who neither signed up, while others did, nor met a decision; ``by_first_event``: nobody signed up. ``before_signup``: those who
    count from a decision on, before a sign-up or without one. ``signed_in``: visitors who count beside the user as whom they signed in.
    ``expired``: those who came when decisions or merges were made that are not stored any more, where people may be guided before they sign
    up. ``outside``: people who do not begin by the catalog's ``starts``. ``existing_now``: those who do not begin now and count, because
    guidance was considered for them in a group.
    ``designs``: the promised shares of the people who count, the oldest first; where none is known, the observed ones were used.
    """

    groups: tuple[GroupRate, ...]
    lifts: tuple[Lift, ...]
    immature: int
    true_lift: TrueLift | None = None
    left_out: int = 0
    observing: int = 0
    unknown: int = 0
    without_signup: int = 0
    before_signup: int = 0
    signed_in: int = 0
    expired: int = 0
    outside: int = 0
    existing_now: int = 0
    by_first_event: bool = False
    designs: tuple[Mapping[str, float], ...] = ()

    def lift_of(self, treated: str, control: str) -> Lift | None:
        """Return one comparison, None if one of the groups has no matured people."""
        return next((lift for lift in self.lifts if (lift.treated, lift.control) == (treated, control)), None)


def judged_people(evidence: Evidence, shares: Mapping[str, float] | None = None) -> pl.DataFrame:
    """Everybody in a group: ``began_at``, whether ``before_signup``, and ``because``: why they do not count, empty where they do.

    None of it depends on the group.
    """
    people = units(evidence)
    by_first_event = _by_first_event(people)
    sign_up = pl.col("first_seen_at" if by_first_event else "signup_at").fill_null(0)
    # The clock of a device may put the sign-up after the decision upon it.
    before = (sign_up == 0) | ((pl.col("first_trigger") != "signup") & (pl.col("first_decided_at") < sign_up))
    people = people.with_columns(before_signup=before.fill_null(value=False))
    whole_from = _whole_from(evidence, by_first_event=by_first_event) if by_first_event or people["before_signup"].any() else 0
    people = people.with_columns(
        began_at=pl.when("before_signup").then("first_decided_at").otherwise(sign_up).fill_null(0),
        guidance=pl.when("before_signup").then("first_guidance").otherwise("guidance_at_signup"),
    )
    if shares is not None:
        people = people.with_columns(pl.col(group).fill_null(shares.get(group, 0.0)) for group in GROUPS)
    some_known = people[HOLDOUT].is_not_null().any()
    reasons = {
        "expired": pl.min_horizontal("first_seen_at", "origin_seen_at") < whole_from,
        "without_signup": pl.col("began_at") == 0,
        "observing": pl.col(HOLDOUT) >= 1.0,
        "unknown": pl.col(HOLDOUT).is_null() & pl.lit(some_known),
        "left_out": pl.col("guidance").is_in([PAUSED, OUTSIDE]),
        "immature": pl.col("began_at") + WINDOW > evidence.until,
    }
    return people.with_columns(because=pl.coalesce(*(pl.when(holds).then(pl.lit(name)) for name, holds in reasons.items()), pl.lit("")))


def _by_first_event(people: pl.DataFrame) -> bool:
    """Whether the app sends no sign-ups."""
    return not (people["signup_at"] > 0).any()


def _whole_from(evidence: Evidence, *, by_first_event: bool) -> int:
    """The time from which on all decisions and merges are stored; 0 where none seems to have been deleted.

    Each sign-up is considered, and the decision is stored whatever comes of it. Where one from before the oldest decision lacks it, older
    decisions were deleted. Where nobody signs up, a completed step is such a sign: it is considered too, if it was done as the current one.
    Who only looked around was never considered, and says nothing; nor does who was a visitor before, by whose events a step may have been
    the current one without being considered. Where no decision at all is stored nothing is assumed.

    A visitor that became a user has the user's ``person_key``; in rows of older releases it is named by the event of the merge. Where
    neither tells the user of one that came before the oldest event, older events were deleted.
    """
    decisions = evidence.decisions
    oldest: int = decisions.select(pl.col("decided_at").min().fill_null(0)).item()
    signed_up = evidence.people.filter((pl.col("signup_at") > 0) & (pl.col("signup_at") < oldest))
    without_decision = signed_up.join(decisions.filter(pl.col("trigger") == "signup"), on="user_id", how="anti")
    if by_first_event:
        done = evidence.progress.filter((pl.col("current_since_at") > 0) & pl.col("completed_at").is_between(0, oldest, closed="none"))
        without_decision = done.join(decisions, on="user_id", how="anti").join(evidence.visitors, on="user_id", how="anti")
    came_before = merged(evidence).filter(pl.col("origin_seen_at") < evidence.events_from)
    without_merge = came_before.join(evidence.visitors, on="visitor_id", how="anti")
    starts = [start for start, lacking in ((oldest, without_decision), (evidence.events_from, without_merge)) if lacking.height]
    return max(starts) + DELETED_WITHIN if starts else 0


def matured(evidence: Evidence) -> pl.DataFrame:
    """Return people who count and whose window has closed, in order of their beginning, with ``activated`` (bool) within it."""
    return _counting(judged_people(evidence))


def _counting(judged: pl.DataFrame) -> pl.DataFrame:
    in_time = (pl.col("activated_at") > 0) & (pl.col("activated_at") <= pl.col("began_at") + WINDOW)
    return judged.filter(pl.col("because") == "").with_columns(activated=in_time).sort("began_at", "user_id")


def effect(
    evidence: Evidence,
    truth: SealedTruth | None = None,
    *,
    shares: Mapping[str, float] | None = None,
    alpha: float = ALPHA,
    tuned_at: int = TUNED_AT,
) -> EffectReport:
    """Compare the groups. ``shares``: the probability of each group by design, for people whose catalog is not known.

    Where none is known, the observed shares are used. That makes the always-valid intervals approximate, and no lift is claimed.
    ``alpha``: the error probability of the primary comparison, and of the secondary ones together.
    ``tuned_at``: people of both groups at which they are narrowest.
    """
    judged = judged_people(evidence, shares)
    people = _counting(judged)
    existing = evidence.people.filter(pl.col("experiment_group") == OUTSIDE_ONBOARDING)
    rates = []
    for group in GROUPS:
        of_group = people.filter(pl.col("experiment_group") == group)
        activated = int(of_group["activated"].sum())
        rates.append(GroupRate(group, of_group.height, activated, ratio(activated, of_group.height)))
    designs = people.select(GROUPS).drop_nulls().unique(maintain_order=True).to_dicts()
    levels = {PRIMARY: alpha, **dict.fromkeys(SECONDARY, alpha / len(SECONDARY))}
    lifts = (_lift(people, *pair, level, tuned_at, promised=bool(designs)) for pair, level in levels.items())
    because: dict[str, int] = dict(judged["because"].value_counts().iter_rows())
    return EffectReport(
        groups=tuple(rates),
        lifts=tuple(lift for lift in lifts if lift is not None),
        immature=because.get("immature", 0),
        true_lift=None if truth is None else true_lift(evidence, truth),
        left_out=because.get("left_out", 0),
        observing=because.get("observing", 0),
        unknown=because.get("unknown", 0),
        without_signup=because.get("without_signup", 0),
        before_signup=int(people["before_signup"].sum()),
        expired=because.get("expired", 0),
        signed_in=int(people["signed_in"].sum()),
        outside=existing.join(judged, on="user_id", how="anti").height,
        existing_now=existing.join(people, on="user_id", how="semi").height,
        by_first_event=judged.height > 0 and _by_first_event(judged),
        designs=tuple(designs),
    )


def _share(both: pl.DataFrame, treated: str, control: str) -> pl.Series:
    """Return each person's probability of ``treated`` given one of the two groups; the observed one where no probability is known."""
    promised = both[treated] / (both[treated] + both[control])
    return promised.fill_null((both["experiment_group"] == treated).mean())


def _lift(people: pl.DataFrame, treated: str, control: str, alpha: float, tuned_at: int, *, promised: bool) -> Lift | None:
    """Compare two groups; None where nobody could have been in either."""
    both = people.filter(pl.col("experiment_group").is_in([treated, control]))
    if not both.height:
        return None
    both = both.with_columns(share=_share(both, treated, control)).filter((pl.col("share") > 0.0) & (pl.col("share") < 1.0))
    in_treated = both["experiment_group"] == treated
    return compared(
        (treated, control), both["activated"], in_treated, both["share"].to_numpy(), alpha=alpha, tuned_at=tuned_at, promised=promised
    )


def compared(
    pair: tuple[str, str], outcome: pl.Series, in_treated: pl.Series, share: ArrayLike, *, alpha: float, tuned_at: int, promised: bool
) -> Lift | None:
    """Compare the outcomes (0 or 1) of two groups, ``pair``, in order; ``share`` as for ``difference``. None where nobody can be compared.

    ``promised``: the shares were promised, and not observed.
    """
    success, treated = outcome.to_numpy(), in_treated.to_numpy()
    estimate, fixed_lower, fixed_upper = difference_fixed(success, treated, share, alpha=alpha)
    if math.isnan(estimate):
        return None
    path = difference(success, treated, share, alpha=alpha, tuned_at=tuned_at)
    first = first_proof(success, treated, share, alpha=alpha, tuned_at=tuned_at) if promised else None
    return Lift(
        treated=pair[0],
        control=pair[1],
        lift=estimate,
        lower=float(path.lower[-1]),
        upper=float(path.upper[-1]),
        fixed_lower=fixed_lower,
        fixed_upper=fixed_upper,
        claimed=first is not None,
        claimed_after=first,
        path=path,
        people=success.size,
        share=float(np.broadcast_to(share, success.shape).mean()),
        level=1.0 - alpha,
        promised=promised,
    )


def without_proof(report: EffectReport) -> EffectReport:
    """Return ``report`` with nothing claimed or proven: for groups whose sizes are not as promised."""
    lifts = tuple(replace(lift, claimed=False, claimed_after=None, promised=False) for lift in report.lifts)
    return replace(report, lifts=lifts)


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


def people_needed(*, lift: float, rate: float, share: float) -> int:
    """Return about how many people of both groups the always-valid interval needs to claim ``lift`` (above 0) with a power of 0.8.

    ``rate``: activation without guidance. It is the number at which the expected sum of pseudo-outcomes is above the margin by as many
    standard deviations as the power asks, and a little more than needed, since an earlier look may claim the lift too. Raises
    ``ValueError`` for a lift that is not above 0.
    """
    if lift <= 0:
        raise ValueError(f"the lift to plan for is above 0, not {lift:g}")
    first = contrast([0.0], [0.0], share)
    groups = ((min(1.0, rate + lift), share), (rate, 1.0 - share))

    def enough(people: int) -> bool:
        spread = sum(_expected_spread(people, of_group, part) for of_group, part in groups)
        margin = float(bernstein_margin([spread], first.bound, ALPHA / 2.0, TUNED_AT * first.variance)[0])
        return people * lift >= margin + NormalDist().inv_cdf(_POWER) * math.sqrt(spread)

    most = 1
    while not enough(most):
        most *= 2
    return bisect_left(range(most), True, lo=most // 2, key=enough)


def _expected_spread(people: int, rate: float, share: float) -> float:
    """Return what a group adds to the sum of squared deviations of pseudo-outcomes from their guesses, if its share of ``people`` is in it.

    A guess is the mean of the group's outcomes so far, with one success in two before the first (``contrast``). So the sum is the variance
    of the outcomes and the squared error of the guesses, which is largest for the first of them; that is summed by its integral.
    """
    variance, members = rate * (1.0 - rate), people * share
    of_variance = variance * (math.log1p(members / 2.0) + 2.0 / (members + 2.0) - 1.0)
    of_bias = (1.0 - 2.0 * rate) ** 2 * (0.5 - 1.0 / (members + 2.0))
    return people * variance / share + (of_variance + of_bias) / share**2
