"""Finds the earlier visitor ids of a user in the merges that were recorded, by the rules of ``link.py`` and ``chains.py``.

How many visitors a user may have does not count here: whoever was merged before there was a limit must be found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple


class Claim(NamedTuple):
    """An ``identity_merged``: at log time ``at``, ``by`` said that ``visitor`` was the same user."""

    at: int
    by: str
    visitor: str


def visitors_of(user: str, claims: Iterable[Claim], is_user: Callable[[str], bool]) -> list[str]:
    """Return the visitors that belong to ``user``, in order of their ids. ``is_user``: whether an id was used as a ``userId``."""
    found = users_of_visitors(claims, lambda key: key == user or is_user(key))
    return sorted(visitor for visitor, whose in found.items() if whose == user)


def users_of_visitors(claims: Iterable[Claim], known: Callable[[str], bool]) -> dict[str, str]:
    """Return whose each visitor is: a user's, or that of the visitor that stands for its chain. ``known``: whether an id is a user's.

    An id that is used as a ``userId`` is nobody's visitor, a visitor belongs to the first user that named it, and visitors that name each
    other belong together.
    """
    roots: dict[str, str] = {}

    def root(key: str) -> str:
        while key in roots:
            key = roots[key]
        return key

    for claim in sorted(claims):
        if claim.by == claim.visitor or known(claim.visitor):
            continue
        named, namer = root(claim.visitor), root(claim.by)
        if named == namer or (known(named) and known(namer)):
            continue
        if known(named):
            named, namer = namer, named
        roots[named] = namer
    return {key: root(key) for key in roots}
