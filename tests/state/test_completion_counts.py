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


def test_a_user_who_signs_up_again_after_a_deletion_completes_steps_anew() -> None:
    life = Life()
    life.see(signup(), connect(MINUTE), event("user_deleted", HOUR), signup(2 * HOUR), connect(3 * HOUR))
    assert completions(life) == {("connect", 1): 1, ("connect", 180): 1}
