"""What guidance does: what the truth expects is what happens, and the scenarios keep their promises."""

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
_played: dict[str, Run] = {}


def _run(scenario: str, seed: int = 1, users: int = 1000, **changed: Any) -> Run:
    key = repr((scenario, seed, users, changed))
    if key in _played:
        return _played[key]
    product = {**PRODUCT, **changed}
    _played[key] = simulate(begin_line(scenario, seed=seed, users=users, product=product), RandomGuidance(product, seed, every=DAY))
    return _played[key]


def _surprise(run: Run) -> float:
    """Return by how many standard deviations successes differ from what was expected, where the window closes before the end."""
    shown = [(person, exposure) for person, exposure in run.exposures if exposure["shownAt"] + DAY < START + 14 * DAY]
    chances = [exposure["expected"][exposure["arm"]] for _, exposure in shown]
    assert len(shown) > 700
    spread = math.sqrt(sum(chance * (1 - chance) for chance in chances))
    surprise: float = (sum(succeeded(person, exposure) for person, exposure in shown) - sum(chances)) / spread
    return surprise


def _means(run: Run) -> dict[str, float]:
    shown = [exposure["expected"] for _, exposure in run.exposures]
    return {arm: sum(expected[arm] for expected in shown) / len(shown) for arm in ARMS}


@pytest.mark.parametrize("scenario", ["baseline", "misspecified", "harmful_arm", "drift"])
def test_successes_come_as_often_as_expected(scenario: str) -> None:
    assert abs(_surprise(_run(scenario, newArms={NEW: START}))) < 3.5


def test_guidance_that_is_shown_lifts_activation() -> None:
    people = [person for person in _run("baseline").people if person["path"]]
    activated = sum(person["activatedAt"] is not None for person in people)
    twins = sum(person["untreated"]["activatedAt"] is not None for person in people)
    assert activated - twins > 0.01 * len(people)


def test_without_effect_everybody_is_the_twin_and_all_arms_are_equal() -> None:
    run = _run("no_effect")
    assert len(run.exposures) > 800
    for person in run.people:
        twin = person["untreated"]["activatedAt"]
        assert person["activatedAt"] == (twin if twin is not None and twin < START + 14 * DAY else None)
    assert all(len(set(exposure["expected"].values())) == 1 for _, exposure in run.exposures)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_new_arm_is_about_five_points_better_than_the_best_of_the_others(seed: int) -> None:
    means = _means(_run("new_arm", seed, newArms={NEW: START + 3 * DAY}))
    best = max(means[arm] for arm in ARMS if arm != NEW)
    assert 0.02 < means[NEW] - best < 0.08


def test_a_harmful_arm_costs_about_ten_points_of_what_would_have_happened_anyway() -> None:
    run = _run("harmful_arm", newArms={NEW: START})
    anyway = _means(_run("no_effect"))[NEW]
    assert -0.13 < _means(run)[NEW] - anyway < -0.07
    assert all(exposure["expected"][NEW] <= min(exposure["expected"].values()) + 1e-9 for _, exposure in run.exposures)


def test_drift_deals_the_effects_anew_at_half_time() -> None:
    half, sample = START + 7 * DAY, msgspec.convert(PRODUCT, Product)
    effects = Effects(sample, sizes_of("drift"), 1, half)
    for number in range(50):
        person = Person(sample, SCENARIOS["drift"], 1, number, START, START + 14 * DAY)
        before, after = ([effects.help_probability(arm, "signup", "share", person, at, []) for arm in ARMS] for at in (half - 1, half))
        assert sorted(before) == sorted(after)
        assert before.index(max(before)) != after.index(max(after))
    assert _run("drift", users=50).world["changedAt"] == half


def test_seeing_the_same_again_and_being_pestered_help_less() -> None:
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


def test_a_world_tells_what_its_effects_are_drawn_from_unless_that_would_mislead() -> None:
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
