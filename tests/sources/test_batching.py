"""Batches and ticks: what happens, and in which order, does not depend on how the input was divided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.batching import ALL, BatchAction, BatchPlanner, BatchPolicy, PeekTimers
from sources.log_time import MAX_AHEAD_MS, LogTime, TimeState
from state.messages import Tick
from state.stuck.parameters import PERIOD

SECOND, MINUTE = 1_000, 60_000
START = 1_700_000_000_000 // PERIOD * PERIOD
APPEND, END, TICK, TICK_AND_END = BatchAction.APPEND, BatchAction.END_BATCH, BatchAction.TICK, BatchAction.TICK_AND_END


class Timers:
    """The timers of a partition that the test sets: ``due``, and ``later`` ones."""

    def __init__(self) -> None:
        self.due: int | None = None
        self.later: list[int] = []

    def peek(self, partition: int, after: int = ALL, /) -> int | None:
        assert partition == 3
        known = self.later if self.due is None else [self.due, *self.later]
        return min((each for each in known if each > after), default=None)


def planner(timers: Timers | None, *, lookahead: int = 5 * MINUTE, ticked: int = START) -> BatchPlanner:
    made = BatchPlanner(BatchPolicy(timers.peek if timers else None, lambda _: lookahead), 3, ticked)
    made.begin_batch()
    return made


@pytest.mark.parametrize(
    ("due", "start", "time", "action"),
    [
        (None, 60, 60, APPEND),
        (61, 60, 60, APPEND),
        (60, 60, 60, TICK),
        (20, 60, 90, TICK),
        (1_800, 1_800, 1_800, TICK_AND_END),  # the message needs the parameters that the boundary brings
        (1_790, 1_860, 1_860, TICK_AND_END),  # only the timers up to the boundary
        (1_801, 1_860, 1_860, TICK),
        (1_799, 1_799, 1_801, TICK_AND_END),  # a source whose ticks stay behind the messages
    ],
)
def test_an_empty_batch_begins_with_the_timers_that_are_due(due: int | None, start: int, time: int, action: BatchAction) -> None:
    timers = Timers()
    timers.due = None if due is None else START + due * SECOND
    made = planner(timers)
    assert made.decide(START + start * SECOND, START + time * SECOND) is action
    boundary = START + PERIOD
    assert made.ticked == (START if action is APPEND else min(START + start * SECOND, boundary if due and due <= 1_800 else 1 << 60))


@pytest.mark.parametrize(
    ("due", "start", "action"),
    [
        (None, 299, APPEND),
        (None, 300, END),  # what the first message registered may be due
        (299, 299, TICK),
        (100, 299, TICK),
        (100, 300, END),
    ],
)
def test_a_batch_takes_a_tick_among_its_messages_as_far_as_all_timers_are_known(due: int | None, start: int, action: BatchAction) -> None:
    timers = Timers()
    timers.due = None if due is None else START + due * SECOND
    made = planner(timers)
    made.begin_messages(START)
    assert made.decide(START + start * SECOND, START + start * SECOND) is action


def test_at_a_boundary_a_tick_ends_the_batch() -> None:
    timers = Timers()
    made = planner(timers)
    made.begin_messages(START + PERIOD - MINUTE)
    assert made.decide(START + PERIOD, START + PERIOD) is END, "nothing is due, and the parameters change"
    timers.due = START + PERIOD - SECOND
    assert made.decide(START + PERIOD + SECOND, START + PERIOD + SECOND) is END, "the boundary lies between the timers and the slot"
    assert made.decide(START + PERIOD, START + PERIOD) is TICK_AND_END
    assert made.ticked == START + PERIOD


def test_after_a_tick_the_batch_goes_on_as_far_as_its_timers_register_none() -> None:
    timers = Timers()
    timers.due, timers.later = START + MINUTE, [START + 3 * MINUTE + 1, START + 4 * MINUTE]
    made = planner(timers)
    assert made.decide(START + 2 * MINUTE, START + 2 * MINUTE) is TICK
    made.begin_messages(START + 2 * MINUTE)
    timers.due = START + 2 * MINUTE + 1  # what is registered meanwhile is not known to the batch
    assert made.decide(START + 3 * MINUTE, START + 3 * MINUTE) is APPEND, "nothing more is due"
    assert made.decide(START + 4 * MINUTE, START + 4 * MINUTE) is TICK
    assert made.ticked == START + 4 * MINUTE
    assert made.decide(START + 5 * MINUTE, START + 5 * MINUTE) is APPEND
    assert made.decide(START + 6 * MINUTE, START + 6 * MINUTE) is END, "the first timer may have registered one"


def test_after_a_timer_of_long_ago_the_batch_ends_with_the_slot() -> None:
    timers = Timers()
    timers.due = START + MINUTE
    made = planner(timers)
    assert made.decide(START + 20 * MINUTE, START + 20 * MINUTE) is TICK
    made.begin_messages(START + 20 * MINUTE)
    assert made.decide(START + 20 * MINUTE + SECOND, START + 20 * MINUTE + SECOND) is END


def test_no_second_tick_fires_timers_beyond_a_boundary() -> None:
    timers = Timers()
    timers.due, timers.later = START + PERIOD - 3 * MINUTE, [START + PERIOD - MINUTE]
    made = planner(timers)
    assert made.decide(START + PERIOD - 2 * MINUTE, START + PERIOD - 2 * MINUTE) is TICK
    made.begin_messages(START + PERIOD - 2 * MINUTE)
    assert made.decide(START + PERIOD + SECOND, START + PERIOD + SECOND) is END
    assert made.decide(START + PERIOD, START + PERIOD) is TICK_AND_END


def test_a_tick_that_changes_nothing_is_not_repeated() -> None:
    """The timers of another worker stay where they are."""
    timers = Timers()
    timers.due = START + MINUTE
    made = planner(timers)
    assert made.decide(START + MINUTE, START + MINUTE) is TICK
    made.begin_batch()
    assert made.decide(START + MINUTE, START + MINUTE) is APPEND
    timers.due += 1_000
    assert made.decide(START + 2 * MINUTE, START + 2 * MINUTE) is TICK


def test_timers_of_another_worker_do_not_hold_up_time_at_a_boundary() -> None:
    timers = Timers()
    timers.due = START + PERIOD - SECOND
    made = planner(timers)
    assert made.decide(START + PERIOD + MINUTE, START + PERIOD + MINUTE) is TICK_AND_END
    made.begin_batch()
    assert made.decide(START + PERIOD + MINUTE, START + PERIOD + MINUTE) is TICK
    assert made.ticked == START + PERIOD + MINUTE


def test_timers_before_a_boundary_do_not_follow_messages_after_it() -> None:
    """Ticks of a log stay behind its messages, so timers from before the boundary may fire after the first of them."""
    timers = Timers()
    timers.due = START + PERIOD - 500
    made = planner(timers, ticked=START + PERIOD - SECOND)
    made.begin_messages(START + PERIOD + 200)
    assert made.decide(START + PERIOD, START + PERIOD + 1_100) is END


def test_where_timers_are_not_known_every_slot_has_a_tick() -> None:
    made = planner(None)
    assert made.decide(START + MINUTE, START + MINUTE) is TICK
    made.begin_batch()
    assert made.decide(START + MINUTE, START + MINUTE) is APPEND
    made.begin_messages(START + MINUTE)
    assert made.decide(START + 2 * MINUTE, START + 2 * MINUTE) is TICK
    assert made.decide(START + 3 * MINUTE, START + 3 * MINUTE) is END


def test_before_the_last_tick_nothing_is_due() -> None:
    timers = Timers()
    timers.due = START - SECOND
    made = planner(timers, ticked=START + MINUTE)
    assert made.decide(START, START + SECOND) is APPEND
    made.begin_messages(START + PERIOD - SECOND)
    assert made.decide(START + SECOND, START + PERIOD) is END, "a boundary"


class Job:
    """People with a timer each, as the steps of one worker treat them. ``trace`` is what happened, in input order.

    An arrival sets the person's timer where there is none, and a fired timer the next. Every arrival and timer is an observation, which
    counts for others from the next period on.
    """

    def __init__(self, lookahead: int) -> None:
        self.lookahead = lookahead
        self.due: dict[int, int] = {}
        self.observed: Counter[int] = Counter()
        self.trace: list[tuple[int, int, int, int]] = []

    def peek(self, partition: int, after: int = ALL, /) -> int | None:
        assert partition == 0
        return min((due for due in self.due.values() if due > after), default=None)

    def take(self, batch: list[tuple[int, int, int] | Tick]) -> None:
        """Take a batch of messages, each its seq, log time and person."""
        arrivals: list[tuple[int, int, int, bool]] = []
        for item in batch:
            if isinstance(item, Tick):
                woken = sorted((due, person) for person, due in self.due.items() if due <= item.at)
                arrivals += [(item.seq, item.at, person, False) for _, person in woken]
            else:
                arrivals.append((*item, True))
        happened: list[tuple[int, int, int, int]] = []
        for person in {each[2] for each in arrivals}:
            for seq, at, _, is_message in sorted(each for each in arrivals if each[2] == person):
                while (due := self.due.get(person, at + 1)) <= at:
                    happened.append((seq, due, person, self._known(due - 1)))
                    self.due[person] = due + self.lookahead + (due * 7 + person * 13) % 97 * SECOND
                if is_message:
                    happened.append((seq, at, person, self._known(at)))
                    self.due.setdefault(person, at + self.lookahead + person * 11 * SECOND)
        self.observed.update((at - seq % 2) // PERIOD for seq, at, _, _ in happened)
        self.trace += sorted(happened)

    def _known(self, at: int) -> int:
        return sum(count for period, count in self.observed.items() if period < at // PERIOD)


def divided(messages: list[tuple[int, int]], lookahead: int, batch_size: int) -> list[tuple[int, int, int, int]]:
    """Run ``messages``, each its log time and person, in batches of at most ``batch_size`` items; return what happened."""
    job = Job(lookahead)
    time = LogTime(BatchPolicy(job.peek, lambda _: lookahead), 0, TimeState(ticked=START), now=lambda: 1 << 60)
    place = 0
    while place < len(messages):
        if (tick := time.passed_tick()) is not None:
            job.take([tick])
            continue
        batch: list[tuple[int, int, int] | Tick] = []
        time.begin_batch()
        for at, person in messages[place:]:
            if len(batch) >= batch_size:
                break
            seq = time.take_next(at)
            if not seq:
                _, action = time.admit(at)
                if action.ticks:
                    batch.append(time.tick())
                if action.ends:
                    break
                seq = time.append(at)
            batch.append((seq, at, person))
            place += 1
        assert batch, "every batch has something, or the source would wait for ever"
        job.take(batch)
    return job.trace


MOST_TICKS = 1_000


def ticks(time: LogTime, until: int) -> Iterator[Tick]:
    """Yield the ticks of an idle partition whose log time goes on to ``until``."""
    time.advance_idle_to(until)
    time.commit_idle_time()
    for _ in range(MOST_TICKS):
        announced, tick = time.has_tick, time.passed_tick()
        assert announced == (tick is not None)
        if tick is None:
            return
        yield tick
    raise AssertionError("the ticks have no end")


def test_time_that_passes_at_once_stops_at_each_boundary_up_to_which_a_timer_is_due() -> None:
    due = [START + 10 * MINUTE, START + 25 * MINUTE, START + 2 * PERIOD, START + 8 * PERIOD + 1]

    def peek(_partition: int, after: int = ALL) -> int | None:
        return min((each for each in due if each > after), default=None)

    time = LogTime(BatchPolicy(peek, lambda _: MINUTE), 0, TimeState(START, ticked=START), now=lambda: 1 << 60)
    found = []
    for tick in ticks(time, START + 10 * PERIOD):
        found.append(tick.at - START)
        due = [each for each in due if each > tick.at]
    assert found == [PERIOD, 2 * PERIOD, 9 * PERIOD, 10 * PERIOD - SECOND]


@pytest.mark.parametrize("peek", [lambda *_: None, None])
def test_a_year_without_timers_passes_with_one_tick(peek: PeekTimers | None) -> None:
    time = LogTime(BatchPolicy(peek, lambda _: MINUTE), 0, TimeState(START, ticked=START), now=lambda: 1 << 60)
    assert [tick.at - START for tick in ticks(time, START + 17_520 * PERIOD)] == [17_520 * PERIOD - SECOND]


def test_a_timer_from_before_the_last_tick_does_not_hold_up_time_that_passes() -> None:
    """Another worker still holds it, or a person came with it from another partition. It may set one that is due soon."""
    time = LogTime(BatchPolicy(lambda *_: START - MINUTE, lambda _: MINUTE), 0, TimeState(START, ticked=START), now=lambda: 1 << 60)
    found = [tick.at - START for tick in ticks(time, START + 2 * PERIOD + MINUTE)]
    assert found == [PERIOD, 2 * PERIOD, 2 * PERIOD + MINUTE - SECOND]


@settings(max_examples=300)
@given(
    people=st.lists(st.integers(1, 4 * 60), min_size=1, max_size=5),
    steps=st.lists(st.sampled_from([SECOND, 40 * SECOND, 11 * MINUTE, 100 * MINUTE]), max_size=40),
    lookahead=st.sampled_from([30 * SECOND, 10 * MINUTE, 60 * MINUTE]),
)
def test_how_often_idle_time_passes_changes_nothing(people: list[int], steps: list[int], lookahead: int) -> None:
    """A job that was down for hours does what one does that ran."""
    end = START + sum(steps) + PERIOD

    def idle(moments: list[int]) -> list[tuple[int, int, int]]:
        job = Job(lookahead)
        job.due = {person: START + after * MINUTE for person, after in enumerate(people)}
        time = LogTime(BatchPolicy(job.peek, lambda _: lookahead), 0, TimeState(START, ticked=START), now=lambda: 1 << 60)
        for moment in [*moments, end]:
            for tick in ticks(time, moment):
                job.take([tick])
        return [(due, person, known) for _, due, person, known in sorted(job.trace, key=lambda each: each[1:])]

    assert idle([]) == idle([START + sum(steps[: place + 1]) for place in range(len(steps))])


def test_where_no_timer_is_due_batches_end_at_boundaries_without_a_tick() -> None:
    time = LogTime(BatchPolicy(lambda *_: None, lambda _: MINUTE), 0, TimeState(ticked=START), now=lambda: 1 << 60)
    time.begin_batch()
    actions = []
    for at in (START + SECOND, START + PERIOD + 5 * SECOND):
        _, action = time.admit(at)
        actions.append((action.ticks, action.ends))
        time.append(at)
    assert actions == [(False, False), (False, True)]


@settings(max_examples=800)  # with 100 a rule that is left out is not always noticed
@given(
    gaps=st.lists(
        st.tuples(st.sampled_from([0, 300, 2_500, 20_000, 60_000, 400_000, 1_500_000, 4_000_000]), st.integers(0, 4)), max_size=30
    ),
    lookahead=st.sampled_from([SECOND, 30 * SECOND, 10 * MINUTE, 60 * MINUTE]),
)
def test_the_division_into_batches_changes_nothing(gaps: list[tuple[int, int]], lookahead: int) -> None:
    at = START + 5 * SECOND
    messages = [(at := at + gap, person) for gap, person in gaps]
    whole = divided(messages, lookahead, 1_000)
    assert {(2 * n + 2, *each) for n, each in enumerate(messages)} <= {each[:3] for each in whole}
    for batch_size in (1, 2, 3, 7):
        assert divided(messages, lookahead, batch_size) == whole


def _everything(time: LogTime) -> list[object]:
    planner = time._planner
    return [
        getattr(each, name)
        for each in (time, planner)
        for name in type(each).__slots__
        if name not in {"_now", "_planner", "_policy", "_run_end"}
    ]


@settings(max_examples=400)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([0, 0, 1, 300, 999, 1_000, 2_500, -1, -700, MAX_AHEAD_MS, MAX_AHEAD_MS + 1, PERIOD]),
            st.sampled_from(["message", "message", "message", "message", "at the end of the slot", "new batch", "the clock goes on"]),
        ),
        max_size=40,
    ),
    timers=st.lists(st.integers(0, 2 * PERIOD).map(lambda after: START + after), max_size=4),
    lookahead=st.sampled_from([SECOND, 10 * MINUTE, 3 * PERIOD]),
)
def test_a_message_taken_in_one_call_is_as_one_that_was_admitted_and_appended(
    steps: list[tuple[int, str]], timers: list[int], lookahead: int
) -> None:
    clock = START

    def peek(_partition: int, after: int = ALL) -> int | None:
        return min((due for due in timers if due > after), default=None)

    policy = BatchPolicy(peek, lambda _: lookahead)
    plain, quick = (LogTime(policy, 0, TimeState(START, ticked=START), now=lambda: clock) for _ in range(2))
    for time in (plain, quick):
        time.begin_batch()
    for ahead, kind in steps:
        if kind == "the clock goes on":
            clock += abs(ahead)
        stamp = quick.log_time + ahead if kind != "at the end of the slot" else quick.log_time // SECOND * SECOND + SECOND + min(ahead, 1)
        at, action = plain.admit(stamp)
        seq = 0 if action.ends else plain.append(at)
        taken = quick.take_next(stamp)
        if taken:
            assert (action, taken) == (BatchAction.APPEND, seq)
        else:
            assert quick.admit(stamp) == (at, action)
            assert action.ends or quick.append(at) == seq
        assert _everything(quick) == _everything(plain)
        if action.ends or kind == "new batch":
            for time in (plain, quick):
                time.begin_batch()


def test_most_messages_are_taken_in_one_call() -> None:
    time = LogTime(BatchPolicy(lambda *_: None, lambda _: MINUTE), 0, TimeState(START, ticked=START), now=lambda: 1 << 60)
    time.begin_batch()
    assert not time.take_next(START), "the planner does not know the batch yet"
    time.append(time.admit(START)[0])
    assert [time.take_next(START + at) for at in (0, 1, SECOND - 1)] == [4, 6, 8]
    assert not time.take_next(START + SECOND), "a timer may be due before the next slot"
