"""Machines are found out. Humans of all kinds are not: who types fast, who commutes, who works at night, whose app sends much by itself."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from random import Random

import msgspec
import pytest

from state.catalog.plan import Plan
from state.decision.messages import DecisionRequest
from state.decode import decode
from state.duration import DAY, HOUR, MINUTE, SECOND
from state.event import Event
from state.messages import Message
from state.person import bot_detection
from state.person.person import ActivityRhythm, Person
from state.records.facts import SignalFact
from state.stuck.observations import BEGUN, CENSORED, EpisodeObservation
from tests.state.lives import START, Life, catalog, declined, event, of_kind, plan, signals, signup, track

INPUTS = Path(__file__).parent.parent / "inputs"


def suspected(life: Life, events: Iterable[Event]) -> bool:
    """Whether the person counts as a bot at any moment."""
    marked = False
    for each in events:
        life.see(each)
        assert life.person is not None
        marked |= life.person.bot
    return marked


def suspicious(life: Life) -> bool:
    assert life.person is not None
    assert life.person.rhythm is not None
    return bot_detection.is_suspicious(life.person.rhythm, life.person.now)


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


def test_a_sign_up_followed_at_once_by_the_whole_tour_raises_no_alarm_but_one_burst_condemns_nobody() -> None:
    life = Life()
    assert not suspected(life, [signup(), *pages(300 * number for number in range(1, 11))])
    assert suspicious(life)
    life.wait(9 * DAY)
    assert signals(life.outputs) == []


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
    errors = [event("error", HOUR + number * SECOND, code="x") for number in range(9)]
    told = life.see(*errors, event("form_submit", 2 * HOUR, form="connect"))
    life.wait(9 * DAY)
    assert signals(life.outputs) == []
    assert declined(told) == ["suspected_bot"]
    assert not of_kind(told, DecisionRequest | SignalFact)  # type: ignore[arg-type]
    assert [each.end for each in life.of(EpisodeObservation)] == [BEGUN, CENSORED]
    life.reload()
    assert life.person is not None
    assert life.person.bot


def note(rhythm: ActivityRhythm, at: int, kind: int, *, page_view: bool = False) -> bool:
    bot_detection.observe(rhythm, at, kind, act=True, since_signup=-1, page_view=page_view)
    return rhythm.signs > 0


def test_two_devices_whose_clocks_are_an_hour_apart_are_not_active_around_the_clock() -> None:
    pulse = ActivityRhythm()
    for number in range(40):
        note(pulse, START + number * 100 - number % 2 * HOUR, number)
    assert pulse.hours.bit_count() == 1


def looks_on(gaps: Iterable[int], clicks_at: int = -1) -> bool:
    """Whether somebody who views page after page, the gaps given, shows a sign of a machine; a click at the number given."""
    pulse, at, found = ActivityRhythm(), START, False
    note(pulse, at, -1, page_view=True)
    for number, gap in enumerate(gaps):
        at += gap
        found |= note(pulse, at, number, page_view=number != clicks_at)
    return found


def uneven(count: int) -> list[int]:
    """Gaps of 6 to 50 seconds without a rhythm, none near the one before."""
    return [6 * SECOND if number % 2 else 50 * SECOND for number in range(count)]


def test_page_after_page_and_nothing_ever_done_is_the_sign_of_a_machine() -> None:
    assert looks_on(uneven(bot_detection.ONLY_VIEWS))
    assert not looks_on(uneven(bot_detection.ONLY_VIEWS - 1))


def test_who_clicks_in_between_or_reads_a_page_for_a_minute_is_no_machine() -> None:
    assert not looks_on(uneven(50), clicks_at=25)
    assert not looks_on([*uneven(25), bot_detection.VIEW_GAP + 1, *uneven(25)])


@lru_cache
def recorded_people() -> dict[str, list[Event]]:
    """Nine events of a client library in 0.3 seconds, twenty queued events with one time, a heartbeat every ten seconds, and controls."""
    found: dict[str, list[Event]] = {}
    lines = gzip.decompress((INPUTS / "humans_taken_for_machines.jsonl.gz").read_bytes()).splitlines()
    for number, line in enumerate(lines):
        made = decode(Message(line, None, "file", 0, number, START, START + 30 * DAY, number))
        assert isinstance(made, Event)
        found.setdefault(made.user, []).append(msgspec.structs.replace(made, log_time=made.timestamp))
    return found


@pytest.mark.parametrize("user", sorted(recorded_people()))
def test_nobody_among_people_with_bursts_queues_and_heartbeats_counts_as_a_machine_at_any_moment(user: str) -> None:
    life = Life()
    assert not suspected(life, recorded_people()[user])
    assert declined(life.outputs).count("suspected_bot") == 0


def browsing(rng: Random, count: int, begin: float = 0.0, median: float = 12 * SECOND) -> list[tuple[float, str]]:
    return [(begin + at, f"page {number}") for number, at in enumerate(human_gaps(rng, count, median))]


def flags_at_every_page(rng: Random) -> list[tuple[float, str]]:
    return [(at + 5.0 * flag, f"flag {flag}" if flag else what) for at, what in browsing(rng, 20, median=6 * SECOND) for flag in range(25)]


def a_queue_sent_late(rng: Random) -> list[tuple[float, str]]:
    """Four times offline: forty events that the server stamps as they arrive, some milliseconds apart."""
    return [(hour * HOUR + 4.0 * number, f"queued {number}") for hour in (1, 3, 5, 7) for number in range(40)] + browsing(rng, 20)


def heartbeats(rng: Random) -> list[tuple[float, str]]:
    return [(10_000.0 * beat, "playing") for beat in range(1, 150)] + [(7_000.0 * beat, "focus") for beat in range(200)] + browsing(rng, 20)


def a_tab_that_polls_all_night(rng: Random) -> list[tuple[float, str]]:
    polls = [(2.0 * MINUTE * turn + 50.0 * place, f"poll {place}") for turn in range(14 * 30) for place in range(3)]
    return browsing(rng, 15) + polls + browsing(rng, 30, 14 * HOUR)


def a_page_that_reloads_itself(rng: Random) -> list[tuple[float, str]]:
    return browsing(rng, 8) + [(30.0 * SECOND * turn, "page dashboard") for turn in range(1, 300)]


def syncs_in_the_background(rng: Random) -> list[tuple[float, str]]:
    return browsing(rng, 12) + [(hour * 0.5 * HOUR, "sync") for hour in range(1, 100)] + browsing(rng, 12, 40 * HOUR)


def a_keyboard_macro(rng: Random) -> list[tuple[float, str]]:
    return browsing(rng, 20) + [(HOUR + 180.0 * number, f"command {number}") for number in range(25)] + browsing(rng, 20, HOUR + MINUTE)


def double_clicks(rng: Random) -> list[tuple[float, str]]:
    return [(at + late, f"click {what}") for at, what in browsing(rng, 60, median=2 * SECOND) for late in (0.0, 120.0)]


def a_screen_reader(rng: Random) -> list[tuple[float, str]]:
    """Focus moves from field to field with the Tab key, now and then read out at length."""
    return [(at, f"focus {number % 11}") for number, at in enumerate(human_gaps(rng, 200, 1.5 * SECOND))]


def a_reader(rng: Random) -> list[tuple[float, str]]:
    """A product that sends nothing but page views."""
    return browsing(rng, 300, median=20 * SECOND)


def as_events(acts: Iterable[tuple[float, str]]) -> list[Event]:
    made: list[Event] = [signup()]
    for number, (at, what) in enumerate(sorted(acts)):
        if what.startswith("page "):
            made.append(event("page_view", round(at), ident=f"h{number}", path=what))
        elif what.startswith("click "):
            made.append(event("button_click", round(at), ident=f"h{number}", target=what))
        else:
            made.append(track(what, round(at), ident=f"h{number}"))
    return made


PEOPLE: list[Callable[[Random], list[tuple[float, str]]]] = [
    flags_at_every_page,
    a_queue_sent_late,
    heartbeats,
    a_tab_that_polls_all_night,
    a_page_that_reloads_itself,
    syncs_in_the_background,
    a_keyboard_macro,
    double_clicks,
    a_screen_reader,
    a_reader,
]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("way", PEOPLE, ids=lambda way: way.__name__)
def test_people_whose_client_sends_much_by_itself_are_no_machines(way: Callable[[Random], list[tuple[float, str]]], seed: int) -> None:
    assert not suspected(Life(), as_events(way(Random(seed))))


def paced(rng: Random, count: int, shortest: float, longest: float, what: Callable[[int], str]) -> list[tuple[float, str]]:
    """Events with pauses drawn evenly between two lengths in milliseconds."""
    times = accumulate(rng.uniform(shortest, longest) for _ in range(count))
    return [(at, what(number)) for number, at in enumerate(times)]


def crawler(rng: Random) -> list[tuple[float, str]]:
    return paced(rng, 60, 150, 900, lambda number: f"page {number % 17}")


def load_test(rng: Random) -> list[tuple[float, str]]:
    """A script of eight actions with a think time between one and three seconds, over and over."""
    return paced(rng, 200, 1000, 3000, lambda number: f"step {number % 8}")


def scraper(rng: Random) -> list[tuple[float, str]]:
    return paced(rng, 200, 6_000, 40_000, lambda _: f"page {rng.randrange(15)}")


def replay(rng: Random) -> list[tuple[float, str]]:
    """The log of a person, played twenty times as fast."""
    return [(at / 20, what) for at, what in browsing(rng, 200)]


def checks_of_eight_pages(rng: Random) -> list[tuple[float, str]]:
    return [(20.0 * MINUTE * turn + 250.0 * place, f"page {place}") for turn in range(90) for place in range(8)]


MACHINES: list[Callable[[Random], list[tuple[float, str]]]] = [crawler, load_test, scraper, replay, checks_of_eight_pages]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("way", MACHINES, ids=lambda way: way.__name__)
def test_machines_with_jitter_are_machines(way: Callable[[Random], list[tuple[float, str]]], seed: int) -> None:
    assert suspected(Life(), as_events(way(Random(seed))))


@pytest.mark.parametrize("every", [10 * MINUTE, HOUR])
def test_a_monitor_of_two_pages_raises_no_alarm_once_it_is_known_and_teaches_nothing(every: int) -> None:
    life = Life()
    life.see(*as_events([(turn * every + place * 300.0, f"page {place}") for turn in range(1, 2 * DAY // every) for place in range(2)]))
    life.wait(9 * DAY)
    assert [each.trigger for each in life.of(SignalFact) if each.detected_at > START + HOUR] == []


def marked() -> Life:
    life = Life(plan(cooldown="1m", cap=100))
    burst = [event("page_view", 100 * number, ident=f"m{number}", path=f"/{number % 7}") for number in range(1, 100)]
    assert suspected(life, [signup(), *burst])
    return life


def human_again(life: Life) -> None:
    life.see(*work([HOUR + at for at in human_gaps(Random(1), 60, 12 * SECOND)]))


def test_who_behaves_like_a_person_again_is_guided_again() -> None:
    life = marked()
    human_again(life)
    life.reload()
    assert life.person is not None
    assert not life.person.bot
    assert not suspicious(life)
    told = life.see(event("form_submit", 2 * HOUR, form="connect"))
    assert of_kind(told, DecisionRequest)
    assert life.person.check_due, "and the step is watched again"


def test_a_click_on_guidance_clears_its_reader() -> None:
    life = Life(plan(cooldown="1m", cap=100))
    life.see(signup())
    assert suspected(life, pages(100 * number for number in range(1, 100)))
    life.see(event("recommendation_shown", 11 * SECOND, recommendationId=life.echo()))
    assert life.person is not None
    assert life.person.bot, "machines show what they are given, too"
    life.see(event("recommendation_clicked", 14 * SECOND, recommendationId=life.echo()))
    assert not life.person.bot


def with_lines(lines: str) -> Plan:
    return Plan(catalog(change=lambda text: text.replace("arms:\n", f"{lines}\narms:\n", 1)))


def test_events_that_the_catalog_calls_automatic_are_no_rhythm() -> None:
    noise = [track(f"tick {number}", 100 * number) for number in range(100)]
    assert suspected(Life(), [signup(), *noise])
    assert not suspected(Life(with_lines("automatic: [{type: track, where: {}}]")), [signup(), *noise])
    some = with_lines('automatic: [{type: track, name: "tick 7"}, {type: page_view, where: {path: {prefix: /poll}}}]')
    assert suspected(Life(some), [signup(), *noise]), "those that are named, and no others"
    polls = [event("page_view", 100 * number, path=f"/poll/{number}") for number in range(100)]
    assert not suspected(Life(some), [signup(), *polls])


def test_a_catalog_can_switch_the_rule_off_and_earlier_marks_end() -> None:
    off = with_lines("bot_detection: false")
    assert not suspected(Life(off), [signup(), *pages(100 * number for number in range(1, 100))])
    before = marked()
    life = Life(off, before.person)
    life.see(event("form_submit", HOUR, form="connect"))
    assert isinstance(life.person, Person)
    assert not life.person.bot


def test_restless_hours_are_those_of_the_last_day_and_end_in_silence() -> None:
    rng, rhythm = Random(5), ActivityRhythm()
    for hour in range(bot_detection.RESTLESS_HOURS):
        note(rhythm, START + hour * HOUR + round(rng.uniform(0, HOUR)), hour)
    last = START + (bot_detection.RESTLESS_HOURS - 1) * HOUR
    assert bot_detection.is_suspicious(rhythm, last + HOUR - 1)
    assert not bot_detection.is_suspicious(rhythm, last + 13 * HOUR)


def restless() -> Life:
    """A life without rest for a day and a night, marked for that. The sign-up comes near the end, so that its step is still open."""
    life, rng = Life(plan(cooldown="1m", cap=100)), Random(5)
    times = sorted(rng.uniform(0, DAY) for _ in range(70))
    assert suspected(life, sorted([signup(23 * HOUR), *pages(times)], key=lambda each: each.timestamp))
    assert life.person is not None
    assert life.person.bot
    assert life.person.check_due == 0
    return life


@pytest.mark.parametrize("signs", [0, 1])
def test_who_was_marked_for_no_rest_and_rests_is_a_person_again_whatever_single_sign_there_was(signs: int) -> None:
    life = restless()
    assert life.person is not None
    assert life.person.rhythm is not None
    life.person.rhythm.signs = signs
    life.see(event("page_view", DAY + 8 * HOUR, path="/again"))
    assert not life.person.bot
    assert life.person.check_due


def test_a_mark_that_the_catalog_lifts_sets_the_timer_of_the_step_again() -> None:
    lifted = Life(with_lines("bot_detection: false"), restless().person)
    lifted.see(event("page_view", DAY + HOUR, path="/"))
    assert lifted.person is not None
    assert not lifted.person.bot
    assert lifted.person.check_due
