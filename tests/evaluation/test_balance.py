"""Group sizes and shown rates: fair experiments pass at every look, and faults are found."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import polars as pl
import pytest

from evaluation.balance import (
    balance_by_design,
    group_balance,
    multinomial_path,
    people_balance,
    shown_balance,
    tilted_path,
    voided_balance,
)
from evaluation.evidence import Evidence
from state.duration import DAY
from tests.evaluation.cases import healthy_run
from tests.evaluation.groups import considered, member

SHARES = {"holdout": 0.2, "rules": 0.1, "adaptive": 0.7}


def _groups(size: int, shares: list[float], seed: int) -> list[str]:
    return [list(SHARES)[index] for index in np.random.default_rng(seed).choice(3, size, p=shares)]


def test_the_bayes_factor_equals_the_closed_form() -> None:
    counts, share, strength = [3, 1, 6], [0.2, 0.1, 0.7], 50.0
    arrived = np.random.default_rng(1).permutation(np.repeat([0, 1, 2], counts))
    closed = math.lgamma(strength) - math.lgamma(strength + 10)
    for n, s in zip(counts, share, strict=True):
        closed += math.lgamma(strength * s + n) - math.lgamma(strength * s) - n * math.log(s)
    assert multinomial_path(arrived, share, strength)[-1] == pytest.approx(closed)


def test_the_false_alarm_rate_over_all_looks_is_at_most_alpha() -> None:
    calls = sum(not group_balance(_groups(5_000, list(SHARES.values()), seed), SHARES, alpha=0.05).ok for seed in range(200))
    assert calls <= 10


def test_a_holdout_without_a_tenth_of_its_people_is_found() -> None:
    found = group_balance(_groups(20_000, [0.18, 0.1, 0.72], 1), SHARES)
    assert not found.ok
    assert found.p_value < 1e-6
    assert sum(found.counts.values()) == 20_000


def test_shares_must_sum_to_one_and_an_empty_experiment_is_balanced() -> None:
    with pytest.raises(ValueError, match=r"sum to 0\.9"):
        group_balance([], {"a": 0.5, "b": 0.4})
    assert group_balance([], SHARES).p_value == 1.0


def test_the_likelihood_ratio_is_a_martingale_under_the_logged_propensities() -> None:
    """The expected likelihood ratio after one draw is 1 for every probability."""
    for chance in (0.05, 0.3, 0.9):
        hit, miss = (float(np.exp(tilted_path([x], [chance])[-1])) for x in (1.0, 0.0))
        assert chance * hit + (1 - chance) * miss == pytest.approx(1.0)


def _shown_by_arm(evidence: Evidence, rates: dict[str, float], seed: int) -> Evidence:
    """Return the same decisions, shown at random with these rates by arm."""
    rng = np.random.default_rng(seed)
    decided = evidence.decisions
    keep = rng.random(decided.height) < decided["arm"].replace_strict(rates, return_dtype=pl.Float64).to_numpy()
    shown = decided.filter(pl.Series(keep)).with_columns(kind=pl.lit("shown"), occurred_at=pl.col("decided_at"))
    return Evidence.of(until=evidence.until, decisions=decided, outcomes=shown)


def test_equal_shown_rates_pass_although_propensities_differ() -> None:
    """The healthy run's propensities range from 5 to 90 % between decisions."""
    evidence, _ = healthy_run(400)
    calls = sum(
        not shown_balance(_shown_by_arm(evidence, {"bold": 0.6, "calm": 0.6, "plain": 0.6}, seed), alpha=0.05).ok for seed in range(40)
    )
    assert calls <= 2


def test_an_arm_that_is_shown_less_is_found_with_its_rate() -> None:
    evidence, _ = healthy_run(4_000)
    found = shown_balance(_shown_by_arm(evidence, {"bold": 0.7, "calm": 0.7, "plain": 0.5}, 1))
    assert not found.ok
    rates = dict(found.rates.select("arm", "rate").iter_rows())
    assert rates["plain"] == pytest.approx(0.5, abs=0.05)
    assert rates["bold"] == pytest.approx(0.7, abs=0.05)


def test_without_decisions_the_check_passes() -> None:
    assert shown_balance(Evidence.of(until=0)).ok


def _voided_by_arm(evidence: Evidence, rates: dict[str, float], seed: int) -> Evidence:
    """Return the same decisions, all of them shown, whose windows end without success or failure at random with these rates by arm.

    Every other such window ends so because the visitor signed in.
    """
    rng = np.random.default_rng(seed)
    decided = evidence.decisions.filter(pl.col("outcome") == "decided")
    voided = pl.Series(rng.random(decided.height) < decided["arm"].replace_strict(rates, return_dtype=pl.Float64).to_numpy())
    shown = decided.with_columns(kind=pl.lit("shown"), occurred_at=pl.col("decided_at"))
    ends = shown.with_columns(kind=pl.Series(np.where(voided, "withdrawn", "failure")), occurred_at=pl.col("decided_at") + 1)
    signed_in = ends.filter(voided)["user_id"].gather_every(2)
    people = [member(user, "merged", signup=0) for user in signed_in]
    return Evidence.of(until=evidence.until + 9 * DAY, people=people, decisions=decided, outcomes=pl.concat([shown, ends]))


def test_windows_that_end_without_an_outcome_whatever_the_arm_pass() -> None:
    evidence, _ = healthy_run(400)
    runs = [_voided_by_arm(evidence, {"bold": 0.3, "calm": 0.3, "plain": 0.3}, seed) for seed in range(40)]
    assert sum(not voided_balance(each, alpha=0.05).even for each in runs) <= 2
    found = voided_balance(runs[0])
    assert found.ended == 400
    assert 80 < found.voided < 160
    assert found.signed_in == (found.voided + 1) // 2
    assert found.common


def test_an_arm_whose_windows_end_without_an_outcome_more_often_is_found() -> None:
    """It makes visitors sign in, and of what they do then it is not known whether the arm brought it about."""
    evidence, _ = healthy_run(4_000)
    assert not voided_balance(_voided_by_arm(evidence, {"bold": 0.4, "calm": 0.2, "plain": 0.2}, 1)).even


def test_few_windows_that_end_with_a_sign_in_are_not_common_and_newest_decisions_do_not_count() -> None:
    evidence, _ = healthy_run(400)
    few = voided_balance(_voided_by_arm(evidence, {"bold": 0.05, "calm": 0.05, "plain": 0.05}, 1))
    assert few.signed_in > 0
    assert not few.common
    many = _voided_by_arm(evidence, {"bold": 0.5, "calm": 0.5, "plain": 0.5}, 1)
    middle = int(many.decisions.select(pl.col("decided_at").median()).item())
    assert voided_balance(dataclasses.replace(many, until=middle + DAY)).ended == 200, "of the others only what ends early has ended"
    nothing = voided_balance(Evidence.of(until=0))
    assert (nothing.even, nothing.common, nothing.ended) == (True, False, 0)


def test_groups_are_compared_with_the_shares_under_which_they_entered() -> None:
    """Nobody was held out at first, then half of the people: neither share describes all of them."""
    early, late = ["adaptive"] * 400, ["adaptive", "holdout"] * 200
    mixed = {"holdout": 0.5, "adaptive": 0.5}
    assert not group_balance([*early, *late], mixed).ok
    found = balance_by_design([(early, {"holdout": 0.0, "adaptive": 1.0}), (late, mixed)])
    assert found is not None
    assert found.ok
    assert (found.counts, found.shares) == ({"adaptive": 600, "holdout": 200}, mixed)
    wrong = balance_by_design([(early, mixed), (late, mixed)])
    assert wrong is not None
    assert not wrong.ok
    assert balance_by_design([]) is None


def _entered(sizes: dict[str, dict[str, int]], shares: dict[str, float]) -> Evidence:
    """People by the catalog under which they entered and by group, and the ``shares`` held out by each catalog that is on record."""
    people = [
        {
            "user_id": f"{version}-{group}-{number}",
            "experiment_group": group,
            "path_id": "p",
            "segment": "*",
            "first_seen_at": 1 + 10_000 * number // size,
            "signup_at": 1 + 10_000 * number // size,
            "activated_at": 0,
            "entered_under": version,
        }
        for version, groups in sizes.items()
        for group, size in groups.items()
        for number in range(size)
    ]
    promised = {"rules": 0.0, "exploration_floor": 0.0, "attribution_window_ms": 1, "template_share": -1.0}
    catalogs = [{"catalog_version": version, "holdout": share, **promised} for version, share in shares.items()]
    return Evidence.of(until=10_000, people=people, catalogs=catalogs)


def test_who_came_while_the_catalog_only_observed_is_not_held_against_the_shares_of_the_next_one() -> None:
    sizes = {"p@1": {"holdout": 700, "adaptive": 30}, "p@2": {"holdout": 64, "adaptive": 636}, "p@3": {"holdout": 9}}
    found = people_balance(_entered(sizes, {"p@1": 1.0, "p@2": 0.1}))
    assert found is not None
    assert found.ok
    assert (found.counts, found.observing, found.unknown) == ({"holdout": 64, "adaptive": 636}, 730, 9)


def test_a_wrong_share_is_found_among_those_who_entered_under_it() -> None:
    found = people_balance(
        _entered({"p@1": {"holdout": 350, "adaptive": 350}, "p@2": {"holdout": 300, "adaptive": 400}}, {"p@1": 0.5, "p@2": 0.1})
    )
    assert found is not None
    assert not found.ok


def test_a_share_that_signs_up_which_differs_between_the_groups_is_no_wrong_size() -> None:
    """Half of the people are held out, as promised. In the order of their sign-ups all who never sign up would come first.

    Guidance was considered for all of them before: only so can it change who signs up.
    """
    rng = np.random.default_rng(1)
    groups = rng.choice(["holdout", "adaptive"], 8_000)
    signed_up = rng.random(8_000) < np.where(groups == "holdout", 0.4, 0.3)
    people = [
        {
            "user_id": f"u{number}",
            "experiment_group": str(group),
            "path_id": "p",
            "segment": "*",
            "first_seen_at": 1 + number,
            "signup_at": (1 + number) * int(signed),
            "activated_at": 0,
            "entered_under": "p@1",
        }
        for number, (group, signed) in enumerate(zip(groups, signed_up, strict=True))
    ]
    considered_first = Evidence.of(until=0, people=people, decisions=[considered(each, 1 + number) for number, each in enumerate(people)])
    entered = _entered({}, {"p@1": 0.5})
    found = people_balance(dataclasses.replace(entered, people=considered_first.people, decisions=considered_first.decisions))
    assert found is not None
    assert found.ok


def test_without_any_known_share_group_sizes_cannot_be_checked() -> None:
    assert people_balance(_entered({"p@1": {"holdout": 350, "adaptive": 350}}, {})) is None
    assert people_balance(_entered({"p@1": {"holdout": 350}}, {"p@1": 1.0})) is None
