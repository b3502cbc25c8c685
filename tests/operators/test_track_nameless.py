"""track: an event that comes before the id of its person waits for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from state.catalog.plan import Plan
from state.duration import HOUR
from state.event import Event
from state.person import snapshot
from state.person.arrivals import VisitorMerged
from state.person.collector import Collector
from state.records.facts import EventFact
from state.records.recommendation import Erase
from tests.operators.track_job import Job, gone
from tests.state.lives import (
    Counted,
    Life,
    anonymously,
    catalog,
    counts,
    event,
    of_kind,
    signup,
    versions,
    visitor_merged,
)


def nameless(at: int) -> Event:
    """What a merged visitor sent, for whom it became: the key knows its id."""
    return anonymously(event("form_submit", at, form="connect", user=""))


@pytest.mark.parametrize("at_once", [False, True])
def test_an_event_that_overtakes_the_one_with_the_id_waits_for_it(at_once: bool) -> None:
    """With several workers. It is of a visitor who was merged into the person."""
    early = anonymously(event("form_submit", 1, form="connect", user=""))
    named = msgspec.structs.replace(signup(2), seq=20)
    job = Job()
    batches = [[early, named]] if at_once else [[early], [named]]
    told = [each for batch in batches for each in job.take(*batch)]
    assert sorted((row.user_id, row.event_type, row.status) for row in of_kind(told, EventFact)) == [
        ("u", "form_submit", "applied"),
        ("u", "signup", "applied"),
    ]
    assert "connect" in snapshot.decode(job.logic.snapshot()).steps
    assert versions(job.outputs) == sorted(versions(job.outputs))


def test_an_event_that_waits_for_the_id_of_somebody_deleted_or_merged_is_told_so() -> None:
    early = anonymously(event("form_submit", 1, form="connect", user=""))
    deleted, merged = Job(), Job()
    deleted.take(early)
    told = deleted.take(*(msgspec.structs.replace(each, seq=20 + at) for at, each in enumerate((signup(2), event("user_deleted", 3)))))
    assert counts(told, "events_ignored") == ["deleted"]
    merged.take(early)
    told = merged.take(visitor_merged(HOUR, seq=20))
    told += merged.take(anonymously(event("page_view", 2, path="/")))
    assert [row.status for row in of_kind(told, EventFact)] == ["merged"] * 2


def people(outputs: Iterable[Any]) -> int:
    """How many people were counted."""
    return sum(each.by for each in of_kind(outputs, Counted) if each.name == "people")


def test_a_visitor_that_begins_with_an_event_without_its_id_has_that_of_the_merge_and_is_erased() -> None:
    job = Job()
    job.take(nameless(1))
    told = job.take(visitor_merged(HOUR, into="known", seq=20))
    assert [(row.user_id, row.status) for row in of_kind(told, EventFact)] == [("u", "merged")]
    assert people(job.outputs) == 0
    assert [each.user_id for each in of_kind(job.take(gone(2 * HOUR)), Erase)] == ["u"]


def test_the_deletion_of_a_visitor_whose_id_is_not_known_erases_it_once_it_is() -> None:
    job = Job()
    job.take(nameless(1))
    chained = msgspec.structs.replace(visitor_merged(HOUR, into="known", seq=20), user="")
    assert of_kind(job.take(chained, gone(HOUR)), Erase) == []
    assert of_kind(job.take(chained), Erase) == []
    assert [each.user_id for each in of_kind(job.take(visitor_merged(HOUR, into="known", seq=22)), Erase)] == ["u"]


def test_somebody_who_begins_without_an_id_and_whose_merge_is_refused_goes_on_under_the_id() -> None:
    job = Job()
    job.take(nameless(1))
    told = job.take(msgspec.structs.replace(visitor_merged(HOUR, into="known", seq=20), refused="merge_too_many"))
    assert [(row.user_id, row.status) for row in of_kind(told, EventFact)] == [("u", "applied")]
    assert people(job.outputs) == 1
    assert snapshot.decode(job.logic.snapshot()).drawn_group


def test_nothing_is_recorded_of_somebody_without_an_id_under_a_new_catalog() -> None:
    life, out = Life(), Collector("key")
    life.see(nameless(1))
    other = Life(Plan(catalog(change=lambda text: text.replace("title: Analysts", "title: All"))), life.person)
    other.fold.apply(other.person, nameless(2), out)
    assert out.rows == []


@pytest.mark.parametrize("brings", [signup(2), visitor_merged(2)])
def test_an_event_that_waits_for_the_id_survives_a_rest_and_a_restart(brings: Event | VisitorMerged) -> None:
    told = list[tuple[str, str]]()
    for restarts in (False, True):
        job = Job(most_awake=0)
        job.take(nameless(1))
        if restarts:
            job.restart()
            job.restart()
        rows = of_kind(job.take(msgspec.structs.replace(brings, seq=20)), EventFact)
        assert snapshot.waiting(job.logic.snapshot()) == []
        told.append(next((row.user_id, row.status) for row in rows if row.event_type == "form_submit"))
        assert len(rows) == 1 + isinstance(brings, Event)
    assert told == [("u", "applied" if isinstance(brings, Event) else "merged")] * 2


@pytest.mark.parametrize("first", [False, True])
def test_an_event_for_somebody_who_was_merged_under_a_digest_does_not_wait_but_is_counted(first: bool) -> None:
    chained = msgspec.structs.replace(visitor_merged(HOUR, into="known", seq=20), user="")
    job = Job()
    for each in (nameless(1), chained) if first else (chained, nameless(1)):
        job.take(each)
    assert counts(job.outputs, "events_ignored") == ["unknown_user"]
    assert snapshot.waiting(job.logic.snapshot()) == []
