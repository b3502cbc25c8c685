"""Everybody has one level of each kind of evidence that is no trait."""

from __future__ import annotations

from state.person.person import Episode, Person
from state.stuck.evidence import Kind, features


def test_everybody_has_a_level_of_every_kind_but_traits() -> None:
    person, episode = Person(tenant="t", user="u"), Episode("connect", 0, 1_000_000)
    with_traits = Person(tenant="t", user="u", traits={"plan": "pro"})
    plain = features(person, episode, at=500_000, bucket=2)
    assert len(plain) == len(Kind) - 2
    assert len(features(with_traits, episode, at=500_000, bucket=2)) == len(Kind)
