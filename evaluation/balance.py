"""Tests group sizes, shown rates and lost outcomes of the experiment. The p-values are valid at every look.

Group sizes: Lindon and Malek 2020, "Anytime-valid inference for multinomial count data", arXiv:2011.03567: a Dirichlet-multinomial
Bayes factor against the promised shares is a non-negative martingale under these shares, so 1 / its running maximum is an anytime-valid
p-value.

Shown rates: the arms of one decision share a surface, so being shown must not depend on the arm. Then, among the *shown* decisions, each
arm appears with its logged propensity, even if propensities differ by context and time. The alternative scales an arm's odds of being
shown by exp(tilt), mixed over tilts of both signs; its likelihood ratio is exact and needs no weights. The reported rates are weighted by
inverse propensity, which makes them comparable between arms.

Lost outcomes: a window may be voided, so that it ends without success or failure. That must not depend on the arm either, and is tested in
the same way among the voided decisions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from evaluation.arrays import Floats
from evaluation.effect import judged_people
from evaluation.evidence import ADAPTIVE, GROUPS, HOLDOUT, Evidence
from evaluation.logged import from_frame, shown_and_over
from evaluation.units import merged

_CONCENTRATION: Final = 1_000.0
"""Strength of the alternative around the promised shares; this one is most sensitive to faults of about a percentage point."""
_MANY_SIGNED_IN: Final = 10
_COMMON: Final = 0.05
"""If so many windows, and more than this share of them, end because the visitor signed in, the report warns."""
_TILTS = np.array([sign * size for size in (0.05, 0.1, 0.2, 0.4, 0.8) for sign in (-1.0, 1.0)])


@dataclass(frozen=True, slots=True)
class GroupBalance:
    """Group counts compared with the promised shares. ``p_value`` is valid after any number of looks.

    ``observing`` and ``unknown``: people who were left out, because the catalog only observed or because their shares are not known.
    """

    counts: dict[str, int]
    shares: dict[str, float]
    p_value: float
    ok: bool
    observing: int = 0
    unknown: int = 0


def group_balance(groups: Sequence[str], shares: Mapping[str, float], *, alpha: float = 0.01) -> GroupBalance:
    """Check groups in order of assignment against ``shares`` (they sum to 1). Other groups are ignored."""
    if not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6):
        raise ValueError(f"the shares of the groups sum to {sum(shares.values()):g}, not 1")
    names = [name for name, share in shares.items() if share > 0]
    place = {name: index for index, name in enumerate(names)}
    arrived = np.array([place[group] for group in groups if group in place], dtype=np.int64)
    log_factor = multinomial_path(arrived, [shares[name] for name in names], _CONCENTRATION)
    p_value = min(1.0, math.exp(-max(0.0, float(log_factor.max(initial=0.0)))))
    counts = np.bincount(arrived, minlength=len(names))
    return GroupBalance({name: int(counts[place[name]]) for name in names}, dict(shares), p_value, p_value >= alpha)


def balance_by_design(assigned: Sequence[tuple[Sequence[str], Mapping[str, float]]]) -> GroupBalance | None:
    """Check the groups of each design against its own shares, the newest design last; None without a group.

    The p-value is the smallest, times the number of designs. The counts are sums; the shares are those of the newest design.
    """
    found = [group_balance(groups, shares) for groups, shares in assigned if groups]
    if not found:
        return None
    counts: dict[str, int] = {}
    for each in found:
        for name, count in each.counts.items():
            counts[name] = counts.get(name, 0) + count
    p_value = min(1.0, min(each.p_value for each in found) * len(found))
    return GroupBalance(counts, found[-1].shares, p_value, p_value >= 0.01)


def people_balance(evidence: Evidence) -> GroupBalance | None:
    """Check the groups of the people who began against the shares that drew them; None where that is known of nobody.

    ``effect`` leaves out people of whom no decision or sign-up is stored, and so does this. They are in a group by their row, but no more
    after they signed in as a user from before, which may be an effect of guidance.
    """
    began = judged_people(evidence).filter(~pl.col("because").is_in(["expired", "without_signup"]))
    # Who begins, and when, does not depend on the group. In an order that does the running maximum would mean nothing.
    people = began.sort("began_at", "user_id")
    drawn = people.filter(pl.col(HOLDOUT) < 1.0)
    found = balance_by_design(
        [
            (of_shares["experiment_group"].to_list(), dict(zip(GROUPS, shares, strict=True)))
            for shares, of_shares in drawn.group_by(GROUPS, maintain_order=True)
        ]
    )
    unknown = people[HOLDOUT].null_count()
    return found and replace(found, observing=people.height - drawn.height - unknown, unknown=unknown)


def multinomial_path(arrived: ArrayLike, shares: Sequence[float], concentration: float) -> Floats:
    """Return the log Bayes factor after each arrival (category numbers) of "other shares" against ``shares``."""
    categories = np.asarray(arrived, dtype=np.int64)
    share = np.asarray(shares, dtype=np.float64)
    total = np.zeros(categories.size)
    for category in range(share.size):
        hits = (categories == category).astype(np.float64)
        before = np.cumsum(hits) - hits
        total += hits * (np.log(concentration * share[category] + before) - math.log(share[category]))
    return np.asarray(np.cumsum(total - np.log(concentration + np.arange(categories.size))))


@dataclass(frozen=True, slots=True)
class ShownBalance:
    """``rates``: ``arm decided shown rate`` ; the rate is weighted by inverse propensity. ``p_value`` as in ``GroupBalance``."""

    rates: pl.DataFrame
    p_value: float
    ok: bool


def shown_balance(evidence: Evidence, *, alpha: float = 0.01) -> ShownBalance:
    """Test over the adaptive group's decisions that being shown does not depend on the arm."""
    shown_ids = evidence.outcomes.filter(pl.col("kind") == "shown")["decision_id"].unique()
    chosen = evidence.decisions.filter((pl.col("outcome") == "decided") & (pl.col("experiment_group") == ADAPTIVE)).sort(
        "decided_at", "decision_id"
    )
    chosen = chosen.with_columns(shown=pl.col("decision_id").is_in(shown_ids.implode()))
    weight = 1.0 / pl.col("propensity")
    rates = (
        chosen.filter(pl.col("propensity") > 0)
        .group_by("arm")
        .agg(decided=pl.len(), shown=pl.col("shown").sum(), rate=(pl.col("shown") * weight).sum() / weight.sum())
        .sort("arm")
    )
    p_value = _arms_p_value(chosen.filter("shown"))
    return ShownBalance(rates, p_value, p_value >= alpha)


@dataclass(frozen=True, slots=True)
class VoidedBalance:
    """Shown decisions of the adaptive group whose window is over: how many ``ended``, and how many of them were ``voided``, which means
    without success or failure; ``signed_in``: of these, because the visitor signed in as a user. ``p_value`` as in ``GroupBalance``.

    ``even``: that it depends on the arm was not found.
    """

    ended: int
    voided: int
    signed_in: int
    p_value: float
    even: bool

    @property
    def common(self) -> bool:
        """Whether so many windows end with a sign-in that success rates say little: what visitors do then is not counted for the arm."""
        return self.signed_in >= _MANY_SIGNED_IN and self.signed_in > _COMMON * self.ended


def voided_balance(evidence: Evidence, *, alpha: float = 0.01) -> VoidedBalance:
    """Count the voided windows of the adaptive group, and test that they do not depend on the arm."""
    ends = evidence.outcomes.filter(pl.col("kind").is_in(["success", "failure", "withdrawn"])).unique("decision_id", keep="any")
    ended = shown_and_over(evidence).join(ends.select("decision_id", "kind"), on="decision_id").sort("decided_at", "decision_id")
    voided = ended.filter(pl.col("kind") == "withdrawn")
    p_value = _arms_p_value(voided)
    signed_in = voided.join(merged(evidence), left_on="user_id", right_on="visitor_id", how="semi").height
    return VoidedBalance(ended.height, voided.height, signed_in, p_value, p_value >= alpha)


def _arms_p_value(decisions: pl.DataFrame) -> float:
    """How likely arms as these are, if each of ``decisions`` is among them independent of its arm. They are in order of time."""
    seen = from_frame(decisions.with_columns(reward=pl.lit(0.0)))
    factors = [tilted_path(seen.chosen == number, seen.propensities[:, number]) for number in range(len(seen.arms))]
    if not factors or not len(seen):
        return 1.0
    # An average of martingales is a martingale, so that no correction for the number of arms is needed.
    together = _log_mean_exp(np.stack(factors))
    return min(1.0, math.exp(-max(0.0, float(together.max()))))


def tilted_path(happened: ArrayLike, chance: ArrayLike) -> Floats:
    """Return the log likelihood ratio after each draw: scaled odds against the null hypothesis of probability ``chance``."""
    hit = np.asarray(happened, dtype=np.float64)[None, :]
    p = np.asarray(chance, dtype=np.float64)[None, :]
    tilt = _TILTS[:, None]
    return _log_mean_exp(np.cumsum(tilt * hit - np.log1p(p * np.expm1(tilt)), axis=1))


def _log_mean_exp(rows: Floats) -> Floats:
    top = rows.max(axis=0)
    return np.asarray(top + np.log(np.exp(rows - top).mean(axis=0)))
