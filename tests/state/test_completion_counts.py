"""The metric ``completed``: every completion counts once, however often its row is written again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.catalog.model import Catalog
from state.catalog.plan import Plan
from state.duration import DAY, HOUR, MINUTE
from state.event import Event
from state.person.person import StepState
from state.records.facts import StepMetricFact
from state.records.minute_metrics import with_metrics
from tests.state.letters import LETTERS, ORDERS, Order, completions, did, hand_over, sign_in
from tests.state.lives import START, Counted, Life, anonymously, catalog, connect, event, explored, invite, of_kind, signup, track


def of_a_visitor(made: Event) -> Event:
    """The same event, handed on by a visitor at the merge."""
    return msgspec.structs.replace(made, from_visitor=True, visitor_seen=made.timestamp)


def without_step(given_catalog: Catalog, step: str) -> Plan:
    """The catalog without this step, which is on no path of it any more."""
    kept = [each for each in given_catalog.steps if each.id != step and step not in each.requires]
    paths = [each for each in given_catalog.paths if step not in each.steps]
    return Plan(given_catalog.model_copy(update={"steps": kept, "paths": paths}))


def by_minute(*lives: Life) -> Counter[tuple[str, int]]:
    """The metric by step and minute after the beginning, as the step ``facts`` writes it."""
    rows = [row for life in lives for row in with_metrics([each for each in life.outputs if hasattr(each, "TABLE")])]
    found: Counter[tuple[str, int]] = Counter()
    for row in rows:
        if isinstance(row, StepMetricFact) and row.metric == "completed":
            assert row.minute % MINUTE == 0
            found[row.step_id, (row.minute - START) // MINUTE] += row.count
    return Counter({key: count for key, count in found.items() if count})


def test_a_completion_whose_row_is_written_again_counts_once() -> None:
    life = Life()
    life.see(signup(), connect(9 * MINUTE))
    life.see(connect(5 * MINUTE, log=10 * MINUTE))  # the time is corrected
    life.see(event("page_view", 2 * MINUTE, log=11 * MINUTE, path="/connect"))  # an earlier first event of the step
    assert by_minute(life) == {("connect", 5): 1}, "in the minute in which it was completed"


def test_another_path_does_not_count_a_completion_again_not_even_after_one_without_the_step() -> None:
    life = Life()
    life.see(signup(), connect(MINUTE), *explored(2 * MINUTE), invite(3 * MINUTE))
    for at, persona in enumerate(("builder", "analyst", "builder", "analyst"), 1):  # builders have no step `explore`
        life.see(event("identify", at * HOUR, traits={"persona": persona}))
    assert by_minute(life) == {("connect", 1): 1, ("explore", 2): 1, ("invite", 3): 1}


def test_a_new_catalog_does_not_count_a_completion_again() -> None:
    life = Life()
    life.see(signup(), connect(MINUTE), invite(3 * MINUTE))
    reordered = Life(Plan(catalog(change=lambda text: text.replace("connect, explore, invite", "invite, connect, explore"))), life.person)
    reordered.reload()
    reordered.see(event("page_view", DAY, path="/"))
    assert by_minute(life, reordered) == {("connect", 1): 1, ("invite", 3): 1}


def test_a_visitor_who_signs_in_completed_a_step_once() -> None:
    visitor, user = Life(), Life()
    events = [signup(), connect(MINUTE)]
    visitor.see(*map(anonymously, events))
    assert by_minute(visitor) == {("connect", 1): 1}
    visitor.become("ana", HOUR)
    user.see(*events, invite(3 * MINUTE))
    assert by_minute(visitor, user) == {("connect", 1): 1, ("invite", 3): 1}


def by_path(*lives: Life) -> dict[tuple[str, str], int]:
    """The metric by path and step, over all time."""
    found: Counter[tuple[str, str]] = Counter()
    for each in (row for life in lives for row in life.outputs if isinstance(row, StepMetricFact) and row.metric == "completed"):
        found[each.path_id, each.step_id] += each.count
    return {key: count for key, count in found.items() if count}


def test_what_a_visitor_did_on_another_path_or_under_another_catalog_is_taken_back_where_it_was_counted() -> None:
    """Also a step that the path of the merge does not have."""
    visitor, user = Life(), Life()
    visitor.see(*map(anonymously, (signup(), connect(MINUTE), *explored(2 * MINUTE))))
    path = visitor.person.path if visitor.person else ""
    assert by_path(visitor) == {(path, "connect"): 1, (path, "explore"): 1}
    visitor.see(anonymously(event("identify", HOUR, traits={"persona": "builder"})))
    assert visitor.person is not None
    assert visitor.person.path != path
    other = visitor.person.path
    renamed = Life(Plan(catalog(change=lambda text: text.replace(f"id: {other},", "id: makers,"))), visitor.person)
    renamed.reload()
    renamed.see(anonymously(event("page_view", 2 * HOUR, path="/")))
    renamed.become("ana", 3 * HOUR)
    assert by_path(visitor, renamed) == {}
    user.see(signup(), connect(MINUTE))
    assert by_path(visitor, renamed, user) == {(path, "connect"): 1}


def test_a_step_that_a_new_catalog_completes_is_counted_once() -> None:
    """Its matchers were satisfied, and the step that it required is required no more."""
    life = Life()
    life.see(signup(), *explored(2 * MINUTE))
    assert by_path(life) == {}
    freed = Life(Plan(catalog(change=lambda text: text.replace("requires: [connect]", "requires: []"))), life.person)
    freed.reload()
    freed.see(event("page_view", DAY, path="/"), event("page_view", DAY + 1, path="/a"))
    assert [(step, count) for (_, step), count in by_path(freed).items()] == [("explore", 1)]


def test_what_an_earlier_release_counted_is_neither_counted_again_nor_taken_back() -> None:
    visitor = Life()
    visitor.see(*map(anonymously, (signup(), connect(MINUTE))))
    assert visitor.person is not None
    visitor.person.steps["connect"].counted = None  # as its snapshot reads
    visitor.reload()
    before = by_path(visitor)
    for at, persona in enumerate(("builder", "analyst"), 1):
        visitor.see(anonymously(event("identify", at * HOUR, traits={"persona": persona})))
    visitor.see(anonymously(invite(3 * HOUR)))
    assert {step for _, step in by_path(visitor)} == {"connect", "invite"}
    visitor.become("ana", 4 * HOUR)
    assert by_path(visitor) == before


def test_a_user_who_signs_up_again_after_a_deletion_completes_steps_anew() -> None:
    life = Life()
    life.see(signup(), connect(MINUTE), event("user_deleted", HOUR), signup(2 * HOUR), connect(3 * HOUR))
    assert by_minute(life) == {("connect", 1): 1, ("connect", 180): 1}


def test_the_count_follows_a_corrected_time_on_the_path_where_it_was_counted() -> None:
    life = Life()
    life.see(signup(), connect(9 * MINUTE), event("identify", 10 * MINUTE, traits={"persona": "builder"}))
    life.see(connect(5 * MINUTE, log=11 * MINUTE))
    assert by_minute(life) == {("connect", 5): 1}
    assert by_path(life) == {("analysts", "connect"): 1}


def test_a_corrected_time_also_moves_the_count_of_what_required_the_step() -> None:
    life = Life()
    life.see(signup(), *explored(2 * MINUTE), connect(9 * MINUTE), connect(5 * MINUTE, log=10 * MINUTE))
    assert by_minute(life) == {("connect", 5): 1, ("explore", 5): 1}


FREED = Plan(catalog(change=lambda text: text.replace("requires: [connect]", "requires: []")))


@pytest.mark.parametrize("visitor", [False, True])
def test_the_count_follows_a_time_that_a_new_catalog_moved(visitor: bool) -> None:
    """Back and forth, and a visitor's is taken back where it is counted then."""
    given: list[Event] = [signup(), *explored(2 * MINUTE), connect(9 * MINUTE)]
    life = Life()
    life.see(*map(anonymously, given))
    lives, counted = [life], {("connect", 9): 1, ("explore", 9): 1}
    assert by_minute(*lives) == counted
    for at, (of, minute) in enumerate([(FREED, 2), (life.plan, 9), (FREED, 2)], 1):
        lives.append(Life(of, lives[-1].person))
        lives[-1].reload()
        lives[-1].see(anonymously(event("page_view", at * HOUR, path="/")))
        assert by_minute(*lives) == {("connect", 9): 1, ("explore", minute): 1}
    if visitor:
        lives[-1].become("ana", DAY)
        assert by_minute(*lives) == {}


@pytest.mark.parametrize("returns", [False, True])
def test_the_count_of_a_step_beside_the_path_follows_a_corrected_time(returns: bool) -> None:
    life = Life()
    asked = [track("explored", minute * MINUTE) for minute in (2, 3, 20)]
    life.see(signup(), *asked, connect(9 * MINUTE), event("identify", 30 * MINUTE, traits={"persona": "builder"}))
    assert by_minute(life) == {("connect", 9): 1, ("explore", 20): 1}
    for at, (corrected, minute) in enumerate([(track("explored", 4 * MINUTE), 9), (connect(8 * MINUTE), 8), (connect(3 * MINUTE), 4)]):
        life.see(msgspec.structs.replace(corrected, log_time=START + (31 + 4 * at) * MINUTE))
        if returns:
            for persona in ("analyst", "builder"):
                life.see(event("identify", (33 + 4 * at) * MINUTE, ident=f"{persona} {at}", traits={"persona": persona}))
                life.reload()
        assert {minute for (step, minute) in by_minute(life) if step == "explore"} == {minute}
        assert set(by_minute(life).values()) == {1}


def test_only_a_count_in_another_minute_than_that_of_the_evidence_takes_room() -> None:
    life = Life()
    life.see(signup(), *explored(2 * MINUTE), connect(9 * MINUTE), invite(10 * MINUTE))
    assert life.person is not None
    steps = life.person.steps
    assert [(step, state.counted_in - START // MINUTE) for step, state in steps.items()] == [("explore", 9), ("connect", 9), ("invite", 10)]
    assert (steps["connect"].times, steps["invite"].times) == (None, None)
    life.see(connect(2 * MINUTE, log=11 * MINUTE))
    assert len(steps["explore"].times or {}) == 1


def written_before(state: StepState, *, counted: bool | str) -> None:
    """The state as a release wrote it that did not note the minute."""
    state.counted, state.times = counted, {key: value for key, value in (state.times or {}).items() if key >= 0} or None


@pytest.mark.parametrize("then", ["corrected", "another catalog", "another path"])
def test_what_an_earlier_release_counted_in_a_minute_that_it_did_not_note_moves_with_its_completion(then: str) -> None:
    life = Life()
    life.see(signup(), *explored(2 * MINUTE), connect(9 * MINUTE))
    assert life.person is not None
    for state in life.person.steps.values():
        written_before(state, counted=True)
    life.reload()
    lives = [life]
    if then == "corrected":
        life.see(connect(5 * MINUTE, log=10 * MINUTE))
    elif then == "another catalog":
        lives.append(Life(Plan(catalog(change=lambda text: text.replace("title: Analysts", "title: All"))), life.person))
        lives[-1].see(event("page_view", HOUR, path="/"), connect(5 * MINUTE, log=HOUR))
    else:
        life.see(event("identify", HOUR, traits={"persona": "builder"}), connect(5 * MINUTE, log=HOUR))
    assert by_minute(*lives) == {("connect", 5): 1, ("explore", 5): 1}


def counted_beside_the_path(*, visitor: bool = False) -> Life:
    """Somebody who left the path of their completions, by a release that did not note the minute."""
    life = Life()
    events = [signup(), *explored(2 * MINUTE), connect(9 * MINUTE), event("identify", 30 * MINUTE, traits={"persona": "builder"})]
    life.see(*(map(anonymously, events) if visitor else events))
    assert life.person is not None
    for state in life.person.steps.values():
        written_before(state, counted="analysts")
    life.reload()
    assert by_minute(life) == {("connect", 9): 1, ("explore", 9): 1}
    return life


@pytest.mark.parametrize("then", ["the same path", "another path", "another step", "another catalog"])
def test_what_an_earlier_release_counted_under_another_path_stays_in_its_minute(then: str) -> None:
    life = counted_beside_the_path()
    lives = [life]
    if then == "the same path":
        life.see(event("identify", HOUR, traits={"persona": "analyst"}))
    elif then == "another path":
        life.see(event("identify", HOUR, traits={"persona": "analyst", "pro": True}))
    elif then == "another step":
        life.see(invite(HOUR))
    else:
        lives.append(Life(Plan(catalog(change=lambda text: text.replace("title: Analysts", "title: All"))), life.person))
        lives[-1].see(event("page_view", HOUR, path="/"))
    found = by_minute(*lives)
    found.pop(("invite", 60), 0)
    assert found == {("connect", 9): 1, ("explore", 9): 1}


def test_what_an_earlier_release_counted_under_another_path_moves_once_its_minute_is_noted() -> None:
    life = counted_beside_the_path()
    life.see(event("identify", HOUR, traits={"persona": "analyst"}), connect(5 * MINUTE, log=HOUR + 1))
    assert by_minute(life) == {("connect", 5): 1, ("explore", 5): 1}


def test_what_an_earlier_release_counted_under_another_path_moves_with_a_time_that_is_corrected_there() -> None:
    """Once and again, and a merge takes it back from where it is then."""
    life = counted_beside_the_path(visitor=True)
    for minute in (7, 5):
        life.see(anonymously(connect(minute * MINUTE, log=(50 - minute) * MINUTE)))
        assert by_minute(life) == {("connect", minute): 1, ("explore", minute): 1}
    life.become("ana", DAY)
    assert by_minute(life) == {}


def test_what_an_earlier_release_counted_for_a_visitor_under_another_path_is_taken_back_from_its_minute() -> None:
    life = counted_beside_the_path(visitor=True)
    life.become("ana", HOUR)
    assert by_minute(life) == {}


def test_what_an_earlier_release_counted_names_its_path_also_where_a_catalog_moves_the_person_from_it() -> None:
    """The step is not on the new path, so that its minute is not noted then."""
    visitor = Life()
    visitor.see(*map(anonymously, (signup(), *explored(2 * MINUTE), connect(9 * MINUTE))))
    assert visitor.person is not None
    for state in visitor.person.steps.values():
        written_before(state, counted=True)
    swapped = catalog(change=lambda text: text.replace("persona: analyst}", "persona: x}").replace("[builder, maker]", "[analyst, maker]"))
    merged = Life(Plan(swapped), visitor.person)
    merged.reload()
    merged.see(anonymously(event("page_view", HOUR, path="/")))
    merged.become("ana", DAY)
    assert by_minute(visitor, merged) == {}
    assert by_path(visitor, merged) == {}


def test_a_visitors_corrected_completion_is_taken_back_where_it_counts() -> None:
    visitor, user = Life(), Life()
    visitor.see(*map(anonymously, (signup(), connect(20 * MINUTE), connect(5 * MINUTE, log=25 * MINUTE))))
    visitor.become("ana", HOUR)
    user.see(signup(50 * MINUTE), connect(55 * MINUTE), of_a_visitor(connect(5 * MINUTE, log=HOUR, ident="earlier")))
    assert by_minute(visitor, user) == {("connect", 5): 1}


def test_a_step_that_the_catalog_dropped_before_the_merge_stays_counted() -> None:
    visitor = Life()
    visitor.see(*map(anonymously, (signup(persona="builder"), invite(MINUTE), connect(2 * MINUTE))))
    dropped = catalog(change=lambda text: text.replace("steps: [invite, connect]", "steps: [connect]"))
    merged = Life(without_step(dropped, "invite"), visitor.person)
    merged.reload()
    merged.become("ana", HOUR)
    assert by_path(visitor, merged) == {("builders", "invite"): 1}


def test_a_completion_that_an_earlier_release_counted_for_a_visitor_is_taken_back_on_the_path_where_it_is_done() -> None:
    visitor, user = Life(), Life()
    visitor.see(*map(anonymously, (signup(), connect(MINUTE), invite(2 * MINUTE))))
    assert visitor.person is not None
    visitor.person.steps["connect"].counted = visitor.person.steps["invite"].counted = None  # as its snapshot reads
    visitor.reload()
    visitor.see(*map(anonymously, explored(3 * MINUTE)))
    visitor.become("ana", HOUR)
    user.see(signup(), connect(MINUTE), invite(2 * MINUTE), *explored(3 * MINUTE))
    assert by_minute(visitor, user) == {("connect", 1): 1, ("invite", 2): 1, ("explore", 3): 1}


@pytest.mark.parametrize("stepped", [False, True])
def test_what_an_earlier_release_counted_for_a_visitor_is_no_longer_counted_after_the_merge(stepped: bool) -> None:
    """Whether or not the visitor did another step in between."""
    visitor = Life()
    visitor.see(*map(anonymously, (signup(), connect(MINUTE))))
    assert visitor.person is not None
    visitor.person.steps["connect"].counted = None  # as its snapshot reads
    visitor.reload()
    if stepped:
        visitor.see(anonymously(invite(3 * MINUTE)))
    visitor.become("ana", HOUR)
    assert by_path(visitor) == {}


def counter(*lives: Life) -> int:
    """The counter ``steps_completed``."""
    return sum(each.by for life in lives for each in of_kind(life.outputs, Counted) if each.name == "steps_completed")


def by_step(*lives: Life) -> dict[str, int]:
    """The metric by step."""
    found: Counter[str] = Counter()
    for (_, step), count in by_path(*lives).items():
        found[step] += count
    return {step: count for step, count in found.items() if count}


def visit(done: Sequence[Event], merged_at: int) -> Life:
    """A visitor who does this and signs in."""
    visitor = Life(LETTERS)
    visitor.see(*map(anonymously, done))
    visitor.become("ana", merged_at)
    return visitor


@pytest.mark.parametrize("order", ORDERS)
def test_what_a_visitor_did_on_a_path_that_the_user_does_not_have_counts_once(order: Order) -> None:
    """Wherever the user goes from there. So does what both paths have."""
    done = [did(name, at * MINUTE) for at, name in enumerate(["", "a", "c", "b", "e"])]
    visitor, user = visit(done, HOUR), Life(LETTERS)
    sign_in(user, done, HOUR, order, persona="few")
    expected = {("a", 1): 1, ("b", 3): 1, ("c", 3): 1, ("e", 4): 1}
    assert by_minute(visitor, user) == expected
    assert {key: count for key, count in by_path(visitor, user).items() if key[1] in "ce"} == {("all", "c"): 1, ("all", "e"): 1}
    assert counter(visitor, user) == 4
    for at, persona in enumerate(("many", "few", "many"), 2):
        user.see(event("identify", at * HOUR, traits={"persona": persona}))
    assert by_minute(visitor, user) == expected
    assert counter(visitor, user) == 4


def test_what_a_user_did_beside_their_path_does_not_count_after_a_merge_either() -> None:
    user, visited = Life(LETTERS), [did("", 3 * MINUTE), did("a", 4 * MINUTE)]
    user.see(event("signup", 0, traits={"persona": "few"}), did("e", MINUTE))
    hand_over(user, visited, HOUR)
    assert by_step(visit(visited, HOUR), user) == {"a": 1}


@pytest.mark.parametrize("merged_first", [False, True])
def test_the_steps_of_a_visitor_without_a_path_are_counted_when_the_user_has_one(merged_first: bool) -> None:
    visitor, user = Life(), Life()
    visitor.see(anonymously(connect(MINUTE)))
    visitor.become("ana", HOUR)
    events = [of_a_visitor(connect(MINUTE, log=HOUR)), signup(HOUR)]
    user.see(*events if merged_first else events[::-1])
    assert (by_minute(visitor, user), counter(visitor, user)) == ({("connect", 1): 1}, 1)


@given(completions(), st.data(), st.sampled_from(ORDERS))
def test_a_person_who_signs_in_is_counted_as_under_one_id(history: list[tuple[str, int]], data: st.DataObject, order: Order) -> None:
    """And no minute has less than nothing, also where times were corrected."""
    cut = data.draw(st.integers(0, len(history)))
    persona = data.draw(st.sampled_from(["few", "many"]))
    visited = [did(name, minute * MINUTE) for name, minute in history[:cut]]
    then = [did(name, minute * MINUTE) for name, minute in history[cut:]]
    late = data.draw(st.permutations(visited))
    visited = [msgspec.structs.replace(each, log_time=visited[-1].log_time) for each in late]
    at = history[cut - 1][1] * MINUTE + MINUTE // 2 if cut else 0
    visitor, user, one = Life(LETTERS), Life(LETTERS), Life(LETTERS)
    if visited:
        visitor.see(*map(anonymously, visited))
        visitor.become("ana", at)
    sign_in(user, visited, at, order, persona=persona)
    user.see(*then)
    one.see(*visited, event("signup", at, ident="signup", traits={"persona": persona}), *then)
    found = by_minute(visitor, user)
    assert min(found.values(), default=1) > 0
    assert found == by_minute(one)
    assert counter(visitor, user) == counter(one)


@given(
    st.lists(
        st.tuples(st.sampled_from(["connect", "explore", "invite", "analyst", "builder", "freed", "plain"]), st.integers(0, 40)),
        max_size=30,
    )
)
def test_each_completion_counts_once_in_its_minute_whatever_moves_it(story: list[tuple[str, int]]) -> None:
    """Events in any order, other paths and other catalogs; and a merge takes all of them back."""
    lives = [Life()]
    lives[0].see(anonymously(signup()))
    for number, (what, minute) in enumerate(story):
        ident, log = f"{number}", HOUR + number * MINUTE
        if what in ("freed", "plain"):
            lives.append(Life(FREED if what == "freed" else lives[0].plan, lives[-1].person))
            lives[-1].reload()
            made = event("page_view", log, ident=ident, path="/")
        elif what in ("analyst", "builder"):
            made = event("identify", log, ident=ident, traits={"persona": what})
        elif what == "explore":
            made = track("explored", minute * MINUTE, ident=ident, log=log)
        else:
            made = (connect if what == "connect" else invite)(minute * MINUTE, ident=ident, log=log)
        lives[-1].see(anonymously(made))
        found = by_minute(*lives)
        assert set(found.values()) <= {1}
        assert len({step for step, _ in found}) == len(found)
        assert {(step, when // MINUTE) for step, when in lives[-1].done.items()} <= set(found)
    lives[-1].become("ana", DAY)
    assert by_minute(*lives) == {}
