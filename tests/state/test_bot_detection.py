"""Machines are suspected, and humans of all kinds are not: who types fast, who commutes, who works at night, who fails twenty times."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest

from state.decision.messages import DecisionRequest
from state.duration import DAY, HOUR, MINUTE, SECOND
from state.events import Event
from state.person import bot_detection
from state.person.person import ActivityRhythm
from state.records.facts import SignalFact
from state.stuck.observations import EpisodeObservation
from tests.state.lives import START, Life, declined, event, of_kind, plan, signals, signup


def suspected(life: Life, events: Iterable[Event]) -> bool:
    life.see(*events)
    assert life.person is not None
    return life.person.bot


def pages(times: Iterable[float]) -> list[Event]:
    """A view of another page at each time."""
    return [event("page_view", round(at), ident=f"p{number}", path=f"/{number % 7}") for number, at in enumerate(times)]


def work(times: list[float]) -> list[Event]:
    """Pages, and now and then something done on one."""
    return [
        event("button_click", round(at), ident=f"p{number}", target=f"save-{number % 3}") if number % 6 == 5 else page
        for number, (at, page) in enumerate(zip(times, pages(times), strict=True))
    ]


def human_gaps(rng: Random, count: int, median: float) -> list[float]:
    at, times = 0.0, []
    for _ in range(count):
        at += median * rng.lognormvariate(0.0, 0.9)
        times.append(at)
    return times


def test_a_hundred_calls_in_ten_seconds_are_a_machine() -> None:
    assert suspected(Life(), [signup(), *pages(100 * number for number in range(1, 100))])


def test_a_sign_up_followed_at_once_by_the_whole_tour_is_a_machine() -> None:
    assert suspected(Life(), [signup(), *pages(300 * number for number in range(1, 11))])


def test_the_first_page_of_a_human_may_tell_five_things_at_once() -> None:
    assert not suspected(Life(), [signup(), *pages([10, 20, 30, 40, 50]), *pages_later()])


def pages_later() -> list[Event]:
    return [event("page_view", MINUTE + number * 7 * SECOND + number**3 * 300, path=f"/later{number}") for number in range(9)]


@pytest.mark.parametrize("every", [20 * SECOND, 10 * MINUTE, HOUR])
def test_one_event_every_so_often_with_hardly_any_jitter_is_a_machine(every: int) -> None:
    rng = Random(3)
    assert suspected(Life(), [signup(), *pages(number * every * rng.uniform(1.0, 1.0 + 0.05 / number) for number in range(1, 60))])


def test_pauses_drawn_evenly_from_a_narrow_range_are_a_machine() -> None:
    rng = Random(9)
    at, times = 0.0, []
    for _ in range(250):
        at += rng.uniform(10 * SECOND, 35 * SECOND)
        times.append(at)
    assert suspected(Life(), [signup(), *pages(times)])


def test_who_is_active_in_every_hour_of_a_day_and_a_night_is_a_machine() -> None:
    rng = Random(5)
    times = sorted(hour * HOUR + rng.uniform(0, HOUR) for hour in range(26) for _ in range(3))
    assert suspected(Life(), [signup(), *pages(times)])


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("median", [2 * SECOND, 8 * SECOND, MINUTE])
def test_humans_who_work_fast_or_slowly_for_hours_are_no_machines(seed: int, median: int) -> None:
    rng = Random(seed)
    times = [day * DAY + at for day in range(5) for at in human_gaps(rng, 120, median)]
    assert not suspected(Life(), [signup(), *work(times)])


def test_a_commuter_who_comes_at_the_same_minute_every_day_is_no_machine() -> None:
    rng = Random(7)
    times = [day * DAY + at for day in range(30) for at in (0, *human_gaps(rng, 4, 20 * SECOND))]
    assert not suspected(Life(), [signup(), *work(times)])


def test_a_night_owl_of_fourteen_hours_is_no_machine() -> None:
    rng = Random(11)
    times = sorted(11 * HOUR + hour * HOUR + rng.uniform(0, HOUR) for hour in range(14) for _ in range(6))
    assert not suspected(Life(), [signup(), *work(times)])


def test_a_person_who_fails_twenty_times_is_no_machine() -> None:
    rng = Random(13)
    errors = [event("error", round(at), ident=f"e{number}", code="x") for number, at in enumerate(human_gaps(rng, 20, 4 * SECOND))]
    assert not suspected(Life(), [signup(), *errors])


def test_a_person_who_hammers_one_button_is_no_machine() -> None:
    clicks = [event("button_click", 60_000 + 150 * number, ident=f"c{number}", target="save") for number in range(40)]
    assert not suspected(Life(), [signup(), *clicks])


def test_a_machine_is_never_called_stuck_nor_guided_nor_a_lesson_again() -> None:
    life = Life(plan(cooldown="1m", cap=100))
    life.see(signup(), *pages(100 * number for number in range(1, 60)))
    assert [each.kind for each in life.of(EpisodeObservation)] == ["entered", "censored"]
    errors = [event("error", HOUR + number * SECOND, code="x") for number in range(9)]
    told = life.see(*errors, event("form_submit", 2 * HOUR, form="connect"))
    life.wait(9 * DAY)
    assert signals(life.outputs) == []
    assert declined(told) == ["suspected_bot"]
    assert not of_kind(told, DecisionRequest | SignalFact)  # type: ignore[arg-type]
    assert len(life.of(EpisodeObservation)) == 2
    life.reload()
    assert life.person is not None
    assert life.person.bot


def test_two_devices_whose_clocks_are_an_hour_apart_are_not_active_around_the_clock() -> None:
    pulse = ActivityRhythm()
    for number in range(40):
        late = number % 2 == 1
        assert not bot_detection.observe(pulse, START + number * 100 - late * HOUR, -1 if late else SECOND, repeated=True, since_signup=-1)
        pulse.steady = pulse.even = 0
    assert pulse.hours.bit_count() == 1


def looks_on(gaps: Iterable[int], clicks_at: int = -1) -> bool:
    """Whether somebody who views page after page, the gaps given, is found out; a click at the number given."""
    pulse, at, found = ActivityRhythm(), START, False
    for number, gap in enumerate(gaps):
        at += gap
        found |= bot_detection.observe(pulse, at, gap, repeated=False, since_signup=-1, page_view=number != clicks_at)
    return found


def uneven(count: int) -> list[int]:
    """Gaps of 6 to 50 seconds without a rhythm, none near the one before."""
    return [6 * SECOND if number % 2 else 50 * SECOND for number in range(count)]


def test_page_after_page_and_nothing_ever_done_is_a_machine() -> None:
    assert looks_on(uneven(bot_detection.ONLY_VIEWS))
    assert not looks_on(uneven(bot_detection.ONLY_VIEWS - 1))


def test_who_clicks_in_between_or_reads_a_page_for_a_minute_is_no_machine() -> None:
    assert not looks_on(uneven(50), clicks_at=25)
    assert not looks_on([*uneven(25), bot_detection.VIEW_GAP + 1, *uneven(25)])
