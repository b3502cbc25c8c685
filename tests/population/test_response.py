"""The effect of guidance: successes match the expected probabilities, and scenarios have the promised differences."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from population.clock import DAY
from population.effects import sizes_of
from population.person import Person
from population.product import Product
from population.response import Effects
from population.scenarios import SCENARIOS
from tests.population.simulate import PRODUCT, START, RandomGuidance, Run, begin_line, simulate, succeeded

ARMS: list[str] = PRODUCT["arms"]
NEW = "quiet_sidebar"
_runs: dict[str, Run] = {}


def _run(scenario: str, seed: int = 1, users: int = 1000, **changed: Any) -> Run:
    key = repr((scenario, seed, users, changed))
    if key in _runs:
        return _runs[key]
    product = {**PRODUCT, **changed}
    _runs[key] = simulate(begin_line(scenario, seed=seed, users=users, product=product), RandomGuidance(product, seed, every=DAY))
    return _runs[key]


def _standardised_error(run: Run) -> float:
    """Return the difference of successes from their expectation in standard deviations, for windows that close before the end."""
    shown = [(person, exposure) for person, exposure in run.exposures if exposure["shownAt"] + DAY < START + 14 * DAY]
    chances = [exposure["expected"][exposure["arm"]] for _, exposure in shown]
    assert len(shown) > 700
    spread = math.sqrt(sum(chance * (1 - chance) for chance in chances))
    error: float = (sum(succeeded(person, exposure) for person, exposure in shown) - sum(chances)) / spread
    return error


def _means(run: Run) -> dict[str, float]:
    shown = [exposure["expected"] for _, exposure in run.exposures]
    return {arm: sum(expected[arm] for expected in shown) / len(shown) for arm in ARMS}


@pytest.mark.parametrize("scenario", ["baseline", "misspecified", "harmful_arm", "drift"])
def test_successes_are_as_frequent_as_expected(scenario: str) -> None:
    assert abs(_standardised_error(_run(scenario, newArms={NEW: START}))) < 3.5


def test_shown_guidance_increases_activation() -> None:
    people = [person for person in _run("baseline").people if person["path"]]
    activated = sum(person["activatedAt"] is not None for person in people)
    twins = sum(person["untreated"]["activatedAt"] is not None for person in people)
    assert activated - twins > 0.01 * len(people)


@pytest.mark.slow
def test_without_effect_people_equal_their_twins_and_all_arms_are_equal() -> None:
    run = _run("no_effect")
    assert len(run.exposures) > 800
    for person in run.people:
        twin = person["untreated"]["activatedAt"]
        assert person["activatedAt"] == (twin if twin is not None and twin < START + 14 * DAY else None)
    assert all(len(set(exposure["expected"].values())) == 1 for _, exposure in run.exposures)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_new_arm_is_about_five_points_better_than_the_best_of_the_others(seed: int) -> None:
    means = _means(_run("new_arm", seed, newArms={NEW: START + 3 * DAY}))
    best = max(means[arm] for arm in ARMS if arm != NEW)
    assert 0.02 < means[NEW] - best < 0.08


@pytest.mark.slow
def test_a_harmful_arm_costs_about_ten_points_of_untreated_completion() -> None:
    run = _run("harmful_arm", newArms={NEW: START})
    untreated = _means(_run("no_effect"))[NEW]
    assert -0.13 < _means(run)[NEW] - untreated < -0.07
    assert all(exposure["expected"][NEW] <= min(exposure["expected"].values()) + 1e-9 for _, exposure in run.exposures)


def test_drift_exchanges_the_effects_of_the_arms_at_half_time() -> None:
    half, sample = START + 7 * DAY, msgspec.convert(PRODUCT, Product)
    effects = Effects(sample, sizes_of("drift"), 1, half)
    for number in range(50):
        person = Person(sample, SCENARIOS["drift"], 1, number, START, START + 14 * DAY)
        before, after = ([effects.help_probability(arm, "signup", "share", person, at, []) for arm in ARMS] for at in (half - 1, half))
        assert sorted(before) == sorted(after)
        assert before.index(max(before)) != after.index(max(after))
    assert _run("drift", users=50).world["changedAt"] == half


def test_repeated_and_frequent_showings_help_less() -> None:
    sample = msgspec.convert(PRODUCT, Product)
    effects, person = Effects(sample, sizes_of("baseline"), 1), Person(sample, SCENARIOS["baseline"], 1, 0, START, START + DAY)

    def helps(*seen: tuple[int, str]) -> float:
        return effects.help_probability(NEW, "signup", "share", person, START + 10 * DAY, list(seen))

    fresh, last_week, yesterday = helps(), helps((START + 3 * DAY, NEW)), helps((START + 8 * DAY, NEW))
    assert fresh > last_week > yesterday > helps((START + 10 * DAY - 1, NEW))
    assert fresh == helps((START + 8 * DAY, ARMS[0])) > helps((START + 10 * DAY - 1, ARMS[0]))
    assert (
        effects.leave_probability(START, [])
        == 0
        < effects.leave_probability(START, [(START - 1, NEW)])
        < effects.leave_probability(START, [(START - 1, NEW)] * 3)
    )


def test_the_truth_has_the_prior_of_a_logistic_world_only() -> None:
    assert _run("misspecified", users=20).world["prior"] is None
    prior = _run("baseline", users=20).world["prior"]
    assert prior["form"] == "logistic"
    assert {"strength", "interceptSd", "armSd", "armSegmentSd", "armStepSd", "susceptibilitySd"} <= prior.keys()


def test_a_cold_world_has_many_small_segments() -> None:
    run = _run("cold", users=700, segmentBy=["persona", "region"])
    sizes: dict[str, int] = {}
    for _, exposure in run.exposures:
        sizes[exposure["segment"]] = sizes.get(exposure["segment"], 0) + 1
    assert len(sizes) > 50
    assert max(sizes.values()) > 10 * sorted(sizes.values())[len(sizes) // 2]
