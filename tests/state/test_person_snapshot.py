"""The snapshot of a person: what it holds, how small it is, and what becomes of damaged ones."""

from __future__ import annotations

import sys
import threading
from typing import Any

import msgspec
import pytest

from state.duration import HOUR
from state.person import snapshot
from state.person.deduplication import remember, remembered
from state.person.person import Person
from state.snapshot_codec import SnapshotError
from tests.state.lives import (
    Life,
    connect,
    event,
    signup,
)
from tests.support.waiting import join


@pytest.mark.parametrize("payload", [{"path": ["x"]}, {"path": {"a": 1}}, {"code": 3}, {"form": True}])
def test_the_last_events_are_remembered_by_text_alone(payload: dict[str, Any]) -> None:
    life = Life()
    life.see(event("track", 0, **payload))
    assert life.person is not None
    assert life.person.last_event == "track"


def test_damaged_snapshots_and_those_of_a_later_release_are_refused_in_words() -> None:
    life = Life()
    life.see(signup())
    assert life.person is not None
    data = snapshot.encode(life.person)
    with pytest.raises(SnapshotError, match=r"version 9, .*newer release: upgrade"):
        snapshot.decode(b"\x09" + data[1:])
    with pytest.raises(SnapshotError, match=r"version 1, .*older release: start that one"):
        snapshot.decode(b"\x01" + data[1:])
    for cut in (0, 1, 4, 5, 10, len(data) - 1):
        with pytest.raises(SnapshotError):
            snapshot.decode(data[:cut])


def test_a_snapshot_of_fewer_fields_reads_as_a_person_of_today() -> None:
    life = Life()
    life.see(signup())
    assert life.person is not None
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(life.person))
    older = snapshot._HEAD.pack(snapshot.VERSION, 0) + msgspec.msgpack.encode(fields[:-2])
    read = snapshot.decode(older)
    assert (read.path, read.steps, read.guidance_at) == ("analysts", {}, 0)


def test_what_a_restart_needs_is_read_without_the_rest() -> None:
    life = Life()
    life.see(signup())
    assert life.person is not None
    assert snapshot.next_timer(snapshot.encode(life.person)) == (life.person.next_due, "t", "u", life.person.partition)
    assert life.person.next_due > 0
    assert snapshot.next_timer(snapshot.encode(Person("", ""))) == (0, "", "", 0)


def test_a_snapshot_holds_nothing_of_the_one_before_it_whichever_is_longer() -> None:
    people = [Person("t", "u" * length, traits={"plan": "x" * length}) for length in (5, 5_000, 1, 300, 0)]
    apart = list[bytes]()
    for each in people:
        snapshot._buffers.clear()
        apart.append(snapshot.encode(each))
    assert [snapshot.decode(each) for each in apart] == people
    assert [snapshot.encode(each) for each in people] == apart
    assert len(snapshot._buffers) == 1


@pytest.mark.timing
def test_threads_that_encode_at_once_do_not_share_a_buffer() -> None:
    people = [Person("t", str(number) * 40, traits={"plan": str(number) * 400}) for number in range(8)]
    apart = [snapshot.encode(each) for each in people]
    found: list[set[bytes]] = [set() for _ in people]

    def encode(place: int) -> None:
        found[place] |= {snapshot.encode(people[place]) for _ in range(2_000)}

    workers = [threading.Thread(target=encode, args=(place,), daemon=True) for place in range(len(people))]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            join(worker, "a thread that encodes")
    finally:
        sys.setswitchinterval(before)
    assert found == [{each} for each in apart]


def test_event_ids_that_are_late_by_now_are_left_out() -> None:
    person = Person("t", "u", floor=1_000)
    for mark, at in ((b"tooearly", 999), (b"in time ", 1_000), (b"very old", 0), (b"the last", 2_000)):
        remember(person, mark, at)
    before = bytes(person.seen)
    assert list(remembered(snapshot.decode(snapshot.encode(person)))) == [(b"in time ", 1_000), (b"the last", 2_000)]
    assert person.seen == before


SHORT_FIELDS = [b"\x90", b"\x98" + b"\x00" * 8, msgspec.msgpack.encode([*(["x"] * 7), {}, 1]), b"\x01", b"\xc1"]
"""Bodies that are no person: too few fields, fields of other types, no list, no MessagePack."""


@pytest.mark.parametrize("data", [b"", b"\x04", b"\x03", b"\x05" + bytes(20), *(b"\x04" + bytes(8) + each for each in SHORT_FIELDS)])
def test_a_damaged_snapshot_is_refused_with_a_sentence(data: bytes) -> None:
    for read in (snapshot.decode, snapshot.next_timer):
        with pytest.raises(SnapshotError, match=r"damaged|upgrade"):
            read(data)


@pytest.mark.parametrize("body", SHORT_FIELDS)
def test_a_damaged_snapshot_of_the_layout_before_is_refused_with_a_sentence(body: bytes) -> None:
    with pytest.raises(SnapshotError, match="damaged"):
        snapshot.decode(b"\x03" + bytes(4) + body)


def test_a_usual_person_fits_into_650_bytes() -> None:
    life = Life()
    life.see(signup(), *(event("page_view", number * HOUR, path=f"/{number}") for number in range(1, 8)), connect(8 * HOUR))
    assert life.person is not None
    assert len(snapshot.encode(life.person)) < 650


def test_a_snapshot_with_waiting_events_has_the_person_too_and_refuses_what_is_cut_off() -> None:
    life, events = Life(), [event("page_view", at, path="/", user="") for at in (1, 2)]
    life.see(signup())
    assert life.person is not None
    plain = snapshot.encode(life.person)
    both = snapshot.with_waiting(plain, events)
    assert (snapshot.waiting(both), snapshot.waiting(plain)) == (events, [])
    assert snapshot.decode(both) == life.person
    assert snapshot.next_timer(both) == snapshot.next_timer(plain)
    with pytest.raises(SnapshotError, match="damaged"):
        snapshot.waiting(both[:20])
    for read in (snapshot.decode, snapshot.next_timer):
        for length in (1, 4, 20):
            with pytest.raises(SnapshotError, match="damaged"):
                read(both[:length])
