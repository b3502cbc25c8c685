"""A step that a visitor did took as long as it would under one id, whatever the order of the sign-up and the merge."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.catalog.plan import Plan
from state.duration import DAY, HOUR, MINUTE
from state.person.progress import beginnings
from state.person.visitor import Stitcher, Visitor
from state.records.facts import PersonFact, ProgressFact
from state.stuck.observations import BEGUN, COMPLETED, EpisodeObservation
from tests.state.letters import LETTERS, ORDERS, STEPS, Order, completions, did, hand_over, letters, sign_in
from tests.state.lives import START, Life, anonymously, event, of_kind, visitor_merged


def times(life: Life) -> dict[str, tuple[int | None, int | None]]:
    """When each step that was completed, or is current, began and was completed, in minutes after the beginning."""
    assert life.person is not None
    done = life.done
    found: dict[str, tuple[int | None, int | None]] = {}
    for step in STEPS:
        since = life.person.since.get(step)
        if step in done or since is not None:
            began = None if since is None else (since - START) // MINUTE
            found[step] = (began, done[step] // MINUTE if step in done else None)
    return found


def test_steps_begin_when_they_first_become_current() -> None:
    done = {"a": 20, "b": 30, "c": 30, "e": 25}
    assert beginnings(LETTERS, "all", done, 10) == {"a": 10, "b": 20}
    assert beginnings(LETTERS, "all", {"a": 10}, 10) == {"b": 10}, "who does a step with the first event was never at it"
    assert beginnings(LETTERS, "all", {"a": 10, "b": 20}, 15) == {"b": 15, "c": 20}, "one that was done before was not current"
    assert beginnings(LETTERS, "", {}, 10) == {}


@pytest.mark.parametrize("order", ORDERS)
def test_what_follows_a_visitors_step_begins_with_it(order: Order) -> None:
    """And what is learned of it does not depend on the order either: the visitor was there for nearly the usual time."""
    life = Life(LETTERS)
    sign_in(life, [did("", 20 * MINUTE, "cookie"), did("a", 41 * MINUTE, "cookie")], 100 * MINUTE, order)
    life.see(did("b", 110 * MINUTE))
    assert times(life) == {"a": (20, 41), "b": (41, 110), "c": (110, None)}
    assert [each.step for each in life.of(EpisodeObservation) if each.end == COMPLETED] == []


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("visited", "found"),
    [
        ([("", 1), ("ab", 31)], {"a": (1, 31), "b": (None, 31), "c": (31, None)}),
        ([("", 1), ("c", 6), ("a", 9), ("b", 31)], {"a": (1, 9), "b": (9, 31), "c": (None, 31), "d": (31, None)}),
        ([("", 1), ("b", 6), ("a", 20)], {"a": (1, 20), "b": (None, 6), "c": (20, None)}),
        ([("a", 6), ("b", 20)], {"a": (None, 6), "b": (6, 20), "c": (20, None)}),
    ],
    ids=["one event, two steps", "a required step later", "ahead of its turn", "with the first event"],
)
def test_a_visitors_step_begins_when_it_became_current(
    visited: list[tuple[str, int]], found: dict[str, tuple[int | None, int | None]], order: Order
) -> None:
    life = Life(LETTERS)
    sign_in(life, [did(name, at * MINUTE, "cookie") for name, at in visited], HOUR, order)
    assert times(life) == found
    rows = {row.step_id: row.current_since_at for row in life.of(ProgressFact)}
    assert {step: (at - START) // MINUTE if at else None for step, at in rows.items() if step in found} == {
        step: since for step, (since, _) in found.items()
    }


def test_a_step_that_a_known_user_did_ahead_of_its_turn_on_another_device_has_no_time() -> None:
    life = Life(LETTERS)
    life.see(event("signup", 0))
    visited = [did("", 10 * DAY, "cookie"), did("b", 10 * DAY + 5 * MINUTE, "cookie")]
    life.see(did("a", 10 * DAY + 20 * MINUTE))
    hand_over(life, visited, 10 * DAY + 30 * MINUTE)
    assert times(life) == {"a": (0, 14420), "b": (None, 14405), "c": (14420, None)}


@pytest.mark.parametrize("order", ORDERS)
def test_where_the_onboarding_begins_with_the_sign_up_no_step_begins_before(order: Order) -> None:
    life = Life(letters("starts: {when: signup}"))
    sign_in(life, [did("", 1 * MINUTE, "cookie"), did("a", 20 * MINUTE, "cookie")], HOUR, order)
    assert times(life) == {"a": (None, 20), "b": (60, None)}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("looked_at", "signed_up", "group"), [
    ("/", 9 * DAY, "adaptive"), ("/a", 9 * DAY, "adaptive"), ("/", 4 * DAY, "existing"), ("/a", 4 * DAY, "existing"),
])  # fmt: skip
def test_with_the_sign_up_whoever_signs_up_later_begins_whatever_the_visitor_looked_at(
    order: Order, looked_at: str, signed_up: int, group: str
) -> None:
    after = datetime.fromtimestamp((START + 5 * DAY) / 1000, UTC).isoformat()
    life = Life(Plan(letters(f"starts: {{when: signup, after: '{after}'}}").catalog.model_copy(update={"observe": False, "holdout": 0})))
    sign_in(life, [event("page_view", 1 * MINUTE, path=looked_at, user="cookie")], signed_up, order)
    assert [row.experiment_group for row in life.of(PersonFact)][-1] == group


@given(completions(), st.data(), st.sampled_from(ORDERS))
def test_a_visitor_who_signs_in_has_the_times_of_one_id(history: list[tuple[str, int]], data: st.DataObject, order: Order) -> None:
    """But the step where the user was from the sign-in on, having been there as a visitor since the first event."""
    cut = data.draw(st.integers(1, len(history)))
    at = history[cut - 1][1] * MINUTE + MINUTE // 2
    visited, then = ([did(name, minute * MINUTE) for name, minute in part] for part in (history[:cut], history[cut:]))
    one, split = Life(LETTERS), Life(LETTERS)
    one.see(*visited, event("signup", at), *then)
    before = Life(LETTERS)
    before.see(*visited)
    sign_in(split, visited, at, order)
    split.see(*then)
    open_from_the_start = {step for step, (since, done) in times(before).items() if since == history[0][1] and done is None}
    if not before.done and all(not each.name for each in visited):  # nothing is handed on
        open_from_the_start = set(STEPS)
    for step, (since, done) in times(one).items():
        if step not in open_from_the_start:
            assert times(split)[step] == (since, done)


@given(completions(), st.data())
def test_a_known_user_on_a_new_device_has_the_times_of_one_id(history: list[tuple[str, int]], data: st.DataObject) -> None:
    """Where each step was done once, as the user or as the visitor."""
    history = [(name, at) for place, (name, at) in enumerate(history) if name and not any(set(name) & set(n) for n, _ in history[:place])]
    as_visitor = data.draw(st.lists(st.booleans(), min_size=len(history), max_size=len(history)))
    one, split = Life(LETTERS), Life(LETTERS)
    one.see(event("signup", 0), *(did(name, at * MINUTE) for name, at in history))
    split.see(event("signup", 0), *(did(name, at * MINUTE) for (name, at), other in zip(history, as_visitor, strict=True) if not other))
    hand_over(split, [did(name, at * MINUTE) for (name, at), other in zip(history, as_visitor, strict=True) if other], 501 * MINUTE)
    found = times(split)
    for step, (since, done) in times(one).items():
        if since is not None and done is not None:
            assert found[step] == (since, done)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("returned", [False, True])
def test_a_visitor_stored_before_the_first_event_was_kept_has_no_time_at_the_first_step(order: Order, returned: bool) -> None:
    """Whether or not the visitor returned under this release."""
    life, visitor, stitcher = Life(LETTERS), Visitor(), Stitcher(LETTERS)
    looked = event("page_view", 5 * MINUTE, path="/a", user="cookie")
    for each in (looked, did("a", 10 * MINUTE, "cookie"), did("b", 20 * MINUTE, "cookie")):
        stitcher.keep(visitor, anonymously(each))
    visitor.first_seen = 0  # as its snapshot reads
    if returned:
        stitcher.keep(visitor, anonymously(did("", 30 * MINUTE, "cookie")))
    signup = event("signup", HOUR, ident="signup")
    if order == "sign-up first":
        life.see(signup)
    life.see(event("identity_merged", HOUR, previousId="cookie"))
    life.see(*stitcher.merge(visitor, visitor_merged(HOUR, user="cookie", into="u")), signup)
    assert life.person is not None
    assert times(life)["b"] == (10, 20)
    assert not 0 < life.person.since.get("a", 0) <= START + 10 * MINUTE, "nobody knows when it began"


def test_a_known_user_keeps_the_beginning_of_a_step_that_such_a_visitor_did() -> None:
    life, visitor, stitcher = Life(LETTERS), Visitor(), Stitcher(LETTERS)
    stitcher.keep(visitor, anonymously(did("a", 10 * MINUTE, "cookie")))
    visitor.first_seen = 0
    life.see(event("signup", 0), event("identity_merged", HOUR, previousId="cookie"))
    life.see(*stitcher.merge(visitor, visitor_merged(HOUR, user="cookie", into="u")))
    assert times(life)["a"] == (0, 10)


def test_nothing_of_a_visitor_is_learned_twice() -> None:
    life = Life(LETTERS)
    sign_in(life, [did("", 0, "cookie"), did("ab", 2 * MINUTE, "cookie")], 3 * MINUTE, "sign-up first")
    life.see(did("c", 4 * MINUTE))
    assert [(each.step, each.lasted // MINUTE) for each in of_kind(life.outputs, EpisodeObservation) if each.end == COMPLETED] == [("c", 2)]
    assert BEGUN in {each.end for each in life.of(EpisodeObservation)}
