"""The metric ``completed``: every completion counts once, however often its row is written again."""

from __future__ import annotations

from collections import Counter

from state.catalog.plan import Plan
from state.duration import DAY, HOUR, MINUTE
from state.records.facts import StepMetricFact
from state.records.minute_metrics import with_metrics
from tests.state.lives import START, Life, anonymously, catalog, connect, event, explored, invite, signup


def completions(*lives: Life) -> Counter[tuple[str, int]]:
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
    assert completions(life) == {("connect", 9): 1}


def test_another_path_does_not_count_a_completion_again_not_even_after_one_without_the_step() -> None:
    life = Life()
    life.see(signup(), connect(MINUTE), *explored(2 * MINUTE), invite(3 * MINUTE))
    for at, persona in enumerate(("builder", "analyst", "builder", "analyst"), 1):  # builders have no step `explore`
        life.see(event("identify", at * HOUR, traits={"persona": persona}))
    assert completions(life) == {("connect", 1): 1, ("explore", 2): 1, ("invite", 3): 1}


def test_a_new_catalog_does_not_count_a_completion_again() -> None:
    life = Life()
    life.see(signup(), connect(MINUTE), invite(3 * MINUTE))
    reordered = Life(Plan(catalog(change=lambda text: text.replace("connect, explore, invite", "invite, connect, explore"))), life.person)
    reordered.reload()
    reordered.see(event("page_view", DAY, path="/"))
    assert completions(life, reordered) == {("connect", 1): 1, ("invite", 3): 1}


def test_a_visitor_who_signs_in_completed_a_step_once() -> None:
    visitor, user = Life(), Life()
    events = [signup(), connect(MINUTE)]
    visitor.see(*map(anonymously, events))
    assert completions(visitor) == {("connect", 1): 1}
    visitor.become("ana", HOUR)
    user.see(*events, invite(3 * MINUTE))
    assert completions(visitor, user) == {("connect", 1): 1, ("invite", 3): 1}


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
    assert completions(life) == {("connect", 1): 1, ("connect", 180): 1}
