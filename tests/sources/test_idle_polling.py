"""How often idle partitions are polled."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from sources.batching import nothing
from sources.idle_polling import _AT_ONCE, SHORTEST_MS, IdlePolling


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds = [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])
    monkeypatch.setattr(time, "time_ns", lambda: int((1_700_000_000 + seconds[0]) * 1e9))
    return seconds


def idle_until(polling: IdlePolling) -> datetime:
    """When it is polled again after a poll that found nothing."""
    polling.begin()
    at = polling.next_awake()
    assert at is not None
    return at


def pause_ms(polling: IdlePolling) -> float:
    return round((idle_until(polling) - datetime.fromtimestamp(time.time_ns() / 1e9, UTC)).total_seconds() * 1000, 3)


def test_the_longer_nothing_comes_the_more_seldom_it_is_polled(clock: list[float]) -> None:
    polling, pauses = IdlePolling(nothing), []
    for idle_s in (0.0, 0.008, 0.016, 0.064, 0.192, 1.92, 64.0):  # moments at which a pause of any length may begin
        clock[0] = 1_000.0 + idle_s
        pauses.append(pause_ms(polling))
    assert pauses == [1, 1, 2, 2, 4, 64, 64]


def test_after_a_message_it_is_polled_often_again(clock: list[float]) -> None:
    polling = IdlePolling(nothing)
    clock[0] += 60.0
    polling.found()
    assert pause_ms(polling) == SHORTEST_MS


def test_partitions_that_became_idle_at_different_times_are_polled_together(clock: list[float]) -> None:
    first = IdlePolling(nothing)
    clock[0] += 0.013
    second = IdlePolling(nothing)
    clock[0] += 60.007
    at = idle_until(first)
    clock[0] += 0.011
    assert idle_until(second) == at


def test_what_can_wait_is_done_at_the_beginning_of_each_pause() -> None:
    done = list[int]()
    polling = IdlePolling(lambda: done.append(1))
    polling.begin()
    polling.found()
    assert polling.next_awake() is None
    assert not done
    idle_until(polling)
    idle_until(polling)
    assert len(done) == 2


def test_a_poll_that_leaves_something_to_do_has_no_pause() -> None:
    polling = IdlePolling(nothing)
    for says in (polling.found, polling.goes_on):
        polling.begin()
        says()
        assert polling.next_awake() is None


def test_a_message_that_waits_for_other_partitions_is_tried_at_once_and_later_after_the_shortest_pause(clock: list[float]) -> None:
    polling = IdlePolling(nothing)
    for _ in range(2):
        for tries in range(1, _AT_ONCE + 3):
            polling.begin()
            polling.waits()
            before, at, after = datetime.now(UTC), polling.next_awake(), datetime.now(UTC)
            assert at is not None
            assert at >= before + timedelta(milliseconds=SHORTEST_MS) if tries > _AT_ONCE else at <= after
        idle_until(polling)  # a poll without it begins anew
