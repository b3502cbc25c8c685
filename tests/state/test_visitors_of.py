"""Whose visitor an id was: the rules of merging, for what is found in tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.person.visitors_of import Claim, visitors_of

USERS = frozenset({"ann", "ben"})


def found(user: str, *claims: tuple[str, str]) -> list[str]:
    return visitors_of(user, (Claim(at, by, visitor) for at, (by, visitor) in enumerate(claims)), USERS.__contains__)


@pytest.mark.parametrize(
    ("claims", "ann", "ben"),
    [
        ((("ann", "c1"),), ["c1"], []),
        ((("c1", "c2"), ("ann", "c1")), ["c1", "c2"], []),
        ((("ann", "c1"), ("c1", "c2")), ["c1", "c2"], []),
        ((("ann", "c1"), ("c2", "c1")), ["c1", "c2"], []),
        ((("ann", "c1"), ("ben", "c1")), ["c1"], []),
        ((("ann", "c1"), ("ben", "c2"), ("c1", "c2")), ["c1"], ["c2"]),
        ((("ann", "ben"),), [], []),
        ((("ann", "ann"), ("c1", "c1")), [], []),
        ((("c1", "c2"), ("c2", "c1"), ("ann", "c2")), ["c1", "c2"], []),
    ],
)
def test_chains_are_followed_and_nobody_gets_what_is_anothers(claims: tuple[tuple[str, str], ...], ann: list[str], ben: list[str]) -> None:
    assert (found("ann", *claims), found("ben", *claims)) == (ann, ben)


IDS = st.sampled_from(["ann", "ben", "c1", "c2", "c3", "c4"])


@given(st.lists(st.tuples(IDS, IDS), max_size=12))
def test_no_id_belongs_to_two_users_and_none_is_a_user(claims: list[tuple[str, str]]) -> None:
    ann, ben = set(found("ann", *claims)), set(found("ben", *claims))
    assert not ann & ben
    assert not (ann | ben) & USERS
