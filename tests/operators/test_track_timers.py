"""track: one timer wakes a person, in the partition of the last event."""

from __future__ import annotations

from itertools import pairwise

from state.catalog.plan import Plan
from state.duration import DAY, HOUR, MINUTE
from state.person import snapshot
from state.person.arrivals import GuidanceSwitched, TimerDue
from tests.operators.track_job import Job, in_partition
from tests.state.lives import (
    KEYS,
    START,
    catalog,
    event,
    signals,
    signup,
)


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
