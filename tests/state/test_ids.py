"""Ids that only this system can issue, and what a change of the signing key does to them."""

from __future__ import annotations

import pytest

from state.decision.messages import DecisionOutcome
from state.duration import MINUTE
from state.ids import Keys
from state.person.fold import Fold
from tests.state.lives import Life, counts, event, of_kind, plan, signup

SECRET, OLD, NEW = b"tests", b"the signing key of last year", b"the signing key of this year"


def issued(keys: Keys) -> tuple[Life, str]:
    """A life under these keys, and the id of the recommendation that was made for it."""
    life = Life()
    life.fold = Fold(plan(), keys)
    life.see(signup())
    return life, keys.recommendation_id(life.ask.decision, "quiet")


def shown(life: Life, recommendation_id: str, keys: Keys) -> bool:
    """Whether an exposure of the recommendation counts in a job that restarts with ``keys``."""
    life.reload()
    life.fold = Fold(plan(), keys)
    told = life.see(event("recommendation_shown", MINUTE, recommendationId=recommendation_id))
    outcomes = of_kind(told, DecisionOutcome)
    assert bool(outcomes) != bool(counts(told, "exposures_ignored"))
    return bool(outcomes)


@pytest.mark.parametrize(
    ("before", "after", "counts_on"),
    [
        ([], [], True),
        ([], [NEW, SECRET], True),  # the first change: until now ONRAMP_SECRET signed
        ([], [NEW], False),
        ([OLD], [NEW, OLD], True),
        ([OLD], [NEW], False),
        ([OLD], [], False),
        ([NEW, OLD], [NEW], True),
    ],
)
def test_a_recommendation_counts_as_long_as_its_signing_key_is_known(before: list[bytes], after: list[bytes], counts_on: bool) -> None:
    life, recommendation = issued(Keys(SECRET, before))
    assert shown(life, recommendation, Keys(SECRET, after)) is counts_on


def test_new_ids_are_signed_with_the_first_key_only() -> None:
    both, first, second = Keys(SECRET, [NEW, OLD]), Keys(SECRET, [NEW]), Keys(SECRET, [OLD])
    made = both.recommendation_id("d" * 24, "quiet")
    assert made == first.recommendation_id("d" * 24, "quiet") != second.recommendation_id("d" * 24, "quiet")
    assert first.read_recommendation_id(made) == ("d" * 24, "quiet")
    assert second.read_recommendation_id(made) is None


def test_signing_keys_change_nothing_that_state_is_kept_under() -> None:
    plain, rotated, other = Keys(SECRET), Keys(SECRET, [NEW, OLD]), Keys(NEW, [SECRET])

    def hashed(keys: Keys) -> tuple[str, bytes, str]:
        return keys.stream_key("t", "ana"), keys.event_hash("e"), keys.decision_id("t", "ana", "signup", "connect", 1)

    assert hashed(plain) == hashed(rotated)
    assert not set(hashed(plain)) & set(hashed(other))


def test_without_signing_keys_ids_are_those_of_earlier_versions() -> None:
    keys = Keys(b"tests")
    assert keys.stream_key("t", "ana") == "4f123012aa218efce3dfe54e"
    assert keys.recommendation_id("d" * 24, "quiet") == "dddddddddddddddddddddddd.quiet.aa66523778db5ba4"
