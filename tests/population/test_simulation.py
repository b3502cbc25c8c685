"""People with and without guidance: the same random draws, and differences only through guidance."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from population.effects import FILE
from population.scenarios import SCENARIOS
from population.simulation import Population
from tests.population.simulate import PRODUCT, SLOT, START, NoGuidance, RandomGuidance, Run, begin_line, simulate


def test_the_effects_have_the_recorded_hash() -> None:
    """A change of an effect size must also change the hash."""
    sealed = Path(FILE).with_name("effects.sha256").read_text(encoding="utf-8").split()[0]
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() == sealed


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run() -> None:
    first, again, other = (simulate(begin_line(seed=seed), RandomGuidance(PRODUCT)) for seed in (5, 5, 6))
    assert first == again
    assert first.events != other.events


def test_from_another_number_on_the_same_world_has_other_people() -> None:
    some, others = (simulate({**begin_line(users=30), "first": first}) for first in (0, 1_000))
    assert {person["userId"] for person in others.people} == {f"p{1_000 + number:06d}" for number in range(30)}
    assert [person["signupAt"] for person in some.people] != [person["signupAt"] for person in others.people]
    assert some.world == others.world
    with pytest.raises(ValueError, match="first must not be negative"):
        simulate({**begin_line(users=1), "first": -1})


@pytest.mark.parametrize("scenario", ["baseline", "messy", "misspecified"])
def test_people_without_guidance_equal_their_untreated_twins(scenario: str) -> None:
    run = simulate(begin_line(scenario, users=500))
    end = START + 14 * 86_400_000
    activated = 0
    for person in run.people:
        twin = person["untreated"]["activatedAt"]
        assert person["activatedAt"] == (twin if twin is not None and twin < end else None)
        activated += person["activatedAt"] is not None
        for episode in person["episodes"]:
            natural = episode["untreatedAt"]
            assert episode["completedAt"] == (natural if natural is not None and natural < end else None)
    assert 100 < activated < 450


@settings(max_examples=5)
@given(seed=st.integers(0, 2**40), guidance_seed=st.integers(0, 100))
@pytest.mark.slow
def test_before_the_first_showing_guidance_changes_nothing(seed: int, guidance_seed: int) -> None:
    begin = begin_line(seed=seed, users=25)
    guided, alone = simulate(begin, RandomGuidance(PRODUCT, guidance_seed)), simulate(begin)
    first = {p["userId"]: min((x["shownAt"] for x in p["exposures"]), default=START * 2) for p in guided.people}

    def before(run: Run) -> list[tuple[int, bytes]]:
        return [(at, event) for at, event in run.events if at < first[json.loads(event)["userId"]]]

    assert before(guided) == before(alone)
    assert [p["untreated"] for p in guided.people] == [p["untreated"] for p in alone.people]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_truth_is_consistent(scenario: str) -> None:
    product = {**PRODUCT, "newArms": {"quiet_sidebar": START + 5 * 86_400_000}}
    run = simulate(begin_line(scenario, users=200, product=product), RandomGuidance(product))
    steps = {step["id"] for step in PRODUCT["steps"]}
    assert set(run.world["horizons"]) == steps
    assert all(horizon > 0 for horizon in run.world["horizons"].values())
    for person in run.people:
        if person["bot"]:
            assert person["episodes"] == person["exposures"] == []
            continue
        since = person["signupAt"]
        for episode in person["episodes"]:
            assert since == episode["since"] == episode["onset"] < START + 14 * 86_400_000
            since = episode["completedAt"]
            assert since is None or since > episode["since"]
            assert episode["untreatedAt"] is None or episode["untreatedAt"] > episode["since"]
        if person["activatedAt"] is not None:
            assert person["activatedAt"] == since
        for exposure in person["exposures"]:
            assert set(exposure["expected"]) == set(PRODUCT["arms"])
            assert all(0.0 <= share <= 1.0 for share in exposure["expected"].values())


def test_apps_read_only_for_signed_up_people_who_act_in_the_next_slot() -> None:
    population = Population()
    population.begin(begin_line(users=80))
    known, reads, last = set[str](), list[str](), START
    at: int | None = START
    while at is not None:
        arrived, following, later = population.advance(at, at + SLOT, {})
        assert [when for when, _ in arrived] == sorted(when for when, _ in arrived)
        assert all(at <= when < at + SLOT for when, _ in arrived)
        assert known.issuperset(reads)
        acting = {json.loads(event)["userId"] for _, event in arrived}
        assert acting.issuperset(reads)
        known |= acting
        reads, last, at = following, at, later
    assert len(known) == 80
    assert last > START + 8 * 86_400_000


def test_a_messy_network_changes_arrivals_but_not_behaviour() -> None:
    clean, messy = simulate(begin_line(users=400)), simulate(begin_line("messy", users=400))
    assert clean.people == messy.people
    sent, arrived = ([json.loads(event) for _, event in run.events] for run in (clean, messy))
    assert {e["eventId"] for e in arrived} <= {e["eventId"] for e in sent}
    assert len(arrived) > len({e["eventId"] for e in arrived})
    assert [e["eventId"] for e in arrived] != [e["eventId"] for e in sent]


def test_a_showing_is_reported_once_with_the_records_id() -> None:
    run = simulate(begin_line(users=300), RandomGuidance(PRODUCT))
    reported = [
        e["payload"]["recommendationId"] for e in map(json.loads, (b for _, b in run.events)) if e["eventType"] == "recommendation_shown"
    ]
    assert sorted(reported) == sorted(exposure["recommendationId"] for _, exposure in run.exposures)
    assert len(reported) == len(set(reported)) > 300


class _UnshowableRecords(RandomGuidance):
    """Returns records that no app shows: expired, without component, or for a step of another path."""

    def record(self, user: str, at: int) -> dict[str, Any] | None:
        record = super().record(user, at)
        if record is None:
            return None
        changes = [{"expiresAt": "2020-01-01T00:00:00Z"}, {"uiComponent": "none"}, {"stepId": "elsewhere"}]
        return {**record, **changes[record["version"] % 3]}


def test_expired_empty_and_foreign_records_are_not_shown() -> None:
    assert simulate(begin_line(users=100), _UnshowableRecords(PRODUCT)).exposures == []


def test_only_the_truth_marks_bots() -> None:
    run = simulate(begin_line("bots", users=200))
    assert sum(person["bot"] for person in run.people) == 10
    assert simulate(begin_line(users=200), NoGuidance()).people == run.people[:200]
