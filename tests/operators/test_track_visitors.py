"""track: a visitor is merged into a user, and erased with the user, in whatever order the news comes."""

from __future__ import annotations

import msgspec
import pytest

from state.decision.messages import DecisionOutcome
from state.duration import HOUR
from state.person import snapshot
from state.records.facts import EventFact
from state.records.recommendation import Erase
from tests.operators.track_job import Job, gone
from tests.state.lives import (
    Counted,
    anonymously,
    counts,
    event,
    flat,
    of_kind,
    signup,
    visitor_merged,
    withdrawals,
)


@pytest.mark.parametrize(("seq", "partition"), [(20, 1), (90, 1), (22, 0)])
def test_what_a_visitor_sent_counts_before_its_merge_whatever_the_numbers(seq: int, partition: int) -> None:
    """The step before handed it on at the merge. The partition of the merge has other numbers, and some merges take another way."""
    sent = msgspec.structs.replace(anonymously(event("form_submit", 1, form="connect")), seq=seq, partition=partition)
    merge = visitor_merged(HOUR, seq=20)
    for order in ([sent, merge], [merge, sent]):
        job = Job()
        job.take(anonymously(signup()))
        told = job.take(*order)  # type: ignore[arg-type]  # arrivals
        assert [row.status for row in of_kind(told, EventFact)] == ["applied"]
        assert sum(each.by for each in of_kind(told, Counted) if each.name == "steps_completed") == 1


def test_an_id_that_is_a_users_is_merged_before_it_goes_on_as_a_user() -> None:
    own, sent = (msgspec.structs.replace(event("page_view", at, path="/"), seq=20 + at) for at in (2, 4))
    told = Job().take(visitor_merged(0, seq=20), own, anonymously(sent))
    assert [row.status for row in of_kind(told, EventFact)] == ["applied"] * 2
    assert counts(told, "events_ignored") == []


def test_a_visitor_who_became_a_user_is_told_so_under_the_old_key() -> None:
    job = Job()
    job.see(anonymously(signup()))
    told = job.take(visitor_merged(1, into="known", seq=4))
    assert [each.reason for each in withdrawals(told)] == ["merged"]
    assert [each.seq for each in of_kind(told, DecisionOutcome)] == [4]


def test_a_visitor_whose_user_is_deleted_is_erased_under_the_old_key_once() -> None:
    job = Job()
    job.see(anonymously(signup()))
    job.take(visitor_merged(1, into="known", seq=4))
    collectors, discard = job.logic.on_batch([gone(2)])
    assert [(out.effects, out.rows) for out in collectors] == [([erase], [erase]) for erase in of_kind(flat(*collectors), Erase)]
    assert (len(collectors), discard) == (1, False)
    job.restart()
    assert len(job.wheels) == 0
    assert job.take(gone(2)) == job.take(gone(3)) == []


def test_the_deletion_of_another_user_never_reaches_a_user() -> None:
    job = Job()
    job.see(signup())
    job.take(visitor_merged(3, into="known", seq=4))
    before = job.logic.snapshot()
    assert job.take(gone(4, into="another")) == []
    assert job.logic.snapshot() == before


def test_a_deletion_may_overtake_the_merge_and_leaves_no_id() -> None:
    for seen in ([], [anonymously(signup())]):
        early, late = Job(), Job()
        for job in (early, late):
            job.see(*seen)
        merge, deletion = visitor_merged(1, into="known", seq=4), msgspec.structs.replace(gone(1), seq=4)
        for job, arrivals in ((early, (deletion, merge)), (late, (merge, deletion))):
            for each in arrivals:
                job.take(each)
        assert early.logic.snapshot() == late.logic.snapshot()
        assert b"known" not in early.logic.snapshot()
        assert sorted(map(repr, early.outputs)) == sorted(map(repr, late.outputs))
        assert len(of_kind(early.outputs, Erase)) == 1


@pytest.mark.parametrize("chained", [False, True])
@pytest.mark.parametrize("seq", [30, 50, 60])
def test_a_deletion_that_comes_with_the_merge_before_it_erases_whatever_the_numbers(chained: bool, seq: int) -> None:
    """The numbers of the user's partition are others than those of the merge."""
    job = Job()
    job.take(anonymously(event("page_view", 1, path="/")))
    if chained:
        job.take(msgspec.structs.replace(visitor_merged(HOUR, into="another visitor", seq=20), into_anonymous=True))
    deletion = msgspec.structs.replace(gone(2 * HOUR), seq=seq, partition=1)
    told = job.take(msgspec.structs.replace(visitor_merged(HOUR, into="known", seq=50), user=""), deletion)
    assert [each.user_id for each in of_kind(told, Erase)] == ["u"]
    person = snapshot.decode(job.logic.snapshot())
    assert (person.user, person.deleted_at) == ("", deletion.timestamp)


def test_a_deletion_that_comes_before_the_merge_into_another_user_stays_before_it() -> None:
    job = Job()
    job.take(anonymously(event("page_view", 1, path="/")))
    told = job.take(gone(HOUR, into="another"), visitor_merged(2 * HOUR, into="known", seq=50))
    assert [each.user_id for each in of_kind(told, Erase)] == ["u"]
