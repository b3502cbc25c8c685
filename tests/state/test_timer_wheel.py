"""The timer wheel behaves like a sorted list, and each thread finds its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.timer_registry import TimerRegistry
from state import timer_wheel
from state.timer_wheel import TimerWheel
from tests.support.interleaving import before_every_step, steps_of
from tests.support.waiting import join

operations = st.lists(
    st.one_of(
        st.tuples(st.just("register"), st.integers(0, 1), st.integers(0, 5_000)),
        st.tuples(st.just("pop"), st.integers(0, 1), st.integers(0, 6_000)),
    ),
    max_size=80,
)


@given(operations)
def test_it_behaves_like_a_sorted_list(plan: list[tuple[str, int, int]]) -> None:
    wheel = TimerWheel()
    model: dict[int, list[tuple[int, str, str]]] = {0: [], 1: []}
    for number, (what, partition, time) in enumerate(plan):
        timers = model[partition]
        if what == "register":
            wheel.register(partition, f"k{number % 7}", time, f"t{number % 3}")
            timers.append((time, f"k{number % 7}", f"t{number % 3}"))
        else:
            due = sorted(timer for timer in timers if timer[0] <= time)
            assert wheel.pop_due_timers(partition, time) == due
            model[partition] = [timer for timer in timers if timer[0] > time]
        for index in (0, 1):
            for after in (-1, time, time // 2, 1_999, 2_000):
                assert wheel.next_due(index, after) == min((deadline for deadline, _, _ in model[index] if deadline > after), default=None)
            assert wheel.keys(index) == {key for _, key, _ in model[index]}
            assert wheel.keys(index, "t1") == {key for _, key, tenant in model[index] if tenant == "t1"}
        assert len(wheel) == len(model[0]) + len(model[1])


def test_every_thread_has_its_own_wheel_and_peek_sees_all() -> None:
    wheels = TimerRegistry(one_worker=False)
    assert wheels.peek(0) is None
    wheels.for_this_thread().register(0, "here", 5_000)

    def elsewhere() -> None:
        wheels.for_this_thread().register(0, "there", 3_000)
        wheels.for_this_thread().register(1, "other", 1)

    thread = threading.Thread(target=elsewhere, daemon=True)
    thread.start()
    join(thread, "the other wheel")
    assert wheels.for_this_thread().pop_due(0, 10_000) == ["here"]
    assert wheels.peek(0) == 3_000
    assert wheels.peek(1) == 1
    wheels.for_this_thread().register(0, "here", 4_000)
    assert wheels.peek(0, 3_500) == 3_000, "what another worker has is not done with the caller's tick"
    wheels.for_this_thread().register(1, "here", 1)
    wheels.for_this_thread().register(2, "here", 4_000)
    wheels.for_this_thread().register(2, "here", 6_000)
    assert wheels.peek(2, 4_000) == 6_000
    assert wheels.peek(2, 6_000) is None
    assert len(wheels) == 6


def _wheel(*deadlines: int) -> TimerWheel:
    wheel = TimerWheel()
    for deadline in deadlines:
        wheel.register(0, f"due at {deadline}", deadline)
    return wheel


CHANGES: list[Callable[[TimerWheel], object]] = [lambda wheel: wheel.pop_due(0, 100), lambda wheel: wheel.register(0, "sooner", 1)]


@pytest.mark.interpreted
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("deadlines", [(5,), (5, 5_300), (5, 200, 300), (5, 200, 9_000)])
def test_another_thread_sees_the_earliest_timer_from_before_or_after_a_change(
    change: Callable[[TimerWheel], object], deadlines: tuple[int, ...]
) -> None:
    """A source asks for it while another worker takes timers or adds one."""
    wheel, seen = _wheel(*deadlines), set[int | None]()
    before_every_step(partial(change, wheel), timer_wheel, lambda _: seen.add(wheel.next_due(0)))
    assert seen == {5, wheel.next_due(0)}


@pytest.mark.interpreted
@pytest.mark.parametrize("deadlines", [(5,), (5, 5_300)])
def test_timers_that_another_thread_takes_during_the_question_change_nothing_but_the_answer(deadlines: tuple[int, ...]) -> None:
    for step in range(steps_of(partial(_wheel(*deadlines).next_due, 0), timer_wheel)):
        wheel = _wheel(*deadlines)

        def take(now: int, step: int = step, wheel: TimerWheel = wheel) -> None:
            if now == step:
                wheel.pop_due(0, 100)

        assert before_every_step(partial(wheel.next_due, 0), timer_wheel, take) in (5, wheel.next_due(0))
