"""Everybody has one level of each kind of evidence that is neither a trait nor something that happened."""

from __future__ import annotations

from state.person.person import Episode, Person
from state.stuck.evidence import Kind, feature, features

HAPPENED = {"touches": 9, "errors": 9, "bursts": 2, "rage": 1, "circles": 3}
"""Fields of an episode that have a feature once they are not 0."""


def test_everybody_has_a_level_of_every_kind_that_is_always_there() -> None:
    person, episode = Person(tenant="t", user="u"), Episode("connect", 0, 1_000_000)
    with_traits = Person(tenant="t", user="u", traits={"plan": "pro"})
    plain = features(person, episode, at=500_000, bucket=2)
    assert len(plain) == len(Kind) - 1 - len(HAPPENED) - 2, "but for traits, what happened, a slow step and visits"
    assert len(features(with_traits, episode, at=500_000, bucket=2)) == len(plain) + 1


def test_what_happened_has_one_feature_each_and_what_did_not_has_none() -> None:
    person, episode = Person(tenant="t", user="u", sessions=3), Episode("connect", 0, 1_000_000, sessions=3)
    plain = set(features(person, episode, at=500_000, bucket=2))
    kinds = (Kind.TOUCHES, Kind.ERRORS, Kind.ERROR_BURSTS, Kind.RAGE_CLICKS, Kind.CIRCLES, Kind.SLOW, Kind.VISITS)
    assert plain.isdisjoint(feature(kind, 0) for kind in kinds)
    happened = Episode("connect", 0, 1_000_000, sessions=1)
    for name, count in HAPPENED.items():
        setattr(happened, name, count)
    person.slow_noted = True
    found = set(features(person, happened, at=500_000, bucket=2))
    levels = (4, 6, 2, 1, 3, 1, 2)
    assert found - plain == {feature(kind, level) for kind, level in zip(kinds, levels, strict=True)}
    assert plain <= found


def test_the_numbers_of_kinds_are_those_of_snapshots_and_fitted_catalogs() -> None:
    assert {kind.name: int(kind) for kind in (Kind.ANY, Kind.HELD_OUT, Kind.SILENT_SHARE, Kind.HORIZON, Kind.TRAIT, Kind.LAST_HOUR)} == {
        "ANY": 1,
        "HELD_OUT": 2,
        "SILENT_SHARE": 6,
        "HORIZON": 25,
        "TRAIT": 26,
        "LAST_HOUR": 30,
    }
