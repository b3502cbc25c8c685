"""A small product whose steps are letters, visitors who do them, and users who sign in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from hypothesis import strategies as st

from state.catalog.parse import parse
from state.catalog.plan import Plan
from state.event import Event
from state.person.visitor import Stitcher, Visitor
from tests.state.lives import Life, anonymously, event, visitor_merged

Order = Literal["merge first", "sign-up first"]
ORDERS: Final[tuple[Order, ...]] = ("merge first", "sign-up first")

STEPS: Final = "abcde"
PRODUCT: Final = """\
id: letters
version: 1
product: Letters
observe: true
STARTS
steps:
  - id: a
    title: a
    link: /a
    usual: 60m
    complete: [{type: track, name: a}, {type: track, name: ab}]
    activity: [{type: page_view, where: {path: /a}}]
  - {id: b, title: b, link: /b, usual: 60m, complete: [{type: track, name: b}, {type: track, name: ab}]}
  - {id: c, title: c, link: /c, usual: 60m, requires: [b], complete: [{type: track, name: c}]}
  - {id: d, title: d, link: /d, usual: 60m, optional: true, complete: [{type: track, name: d}]}
  - {id: e, title: e, link: /e, usual: 60m, complete: [{type: track, name: e}]}
paths:
  - {id: few, title: Few, match: {persona: few}, steps: [a, b]}
  - {id: all, title: All, steps: [a, b, c, d, e]}
"""


def letters(starts: str = "") -> Plan:
    """A catalog with the steps a to e: ``ab`` completes two of them, c requires b, and d may be skipped. Few have a shorter path."""
    return Plan(parse(PRODUCT.replace("STARTS\n", starts and f"{starts}\n"), "letters.yaml"))


LETTERS: Final = letters()


def did(name: str, at: int, user: str = "u") -> Event:
    """A step is done, or for the empty name a page is viewed."""
    return event("track", at, name=name, user=user) if name else event("page_view", at, path="/", user=user)


def hand_over(life: Life, done: Sequence[Event], at: int) -> None:
    """The user says that ``cookie``, who did ``done``, was they."""
    visitor, stitcher = Visitor(), Stitcher(life.plan)
    for each in done:
        stitcher.keep(visitor, anonymously(each))
    life.see(event("identity_merged", at, previousId="cookie"))
    life.see(*stitcher.merge(visitor, visitor_merged(at, user="cookie", into="u")))


def sign_in(life: Life, done: Sequence[Event], at: int, order: Order, **traits: str) -> None:
    """Sign up and hand over what a visitor did, in this order."""
    signup = event("signup", at, ident="signup", traits=traits)
    if order == "sign-up first":
        life.see(signup)
    hand_over(life, done, at)
    if order == "merge first":
        life.see(signup)


@st.composite
def completions(draw: st.DrawFn) -> list[tuple[str, int]]:
    """Events by name and minute, at different times, the first of them often a visit."""
    names = draw(st.lists(st.sampled_from(["", "", "a", "b", "c", "d", "e", "ab"]), min_size=1, max_size=10))
    minutes = draw(st.lists(st.integers(1, 500), min_size=len(names), max_size=len(names), unique=True))
    return list(zip(names, sorted(minutes), strict=True))
