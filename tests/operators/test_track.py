"""track: a person lives under one key, is woken by one timer, and goes on after a restart as if nothing had been."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.awake import AT_ONCE, AwakePeople
from operators.timer_registry import TimerRegistry
from operators.track import TrackLogic, track_logic
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.decision.messages import DecisionOutcome, DecisionRequest
from state.duration import DAY, HOUR, MINUTE
from state.events import Event
from state.person import snapshot
from state.person.arrivals import Arrival, GuidanceSwitched, TimerDue, VisitorDeleted, VisitorMerged
from state.person.collector import Collector
from state.person.person import Person
from state.records.facts import EventFact
from state.records.recommendation import Erase
from tests.state.lives import (
    KEYS,
    START,
    Counted,
    Life,
    anonymously,
    catalog,
    counts,
    event,
    flat,
    kinds,
    of_kind,
    plan,
    signals,
    signup,
    stories,
    versions,
    visitor_merged,
    withdrawals,
)


class Job:
    """One key of the step without an engine: the wheel is popped as time passes, as ``timers`` does."""

    def __init__(self, of: Plan | None = None, *, most_awake: int = 1) -> None:
        """A key that nothing has arrived for."""
        self.plan = of or plan()
        self.wheels = TimerRegistry()
        self.build = track_logic(ByTenant(self.plan), KEYS, self.wheels, awake=AwakePeople(most_awake))
        self.logic = self.build(None)
        self.outputs: list[Any] = []
        self.seq = 0

    def take(self, *arrivals: Arrival) -> list[Any]:
        """One activation."""
        collectors, discard = self.logic.on_batch(list(arrivals))
        assert discard is not self.has_person
        fresh = flat(*collectors)
        self.outputs += fresh
        return fresh

    def see(self, *events: Event) -> list[Any]:
        """Events, numbered as a source does."""
        return self.take(*(msgspec.structs.replace(each, seq=2 * (self.seq + at)) for at, each in enumerate(events, 1)))

    def wait(self, at: int, partition: int = 0) -> list[Any]:
        """Log time passes, and the wheel calls."""
        fresh: list[Any] = []
        for key in self.wheels.for_this_thread().pop_due(partition, START + at):
            assert key == KEYS.stream_key("t", "u")
            fresh += self.take(TimerDue(partition, START + at, 1))
        return fresh

    @property
    def has_person(self) -> bool:
        """Whether the key is anybody's: only then it has a snapshot."""
        return self.logic._person is not None or self.logic._encoded is not None

    def restart(self) -> None:
        """The process is gone, with its wheel; the snapshot is what remains."""
        snapshot = self.logic.snapshot()
        self.wheels = TimerRegistry()
        self.build = track_logic(ByTenant(self.plan), KEYS, self.wheels)
        self.logic = self.build(snapshot)


def test_it_does_what_the_fold_does() -> None:
    job, life = Job(), Life()
    events = [signup(), event("form_submit", HOUR, form="connect"), event("user_deleted", 2 * HOUR)]
    for each in events:
        job.see(each)
    life.see(*events)
    assert [type(each) for each in job.outputs] == [type(each) for each in life.outputs]
    assert snapshot.decode(job.logic.snapshot()) == life.person


def test_a_batch_is_taken_in_the_order_of_the_input_however_it_came() -> None:
    events = [msgspec.structs.replace(each, seq=2 * at) for at, each in enumerate([signup(), event("recommendation_shown", 1)])]
    assert kinds(Job().take(*reversed(events))) == kinds(Job().take(*events)) == ["shown"]


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


def test_asks_carry_who_and_when_so_that_they_can_be_ordered() -> None:
    job = Job()
    (ask,) = of_kind(job.take(msgspec.structs.replace(signup(), seq=40)), DecisionRequest)
    assert (ask.seq, ask.key, ask.number) == (40, KEYS.stream_key("t", "u"), 1)


def test_a_timer_is_of_the_tenant_of_its_person_also_after_a_restart() -> None:
    job = Job()
    job.see(signup())
    for _ in range(2):
        wheel = job.wheels.for_this_thread()
        assert (wheel.keys(0, "t"), wheel.keys(0, "another")) == ({KEYS.stream_key("t", "u")}, set())
        job.restart()


def test_the_next_timer_of_a_person_is_always_in_the_wheel_whatever_else_is() -> None:
    """A source divides its input by the timers of the wheel: one that is not in it would fire after later messages of other people."""
    job = Job()
    moments = list[int]()
    for number in range(60):
        at = number * 40 * MINUTE
        job.see(signup(at, ident=f"s{number}") if number % 9 == 0 else event("page_view", at, path=f"/{number}"))
        if number % 13 == 5:
            job.see(event("form_submit", at + MINUTE, form=("connect", "invite")[number % 2]))
        if number % 7 == 3:
            job.see(event("recommendation_shown", at + 2 * MINUTE))
        job.wait(at + 5 * MINUTE)
        if due := snapshot.decode(job.logic.snapshot()).next_due:
            assert job.wheels.peek(0, due - 1) == due
            moments.append(due)
    assert any(earlier < later for earlier, later in pairwise(moments)), "it also moves to later"


def test_the_wheel_is_armed_once_however_many_events_move_the_deadline() -> None:
    job = Job()
    for minute in range(100):
        job.see(event("page_view", minute * MINUTE, path="/", user="u"))
        job.see(signup(minute * MINUTE, ident=f"s{minute}"))
    assert len(job.wheels) == 1


def test_the_call_comes_at_the_deadline_and_a_stale_one_only_sets_the_next() -> None:
    job = Job()
    job.see(signup())
    job.see(event("form_submit", HOUR, form="connect"))
    job.wait(6 * HOUR)  # the first check of the step that is completed by now, and of the next
    assert len(job.wheels) == 1
    assert signals(job.wait(DAY)) == []
    assert signals(job.wait(DAY + HOUR)) == ["stuck:inactive"]


def test_calls_that_are_left_over_do_not_breed() -> None:
    """A deadline that comes sooner adds a call; the later one is still in the wheel and must not add another when it fires."""
    job = Job(Plan(catalog(change=lambda text: text.replace("{after: 24h}", "{after: 48h}"))))
    job.see(event("identify", 0, traits={"persona": "analyst"}))
    for day in range(60):
        job.see(*(event("error", day * DAY + HOUR + number, code="x") for number in range(3)))
        for hour in range(2, 25):
            if hour % 8 == 0:
                job.see(event("page_view", day * DAY + hour * HOUR, path=f"/{hour}"))
            job.wait(day * DAY + hour * HOUR)
        assert len(job.wheels) <= 2
    assert signals(job.outputs) == ["stuck:errors"]


def test_a_stale_fire_is_harmless() -> None:
    job = Job()
    job.see(signup())
    before = job.logic.snapshot()
    for at in (START - 5, START, START + 1):
        assert job.take(TimerDue(0, at, 1)) == []
    assert job.logic.snapshot() == before
    assert len(job.wheels) == 1


def test_a_call_for_nobody_is_ignored() -> None:
    assert Job().take(TimerDue(0, START, 1)) == []


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


def in_partition(made: Event, partition: int, behind: int = 0) -> Event:
    """The same event in another partition, whose log time is ``behind``."""
    return msgspec.structs.replace(made, partition=partition, log_time=made.log_time - behind)


def test_the_timer_follows_the_person_into_the_partition_of_the_last_event() -> None:
    """A merged visitor's events come in another partition. A restart registers the timer there, so it must be there without one too."""
    plain, broken = Job(), Job()
    for job in (plain, broken):
        job.see(signup())
        job.see(in_partition(event("page_view", HOUR, path="/"), 1))
    broken.restart()
    due = snapshot.decode(plain.logic.snapshot()).next_due
    for job in (plain, broken):
        assert job.wheels.peek(1, due - 1) == due
        assert job.wait(400 * DAY, partition=0) == [], "the time of another partition is not the person's"
        assert job.wheels.peek(1, due - 1) == due, "so the timer is still to come"
        assert signals(job.wait(400 * DAY, partition=1)) == ["stuck:inactive"]
    assert plain.outputs == broken.outputs
    assert plain.logic.snapshot() == broken.logic.snapshot()


def test_a_switch_concerns_the_people_of_its_partition() -> None:
    """Whoever has been in another partition may have a timer there still, which a restart does not bring back."""
    job = Job()
    job.see(signup(), in_partition(event("page_view", HOUR, path="/"), 1))
    before = job.logic.snapshot()
    assert job.take(GuidanceSwitched("t", 0, START + 400 * DAY, 1)) == []
    assert job.logic.snapshot() == before
    assert job.take(GuidanceSwitched("t", 1, START + 400 * DAY, 1))


def test_a_person_in_many_partitions_has_one_timer_in_each_at_most() -> None:
    job = Job()
    job.see(signup())
    for minute in range(100):
        job.see(in_partition(event("page_view", minute * MINUTE, path="/"), minute % 3))
    assert len(job.wheels) == 3
    due = snapshot.next_timer(job.logic.snapshot()).due
    assert job.wait(due - START, partition=1) == []
    for partition in (1, 2, 1):  # a tick of partition 1 has overtaken these events
        job.see(in_partition(event("page_view", 101 * MINUTE + partition, path="/"), partition))
        assert job.wheels.peek(partition, due - 1) == due
    assert len(job.wheels) == 3


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


def test_a_visitor_who_became_a_user_is_told_so_under_the_old_key() -> None:
    job = Job()
    job.see(anonymously(signup()))
    told = job.take(visitor_merged(1, into="known", seq=4))
    assert [each.reason for each in withdrawals(told)] == ["merged"]
    assert [each.seq for each in of_kind(told, DecisionOutcome)] == [4]


def gone(at: int, into: str = "known") -> VisitorDeleted:
    return VisitorDeleted(
        tenant="t",
        key=KEYS.stream_key("t", "u"),
        into_key=KEYS.stream_key("t", into),
        timestamp=START + at,
        log_time=START + at,
        partition=0,
        seq=6,
    )


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


def test_the_deletion_of_a_user_that_a_visitor_was_not_merged_into_is_ignored() -> None:
    for first in (signup(), anonymously(signup())):  # a user is no visitor, and the visitor was merged into somebody else
        job = Job()
        job.see(first)
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


def test_two_keys_share_a_builder_and_nothing_else() -> None:
    job = Job()
    other = job.build(None)
    assert isinstance(other, TrackLogic)
    job.see(signup())
    other.on_batch([signup(user="v")])
    assert [snapshot.decode(each.snapshot()).user for each in (job.logic, other)] == ["u", "v"]


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


def nameless(at: int) -> Event:
    """What a merged visitor sent, for whom it became: the key knows its id."""
    return anonymously(event("form_submit", at, form="connect", user=""))


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
