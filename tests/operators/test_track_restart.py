"""track: after a rest or a restart a person goes on as if nothing had been."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.awake import AT_ONCE, AwakePeople
from operators.track import track_logic
from state.catalog.by_tenant import ByTenant
from state.decision.messages import DecisionRequest
from state.duration import DAY, HOUR, MINUTE
from state.event import Event
from state.person import snapshot
from state.person.arrivals import Arrival, GuidanceSwitched, TimerDue
from state.person.person import Person
from tests.operators.track_job import Job, gone, in_partition
from tests.state.lives import (
    KEYS,
    START,
    event,
    of_kind,
    signals,
    signup,
    stories,
    visitor_merged,
)


@pytest.mark.parametrize("at", range(6))
def test_a_restart_at_any_point_refills_the_wheel_and_changes_nothing(at: int) -> None:
    story: list[Event | int] = [
        signup(),
        HOUR,
        event("recommendation_shown", 2 * HOUR),
        30 * HOUR,
        event("page_view", 31 * HOUR, path="/"),
        90 * HOUR,
    ]
    plain, broken = Job(), Job()
    for index, each in enumerate(story):
        for job in (plain, broken):
            if isinstance(each, Event):
                job.see(each)
            else:
                job.wait(each)
        if index == at:
            broken.restart()
            assert broken.logic.snapshot()
            armed = len(broken.wheels)
            broken.take(TimerDue(0, START, 1))  # nothing is due
            assert len(broken.wheels) == armed, "the timer was registered twice"
    assert broken.outputs == plain.outputs
    assert broken.logic.snapshot() == plain.logic.snapshot()
    assert signals(plain.outputs) == ["stuck:inactive"]


@st.composite
def stories_in_two_partitions(draw: st.DrawFn) -> list[tuple[int, Arrival | int]]:
    """What one key meets: events and news of merges and deletions in two partitions, and the passing of time (numbers) in each."""
    story: list[tuple[int, Arrival | int]] = [(0, signup())]
    now = [0, 0]
    for number, each in enumerate(draw(stories()), 1):
        partition, what = draw(st.integers(0, 1)), draw(st.integers(0, 39))
        now[partition] += draw(st.sampled_from([0, MINUTE, HOUR, 7 * HOUR, 30 * HOUR]))
        at, seq = now[partition], 2 * number
        if what == 0:
            story.append((partition, visitor_merged(at, into="ana", seq=seq, partition=partition)))
        elif what == 1:
            story.append((partition, msgspec.structs.replace(gone(at, into="ana"), partition=partition, seq=seq)))
        elif what < 6:
            story.append((partition, GuidanceSwitched("t", partition, START + at, seq + 1)))
        elif what < 16 or not isinstance(each, Event):
            story.append((partition, at))
        else:
            seen = in_partition(msgspec.structs.replace(each, seq=seq, log_time=START + at), partition)
            behind = each.log_time - each.timestamp
            story.append(
                (partition, msgspec.structs.replace(seen, timestamp=START + at - behind, anonymous=what < 18, from_visitor=what == 18))
            )
    return story


@given(stories_in_two_partitions(), st.integers(0, 30), st.integers(0, 1))
def test_a_restart_anywhere_between_two_partitions_changes_nothing(story: list[tuple[int, Arrival | int]], at: int, first: int) -> None:
    plain, broken = Job(), Job()
    for index, (partition, each) in enumerate([*story, (first, 400 * DAY), (1 - first, 400 * DAY)]):
        if index == at % len(story) + 1 and broken.has_person:
            broken.restart()
        for job in (plain, broken):
            if isinstance(each, int):
                job.wait(each, partition)
            else:
                job.take(each)
            if job.has_person and (timer := snapshot.next_timer(job.logic.snapshot())).due:
                assert job.wheels.peek(timer.partition, timer.due - 1) == timer.due
        assert broken.outputs == plain.outputs
        assert broken.has_person == plain.has_person
        if plain.has_person:
            assert broken.logic.snapshot() == plain.logic.snapshot()


def test_a_person_is_the_same_after_a_rest_and_is_the_snapshot_meanwhile() -> None:
    story = [signup(), event("page_view", HOUR, path="/a"), event("recommendation_shown", 2 * HOUR), event("page_view", 9 * HOUR, path="/")]
    awake, rested = Job(), Job(most_awake=0)
    for each in story:
        for job in (awake, rested):
            job.see(each)
            job.wait(each.timestamp - START)
        assert awake.logic.snapshot() == rested.logic.snapshot()
        assert rested.logic._person is None
    assert awake.logic._person is not None
    assert awake.outputs == rested.outputs


def test_a_person_comes_to_rest_with_all_that_changed_and_is_awake_where_it_returns_soon() -> None:
    job = Job(most_awake=2)
    first, second = both = job.build(None), job.build(None)

    def awake() -> list[str]:
        return [each._person.user for each in both if each._person is not None]

    first.on_batch([msgspec.structs.replace(signup(), user="u1", seq=2)])
    assert (awake(), snapshot.decode(first.snapshot()).user) == ([], "u1")
    second.on_batch([msgspec.structs.replace(signup(), user="u2", seq=4)])
    first.on_batch([msgspec.structs.replace(event("page_view", HOUR, path="/"), user="u1", seq=6)])
    assert awake() == ["u1"]
    assert snapshot.decode(first.snapshot()).now == snapshot.decode(second.snapshot()).now + HOUR


def test_a_deleted_person_is_resumed_without_a_timer_and_may_begin_anew() -> None:
    job = Job()
    job.see(signup(), event("user_deleted", 1))
    job.restart()
    assert len(job.wheels) == 0
    assert of_kind(job.see(signup(HOUR, ident="again")), DecisionRequest)
    assert len(job.wheels) == 1


def test_who_has_changed_is_encoded_while_there_is_nothing_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    awake, encoded = AwakePeople(), list[str]()
    job, plain = Job(), snapshot.encode

    def encode(person: Person) -> bytes:
        encoded.append(person.user)
        return plain(person)

    monkeypatch.setattr(snapshot, "encode", encode)
    build = track_logic(ByTenant(job.plan), KEYS, job.wheels, awake=awake)
    people = [build(None) for _ in range(AT_ONCE + 1)]
    for at, again in enumerate((signup(), event("page_view", 1, path="/"))):
        for number, logic in enumerate(people):
            logic.on_batch([msgspec.structs.replace(again, user=f"u{number}", seq=2 * (number + at * len(people)))])
    encoded.clear()
    awake.encode_some()
    assert encoded == [f"u{number}" for number in range(AT_ONCE)]
    people[0].on_batch([msgspec.structs.replace(event("page_view", HOUR, path="/"), user="u0", seq=100)])
    for _ in range(3):
        awake.encode_some()
    assert encoded[AT_ONCE:] == [f"u{AT_ONCE}", "u0"]
    assert [logic.snapshot() for logic in people] == [plain(person) for logic in people if (person := logic._person) is not None]
    assert len(encoded) == AT_ONCE + 2, "the snapshots were there"
