"""Traits with names of one's own: the catalog names them, they become evidence of who gets stuck, and what is left out is counted."""

from __future__ import annotations

from random import Random

import pytest

from state.catalog.evidence_weights import FEATURES
from state.catalog.model import LONGEST_TRAIT_NAME, MOST_TRAITS
from state.catalog.parse import CatalogError, parse
from state.catalog.plan import Plan
from state.counters import MOST_NAMED, OTHERS, CounterTotals, add_to_totals
from state.person.person import Episode, Person
from state.stuck.evidence import features
from state.stuck.row import Row, pack
from state.stuck.score import ScoreLearner
from tests.state.lives import SMALL, Life, catalog, counts, event, plan


def naming(*traits: str) -> Plan:
    """The small catalog, which names these traits."""
    return Plan(catalog(change=lambda text: f"traits: [{', '.join(traits)}]\n{text}"))


def evidence(person: Person) -> set[int]:
    return set(features(person, Episode("connect", person.first_seen, 1_000_000), at=person.first_seen + 500_000, bucket=2))


def life(of: Plan, **traits: object) -> Life:
    found = Life(of)
    found.see(event("signup", traits=traits))
    return found


def person_of(of: Plan, **traits: object) -> Person:
    found = life(of, **traits).person
    assert found is not None
    return found


def test_a_trait_that_the_catalog_names_is_kept_and_is_evidence() -> None:
    named = naming("age", "plan")
    assert person_of(named, age=90, plan="pro", other="x").traits == {"age": 90, "plan": "pro"}
    young, old = (evidence(person_of(named, age=age)) for age in (20, 90))
    assert len(young - old) == len(old - young) == 1
    assert evidence(person_of(plan(), age=20)) == evidence(person_of(plan(), age=90))


def test_naming_a_trait_leaves_what_is_known_of_users_in_force() -> None:
    assert naming("age").digest == plan().digest


def test_a_trait_with_values_without_end_adds_no_weights_without_end() -> None:
    learner, rng = ScoreLearner(), Random(3)
    for number in range(2 * FEATURES):
        person = Person(tenant="t", user="u", traits={"budget": number})
        found = learner.score().predict("step", 1, tuple(evidence(person)))
        learner.learn(
            "step",
            [Row(1, found.time, found.added, found.score, pack(tuple(evidence(person))))],
            stuck=rng.random() < 0.4,
            unaided=True,
        )
    assert len(learner.weights) <= FEATURES


def test_values_of_traits_that_are_not_kept_are_counted_by_name() -> None:
    traits = {"persona": "x", "age": 7, "plan": "pro", "team": None, "groups": ["a"]}
    seen = life(naming("age"), **traits)
    assert counts(seen.outputs, "traits_not_kept") == ["plan"]


@pytest.mark.parametrize("name", ["email", "First_Name", "userId", "phone"])
def test_what_no_catalog_may_name_is_not_proposed(name: str) -> None:
    assert counts(life(plan(), **{name: "x"}).outputs, "traits_not_kept") == []


@pytest.mark.parametrize("name", ["ana@example.com", "8731", "x" * (LONGEST_TRAIT_NAME + 1), "<b>", "", "a\nb"])
def test_a_name_that_may_be_a_value_is_counted_and_not_told(name: str) -> None:
    assert counts(life(plan(), **{name: "x"}).outputs, "traits_not_kept") == [OTHERS]


def test_names_without_end_are_counted_together() -> None:
    totals: CounterTotals = {"people": 1}
    for number in range(3 * MOST_NAMED):
        add_to_totals(totals, {f"traits_not_kept|t{number}": 2, "traits_not_kept|t0": 1, "people": 1})
    assert len(totals) == MOST_NAMED + 2
    assert totals[f"traits_not_kept|{OTHERS}"] == 2 * 2 * MOST_NAMED
    assert totals["traits_not_kept|t0"] == 3 * MOST_NAMED
    assert totals["people"] == 1 + 3 * MOST_NAMED


@pytest.mark.parametrize(
    ("traits", "field", "words"),
    [
        ("[age, plan, age]", "traits[2]", "'age' appears twice"),
        ("[age, E-Mail]", "traits[1]", "'E-Mail' identifies a user, and is no evidence of who gets stuck"),
        ("['']", "traits[0]", "is empty"),
        (f"[{'x' * (LONGEST_TRAIT_NAME + 1)}]", "traits[0]", f"is longer than {LONGEST_TRAIT_NAME} characters"),
        (f"[{', '.join(f't{number}' for number in range(MOST_TRAITS + 1))}]", "traits", f"has more than {MOST_TRAITS}"),
        ("age", "traits", "should be a list"),
    ],
)
def test_a_fault_in_the_traits_is_named(traits: str, field: str, words: str) -> None:
    with pytest.raises(CatalogError) as caught:
        parse(f"traits: {traits}\n{SMALL}".replace("HOLDOUT", "0").replace("COOLDOWN", "6h").replace("CAP", "3"), "mine.yaml")
    (fault,) = caught.value.faults
    assert (fault.field, fault.line) == (field, 1)
    assert words in fault.message
