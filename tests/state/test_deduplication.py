"""Events that are not applied: those that are late, and those that came before."""

from __future__ import annotations

import msgspec
import pytest

from state.duration import DAY, SECOND
from state.person import deduplication, fold, snapshot
from state.person.collector import Collector
from state.person.deduplication import MOST_SEEN, is_known, remember, remembered
from state.person.person import Person
from state.records.facts import EventFact
from tests.state.lives import (
    Life,
    connect,
    event,
    of_kind,
    signup,
)


def test_what_is_older_than_the_bound_is_late_and_what_is_just_within_it_is_not() -> None:
    life = Life()
    life.see(signup(2 * DAY, log=2 * DAY))
    assert [each.status for each in of_kind(life.see(connect(1 * DAY - 1, log=2 * DAY)), EventFact)] == ["late"]
    assert life.done == {}
    assert [each.status for each in of_kind(life.see(connect(1 * DAY, log=2 * DAY)), EventFact)] == ["applied"]
    assert life.done == {"connect": 1 * DAY}


def test_an_applied_row_wins_over_the_late_repetition_of_the_same_event() -> None:
    life = Life()
    (applied,) = of_kind(life.see(signup()), EventFact)
    life.see(event("page_view", 3 * DAY, path="/"))
    (late,) = of_kind(life.see(signup()), EventFact)
    assert (applied.event_id, late.status) == (late.event_id, "late")
    assert applied.version > late.version


@pytest.mark.parametrize(("at", "status"), [(1, "late"), (3 * DAY, "applied")])
def test_what_a_merged_visitor_sent_before_the_merge_is_a_row_of_the_visitor_that_no_other_row_loses_to(at: int, status: str) -> None:
    life = Life()
    life.see(signup(), event("page_view", 3 * DAY, path="/"))
    repeated = msgspec.structs.replace(event("page_view", at, path="/pricing", log=4 * DAY), recorded_as="cookie")
    (row,) = of_kind(life.see(repeated), EventFact)
    assert (row.user_id, row.status, row.version) == ("cookie", status, 0)


def test_an_event_on_the_very_edge_of_the_bound_is_still_known_after_a_restart() -> None:
    life = Life()
    life.see(signup(0), event("page_view", DAY, path="/"))
    life.reload()
    assert [getattr(each, "name", "") for each in life.see(signup(0, log=DAY))] == ["events_duplicate"]


@pytest.mark.interpreted
def test_far_too_many_event_ids_of_one_person_push_the_bound_up_and_never_lose_deduplication(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "MOST_SEEN", 128)
    monkeypatch.setattr(deduplication, "MOST_SEEN", 128)
    life = Life()
    events = [event("page_view", number * SECOND, ident=f"i{number}", path="/") for number in range(1_000)]
    for each in events:
        life.see(each)
        assert life.person is not None
        kept = list(remembered(life.person))
        assert len(kept) < 128
        assert all(at >= life.person.floor for _, at in kept)
    life.reload()
    assert life.person is not None
    before = msgspec.structs.asdict(life.person)
    last = events[-1].log_time
    told = life.see(*(msgspec.structs.replace(each, log_time=last) for each in events))
    assert not [each for each in told if isinstance(each, EventFact) and each.status == "applied"]
    assert msgspec.structs.asdict(life.person) == before


@pytest.mark.interpreted
def test_too_many_events_at_one_and_the_same_instant_are_late_rather_than_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "MOST_SEEN", 64)
    monkeypatch.setattr(deduplication, "MOST_SEEN", 64)
    life = Life()
    events = [event("page_view", 0, ident=f"i{number}", path="/") for number in range(100)]
    told = life.see(*events)
    again = life.see(*events)
    assert [each.status for each in of_kind(told, EventFact)].count("applied") == 64
    assert not [each for each in of_kind(again, EventFact) if each.status == "applied"]
    later = life.see(event("page_view", 1, path="/"))
    assert [each.status for each in of_kind(later, EventFact)] == ["applied"]


@pytest.mark.slow
def test_a_hundred_thousand_events_of_one_person_leave_a_state_of_bounded_size() -> None:
    life = Life()
    small = life.fold
    person = None
    for number in range(100_000):
        each = event("page_view", number * SECOND, ident=f"i{number}", path=f"/{number % 7}")
        person = small.apply(person, each, Collector("key"))
    assert person is not None
    assert len(list(remembered(person))) <= MOST_SEEN
    assert len(snapshot.encode(person)) < 16 * MOST_SEEN + 2_000


def test_event_ids_are_told_apart_however_their_bytes_meet() -> None:
    """The hash of an id may also be found across two records, where it is none."""
    person = Person("t", "u")
    assert remember(person, b"abcdefgh", int.from_bytes(b"ijklmnop", "little")) == 1
    assert remember(person, b"qrstuvwx", 0) == 2
    assert not is_known(person, b"efghijkl")
    assert not is_known(person, b"mnopqrst")
    assert not is_known(person, b"ijklmnop")
    assert is_known(person, b"qrstuvwx")
    remember(person, b"efghijkl", 0)
    assert is_known(person, b"efghijkl")
    assert list(remembered(person))[1:] == [(b"qrstuvwx", 0), (b"efghijkl", 0)]


def test_an_id_older_than_the_floor_is_not_known_before_it_is_left_out_either() -> None:
    person = Person("t", "u", floor=1_000)
    remember(person, b"at-floor", 1_000)
    remember(person, b"too--old", 999)
    for each in (person, snapshot.decode(snapshot.encode(person))):
        assert is_known(each, b"at-floor")
        assert not is_known(each, b"too--old")
    remember(person, b"too--old", 1_000)
    assert is_known(person, b"too--old")


@pytest.mark.interpreted
def test_an_old_event_of_a_visitor_counts_once_also_where_the_floor_is_later_than_every_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "MOST_SEEN", 64)
    monkeypatch.setattr(deduplication, "MOST_SEEN", 64)
    life = Life()
    life.see(*(event("page_view", 0, ident=f"i{number}", path="/") for number in range(100)))
    assert life.person is not None
    assert life.person.floor > life.person.newest
    old = msgspec.structs.replace(event("page_view", 0, ident="old", path="/"), from_visitor=True)
    before = life.person.events
    life.see(old)
    life.reload()
    life.see(old)
    assert life.person.events == before + 1


@pytest.mark.parametrize("count", [0, 1, 20, 48, 49, 200])
@pytest.mark.parametrize("older", [0, 1])
def test_only_ids_older_than_the_floor_are_left_out_however_many_there_are(count: int, older: int) -> None:
    times = [1_000 + (each * 7) % 50 for each in range(count)]
    person = Person("t", "u", floor=min(times, default=0) + older)
    for number, at in enumerate(times):
        remember(person, number.to_bytes(8, "big"), at)
    before = bytes(person.seen)
    recent = deduplication.recent_events(person)
    assert bytes(person.seen) == before
    assert [at for _, at in remembered(Person("t", "u", seen=recent))] == [at for at in times if at >= person.floor]
    assert (recent is person.seen) == (not count or not older)
