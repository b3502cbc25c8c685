"""Values computed by hand from the truth, and the reference learner."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.coverage_worlds import ARMS, SEGMENTS, STEPS
from evaluation.bandit_value import Exposed, best_arms, curves, expose, exposed, last, part, values
from evaluation.evidence import Evidence
from evaluation.logged import Logged
from evaluation.prior import Prior, PriorError, prior_for, read_prior
from evaluation.reference import reference
from evaluation.truth import Exposure, SealedTruth, World
from state.duration import DAY, MINUTE
from tests.evaluation.cases import START, healthy_run, person, truth
from tests.support.waiting import uses_at_most


def _shown(index: int, trigger: str, segment: str, expected: dict[str, float]) -> Exposure:
    return Exposure(
        decision_id=f"d{index}",
        recommendation_id=f"r{index}",
        trigger=trigger,
        step="s",
        segment=segment,
        arm="a",
        shown_at=START + index,
        expected=expected,
    )


def _decision(index: int, trigger: str, segment: str, arms: list[str], propensities: list[float]) -> dict[str, Any]:
    return {
        "decision_id": f"d{index}",
        "user_id": f"u{index}",
        "experiment_group": "adaptive",
        "trigger": trigger,
        "path_id": "p",
        "step_id": "s",
        "segment": segment,
        "outcome": "decided",
        "reason": "",
        "arm": "a",
        "propensity": propensities[0],
        "arms": arms,
        "propensities": propensities,
        "decided_at": START + index,
    }


CASES = (
    ("signup", "x", ["a", "b", "c"], [0.5, 0.25, 0.25], {"a": 0.4, "b": 0.8, "c": 0.0}),
    ("signup", "y", ["a", "b", "c"], [0.5, 0.25, 0.25], {"a": 0.6, "b": 0.0, "c": 0.2}),
    ("signup", "x", ["a", "c"], [0.5, 0.5], {"a": 0.4, "b": 0.8, "c": 0.1}),
    ("stuck:errors", "x", ["a", "b"], [0.9, 0.1], {"a": 0.1, "b": 0.3, "c": 0.9}),
)


def _exposed() -> Exposed:
    evidence = Evidence.of(
        until=START + DAY, decisions=[_decision(i, trigger, segment, arms, p) for i, (trigger, segment, arms, p, _) in enumerate(CASES)]
    )
    people = [person(f"u{i}", exposures=(_shown(i, trigger, segment, e),)) for i, (trigger, segment, _, _, e) in enumerate(CASES)]
    return exposed(evidence, truth(*people))


def test_values_by_hand_count_only_eligible_arms() -> None:
    """On sign-up `a` is best overall (0.4, 0.6, 0.4); with segments, `b` in x where it is eligible; `c` of the last is not eligible."""
    shown = _exposed()
    assert shown.log.arms == ("a", "b", "c")
    found = values(shown)
    assert found is not None
    assert found.policy == pytest.approx(np.mean([0.4, 0.35, 0.25, 0.12]))
    assert found.mean == pytest.approx(np.mean([0.4, 0.6, 0.4, 0.1]))
    assert found.uniform == pytest.approx(np.mean([0.4, 0.8 / 3, 0.25, 0.2]))
    assert found.best_fixed == pytest.approx(np.mean([0.4, 0.6, 0.4, 0.3]))
    assert found.best_policy == pytest.approx(np.mean([0.8, 0.6, 0.4, 0.3]))
    assert np.isnan(found.observed)


def test_regret_curves_end_at_the_differences_of_the_values() -> None:
    shown = _exposed()
    found, regret = values(shown), curves(shown)
    assert found is not None
    assert regret.against_uniform[-1] == pytest.approx(4 * (found.uniform - found.policy))
    assert regret.against_best_policy[-1] == pytest.approx(4 * (found.best_policy - found.policy))
    assert (np.diff(regret.against_best_policy) >= -1e-12).all()


def test_the_last_fifth_is_valued_alone() -> None:
    shown = _exposed()
    assert len(last(shown).log) == 1
    found = values(last(shown))
    assert found is not None
    assert found.best_policy == pytest.approx(0.3)
    assert values(part(shown, 0, 0)) is None


def test_the_best_eligible_arm_of_a_group_is_chosen() -> None:
    group = np.array([0, 0, 1])
    expected = np.array([[0.1, 0.9], [0.2, 0.0], [0.5, 0.4]])
    eligible = np.array([[True, True], [True, False], [True, True]])
    assert best_arms(group, expected, eligible).tolist() == [1, 0, 0]


def test_best_arms_are_chosen_separately_before_and_after_a_change() -> None:
    size = 40
    log = Logged(
        arms=("a", "b"),
        contexts=(("signup", "s", "x"),),
        context=np.zeros(size, dtype=np.int64),
        chosen=np.zeros(size, dtype=np.int64),
        eligible=np.ones((size, 2), dtype=np.bool_),
        propensities=np.full((size, 2), 0.5),
        rewards=np.zeros(size),
    )
    expected = np.where(np.arange(size)[:, None] < 30, [[0.8, 0.2]], [[0.1, 0.9]])
    found = values(expose(log, expected, START + np.arange(size), START + 30))
    blind = values(expose(log, expected, START + np.arange(size)))
    assert found is not None
    assert blind is not None
    assert found.best_fixed == pytest.approx((30 * 0.8 + 10 * 0.9) / 40)
    assert blind.best_fixed == pytest.approx((30 * 0.8 + 10 * 0.1) / 40)


def test_the_healthy_run_earns_about_its_expected_reward() -> None:
    found = values(exposed(*healthy_run()))
    assert found is not None
    assert found.observed == pytest.approx(found.mean, abs=0.05)
    assert [found.best_fixed, found.best_policy, found.uniform] == pytest.approx([0.6, 0.6, 0.4])
    assert found.gap_closed is not None
    assert -0.2 < found.gap_closed < 0.2


PRIOR = {"mean": -0.4, "sd": 0.3, "stepSd": 0.5, "arm": 0.4, "arm:segment": 0.5}


def _world(size: int, seed: int) -> Exposed:
    """Return exposures of a world drawn from ``PRIOR``, one every ten minutes."""
    rng = np.random.default_rng(seed)
    step, arm = rng.normal(0, 0.5, len(STEPS)), rng.normal(0, 0.4, len(ARMS))
    meeting = rng.normal(0, 0.5, (len(SEGMENTS), len(ARMS)))
    contexts = tuple(("stuck:errors", s, g) for s in STEPS for g in SEGMENTS)
    logits = np.array([-0.4 + step[s] + arm + meeting[g] for s in range(len(STEPS)) for g in range(len(SEGMENTS))])
    context = rng.integers(0, len(contexts), size)
    k = len(ARMS)
    log = Logged(
        ARMS, contexts, context, rng.integers(0, k, size), np.ones((size, k), dtype=np.bool_), np.full((size, k), 1 / k), np.zeros(size)
    )
    return expose(log, (1 / (1 + np.exp(-logits)))[context], START + np.arange(size) * 10 * MINUTE)


def test_the_reference_reaches_most_of_the_possible_gain_quickly() -> None:
    shown = _world(6_000, 1)
    with uses_at_most(6, "the reference"):
        learner = reference(shown, read_prior(PRIOR), seed=2)
    assert learner is not None
    found = values(last(shown))
    assert found is not None
    assert learner.value > found.uniform + 0.85 * (found.best_policy - found.uniform)
    assert learner.value <= found.best_policy + 1e-9


def test_the_reference_learns_no_reward_before_its_window_closes() -> None:
    """With a window longer than the run it learns nothing and stays near uniform."""
    shown = _world(1_500, 2)
    found = values(shown)
    blind = reference(shown, read_prior(PRIOR), window=100 * DAY, share=1.0)
    assert blind is not None
    assert found is not None
    assert blind.value == pytest.approx(found.uniform, abs=0.03)


def test_the_reference_is_repeatable_and_never_shows_an_ineligible_arm() -> None:
    shown = _world(400, 3)
    eligible = shown.log.eligible.copy()
    eligible[:, 0] = False
    restricted = replace(shown, log=replace(shown.log, eligible=eligible), expected=np.where(eligible, shown.expected, -5.0))
    first, second = (reference(restricted, read_prior(PRIOR), seed=7) for _ in range(2))
    assert first is not None
    assert second is not None
    assert (first.earned == second.earned).all()
    assert (first.earned >= 0).all()


def test_an_unknown_prior_is_measured_instead() -> None:
    shown = _world(3_000, 4)
    prior = prior_for({"form": "unheard of"}, shown)
    assert prior.terms[("step",)] == pytest.approx(0.5, abs=0.35)
    assert prior.terms[("segment", "arm")] > 0.2
    assert ("trigger", "arm") not in prior.terms
    assert prior_for(PRIOR, shown) == read_prior(PRIOR)
    measured, read = reference(shown, prior, seed=1), reference(shown, read_prior(PRIOR), seed=1)
    assert measured is not None
    assert read is not None
    assert measured.value == pytest.approx(read.value, abs=0.03)


def test_a_prior_is_read_in_any_spelling_or_rejected_with_a_message() -> None:
    prior = read_prior({"interceptMean": -1, "intercept_sd": 0.5, "sds": {"armSegmentSd": 0.3, "trigger:arm": 0.2, "step": 0}})
    assert (prior.mean, prior.sd) == (-1.0, 0.5)
    assert prior.terms == {("segment", "arm"): 0.3, ("trigger", "arm"): 0.2}
    with pytest.raises(PriorError, match="a term moon"):
        read_prior({"moon": 1.0})
    with pytest.raises(PriorError, match="only numbers"):
        read_prior({"arm": "wide"})


def test_exposures_without_a_decision_have_no_value() -> None:
    nothing = exposed(Evidence.of(until=1), SealedTruth(people=(), world=World(horizons={})))
    assert values(nothing) is None
    assert curves(nothing).against_best_policy.size == 0


def test_the_reference_takes_a_prior_in_which_nothing_varies() -> None:
    """It is measured so where a demo has three users."""
    found = reference(_exposed(), Prior(0.0, 0.0, {("arm",): 0.0, ("arm", "segment"): 0.3}))
    assert found is not None
    assert 0.0 <= found.value <= 1.0
