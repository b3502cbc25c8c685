"""Everybody has one level of each kind of evidence that is neither a trait nor something that happened."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from state.duration import DAY, HOUR
from state.event_fields import Scalar
from state.person.person import Episode, Person
from state.stuck.evidence import Kind, feature, features

HAPPENED = {"touches": 9, "errors": 9, "bursts": 2, "rage": 1, "circles": 3}
"""Fields of an episode that have a feature once they are not 0."""


def test_everybody_has_a_level_of_every_kind_that_is_always_there() -> None:
    person, episode = Person(tenant="t", user="u"), Episode("connect", 0, 1_000_000)
    with_traits = Person(tenant="t", user="u", traits={"plan": "pro"})
    plain = features(person, episode, at=500_000, bucket=2)
    assert len(plain) == len(Kind) - 1 - len(HAPPENED) - 3, "but for traits, what happened, a slow step, visits and the other weekday"
    assert len(features(with_traits, episode, at=500_000, bucket=2)) == len(plain) + 1


BEFORE = [170, 185, 236, 824, 892, 923, 1258, 1737, 1817, 1891, 1905, 2018, 2376, 2411, 2762, 2890, 3014, 3690]
"""Features of a user without a zone, written down before there were local weekdays."""
MONDAY_NIGHT = int(datetime(2026, 3, 2, 3, tzinfo=UTC).timestamp() * 1000)
"""Monday, 03:00 UTC; in Los Angeles it is Sunday, 19:00."""
SUNDAY = 6


def levels(kind: Kind, zone: str | None, at: int = MONDAY_NIGHT) -> list[int]:
    """The weekdays, 0 for a Monday, that are features of a user with this trait."""
    traits: dict[str, Scalar] = {} if zone is None else {"timezone": zone}
    found = features(Person(tenant="t", user="u", traits=traits), Episode("connect", at - HOUR, 14 * HOUR), at=at, bucket=2)
    return [day for day in range(7) if feature(kind, day) in found]


@pytest.mark.parametrize(
    ("zone", "weekday"),
    [("America/Los_Angeles", SUNDAY), ("-08:00", SUNDAY), ("Europe/Berlin", 0), ("Pacific/Auckland", 0)],
)
def test_the_weekday_is_that_of_the_users_time_zone_as_the_hour_is(zone: str, weekday: int) -> None:
    assert levels(Kind.LOCAL_WEEKDAY, zone) == [weekday]
    assert levels(Kind.WEEKDAY, zone) == [], "what was learned of UTC's weekdays is not read as something of theirs"


@pytest.mark.parametrize("zone", [None, "UTC", "Z", "nowhere"])
def test_without_a_zone_the_weekday_is_utcs_and_has_the_features_that_it_always_had(zone: str | None) -> None:
    for days in range(8):
        assert levels(Kind.WEEKDAY, zone, MONDAY_NIGHT + days * DAY) == [days % 7]
        assert levels(Kind.LOCAL_WEEKDAY, zone, MONDAY_NIGHT + days * DAY) == []


def test_without_a_zone_nothing_has_changed_since_there_are_local_weekdays() -> None:
    """The numbers are those of the release before: scores and fitted catalogs mean the same."""
    person, episode = Person(tenant="t", user="u", traits={"plan": "pro"}), Episode("connect", MONDAY_NIGHT - HOUR, 10 * HOUR)
    assert features(person, episode, at=MONDAY_NIGHT, bucket=2) == BEFORE


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
    kinds = (Kind.ANY, Kind.HELD_OUT, Kind.SILENT_SHARE, Kind.WEEKDAY, Kind.HORIZON, Kind.TRAIT, Kind.LAST_HOUR, Kind.LOCAL_WEEKDAY)
    assert {kind.name: int(kind) for kind in kinds} == {
        "ANY": 1,
        "HELD_OUT": 2,
        "SILENT_SHARE": 6,
        "WEEKDAY": 24,
        "HORIZON": 25,
        "TRAIT": 26,
        "LAST_HOUR": 30,
        "LOCAL_WEEKDAY": 31,
    }
