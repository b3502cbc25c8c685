"""Signs of being stuck: on the edge of each threshold, out of order, and never twice on the same evidence."""

from __future__ import annotations

import json
from itertools import permutations
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.catalog.model import Errors, Looping, RageClicks
from state.catalog.plan import Plan
from state.duration import DAY, HOUR, MINUTE, SECOND
from state.event import Event
from state.person.fold import Fold
from state.person.person import OBSERVED_GUIDED, OBSERVED_HELD_OUT
from state.records.facts import SignalFact
from state.stuck import signals as windows
from state.stuck.evidence import HELD_OUT
from state.stuck.operating_point import OperatingPoint
from state.stuck.parameters import Parameters, ParameterStore, prior
from state.stuck.row import Row
from tests.state.lives import KEYS, Life, catalog, event, plan, signals, signup, track


def click(at: int, target: str = "save", log: int | None = None) -> Event:
    return event("button_click", at, log=log, ident=f"{target} {at}", target=target)


def error(at: int, code: str = "x") -> Event:
    return event("error", at, ident=f"{code} {at}", code=code)


def view(at: int, path: str) -> Event:
    return event("page_view", at, ident=f"{path} {at}", path=path)


@pytest.mark.parametrize(("last", "stuck"), [(4 * SECOND, ["stuck:rage_clicks"]), (4 * SECOND + 1, [])])
def test_three_clicks_within_four_seconds_are_rage_and_within_a_millisecond_more_they_are_not(last: int, stuck: list[str]) -> None:
    life = Life()
    assert signals(life.see(signup(), click(0), click(1), click(last))) == stuck


@pytest.mark.parametrize(("last", "stuck"), [(10 * MINUTE, ["stuck:errors"]), (10 * MINUTE + 1, [])])
def test_three_errors_within_ten_minutes_are_a_signal_whatever_their_codes(last: int, stuck: list[str]) -> None:
    life = Life()
    assert signals(life.see(signup(), error(0, "a"), error(1, "b"), error(last, "c"))) == stuck


@pytest.mark.parametrize(("last", "stuck"), [(15 * MINUTE, ["stuck:looping"]), (15 * MINUTE + 1, [])])
def test_the_third_visit_within_a_quarter_of_an_hour_is_going_round_in_circles(last: int, stuck: list[str]) -> None:
    life = Life()
    assert signals(life.see(signup(), view(0, "/a"), view(1, "/b"), view(2, "/a"), view(3, "/b"), view(last, "/a"))) == stuck


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_order_of_arrival_within_the_window_does_not_matter(order: tuple[int, ...]) -> None:
    clicks, errors = [click(at, log=9) for at in range(3)], [event("error", at, log=9, code="x") for at in range(3)]
    assert signals(Life().see(signup(), *(clicks[index] for index in order))) == ["stuck:rage_clicks"]
    assert signals(Life().see(signup(), *(errors[index] for index in order))) == ["stuck:errors"]


def test_clicks_on_different_targets_are_no_rage() -> None:
    assert signals(Life().see(signup(), click(0, "a"), click(1, "b"), click(2, "a"), click(3, "b"))) == []


def test_reloading_a_page_is_no_circle() -> None:
    assert signals(Life().see(signup(), *(view(at, "/a") for at in range(30)))) == []


def test_there_is_one_alarm_an_episode_however_much_evidence_comes() -> None:
    for make in (error, click):
        life = Life()
        found = [len(signals(life.see(each))) for each in [signup(), *(make(at) for at in range(1, 8))]]
        assert found == [0, 0, 0, 1, 0, 0, 0, 0]
        life.see(event("form_submit", HOUR, form="connect"))
        assert len(signals(life.see(*(make(HOUR + at) for at in range(1, 8))))) == 1


def test_a_click_that_ends_in_rage_leaves_the_clicks_on_other_targets() -> None:
    life = Life()
    life.see(signup(), click(0, "a"), click(1, "b"), click(2, "a"), click(3, "b"))
    assert signals(life.see(click(4, "a"))) == ["stuck:rage_clicks"]
    life.see(click(5, "b"))
    assert life.person is not None
    assert life.person.episode is not None
    assert life.person.episode.rage == 2


def test_a_completed_step_begins_a_new_search() -> None:
    life = Life()
    life.see(signup(), view(0, "/a"), view(1, "/b"), view(2, "/a"), event("form_submit", 3, form="connect"), view(4, "/b"))
    assert signals(life.see(view(5, "/a"))) == []


def test_nobody_without_a_path_or_after_activation_is_stuck() -> None:
    lost = Life()
    lost.see(signup(persona="nobody"), *(error(at) for at in range(9)), *(click(at) for at in range(9)))
    assert signals(lost.outputs) == []
    done = Life()
    done.see(signup(), event("form_submit", 0, form="connect"), *(track("explored", at) for at in range(3)))
    done.see(*(error(at) for at in range(9)), *(click(at) for at in range(9)))
    assert signals(done.outputs) == []


def test_an_alarm_is_about_the_current_step_whatever_the_person_was_doing() -> None:
    life = Life()
    life.see(signup(), *(click(at, "invite") for at in range(3)))
    assert [each.step_id for each in life.of(SignalFact)] == ["connect"]


def test_the_evidence_says_what_was_counted() -> None:
    life = Life()
    life.see(signup(), *(error(at, "source_gone") for at in range(3)))
    (fact,) = life.of(SignalFact)
    evidence = json.loads(fact.evidence)
    assert (evidence["errors"], evidence["errorBursts"], evidence["code"]) == (3, 1, "source_gone")
    assert (evidence["elapsed"], evidence["horizon"], evidence["parameters"], fact.parameters_version) == (2, 2 * DAY, 0, 0)
    assert list(evidence["signs"]) == ["stuck:errors"]
    assert evidence["timeAlone"] == 0.5
    assert evidence["inSession"] is True
    assert 0.6 <= fact.score < 1.0


def test_an_alarm_in_a_silence_is_none_in_the_session() -> None:
    life = Life()
    life.see(signup())
    (fact,) = [each for each in life.wait(DAY) if isinstance(each, SignalFact)]
    assert json.loads(fact.evidence)["inSession"] is False


SHARES = "    waiting: [0.5, 0.5, 0.6, 0.6, 0.7, 0.7]\n"


@pytest.mark.parametrize(
    ("written", "expected_by", "measured"),
    [
        ("    usual: 48h\n", "usual", None),
        ("", "after", None),
        (f"    usual: 48h\n{SHARES}", "fit", None),
        (f"    usual: 48h\n{SHARES}    measured: 412\n", "fit", 412),
    ],
)
def test_the_evidence_says_where_the_usual_time_comes_from(written: str, expected_by: str, measured: int | None) -> None:
    life = Life(Plan(catalog(change=lambda text: text.replace("    usual: 48h\n", written, 1))))
    life.see(signup(), *(error(at) for at in range(3)))
    (fact,) = life.of(SignalFact)
    evidence = json.loads(fact.evidence)
    assert (evidence["people"], evidence["expectedBy"], evidence["finished"]) == (0, expected_by, 0)
    assert (evidence.get("measured"), evidence.get("fitted")) == (measured, measured and 48 * HOUR)


def learned(of: Plan, point: OperatingPoint) -> ParameterStore:
    """The catalog's priors with another operating point, and seven people who have finished the first step."""
    known, store = prior(of), ParameterStore()
    found = Parameters(of, 0, known.horizons, known.settled, known.score, point, {"connect": 7})
    store.publish("t", cast("Any", SimpleNamespace(parameters=lambda _period: found)))
    return store


def test_the_threshold_of_the_session_holds_while_the_person_is_there() -> None:
    point = OperatingPoint(2.0, 2.0, 0.9, 0.5, reachable=True, episodes=99, in_session=0.0)
    there, away = Life(), Life()
    for life in (there, away):
        life.fold = Fold(life.plan, KEYS, learned(life.plan, point))
    there.see(signup(), *(error(at) for at in range(3)))
    (fact,) = there.of(SignalFact)
    assert json.loads(fact.evidence)["finished"] == 7
    away.see(signup())
    assert signals(away.wait(3 * DAY)) == []


def rows(life: Life) -> list[Row]:
    assert life.person is not None
    assert life.person.episode is not None
    return life.person.episode.rows


def test_what_is_kept_of_an_episode_says_whether_the_person_was_there() -> None:
    life = Life()
    life.see(signup(), *(error(at) for at in range(3)))
    life.wait(5 * HOUR)
    assert [(row.bucket, row.in_session) for row in rows(life)] == [(0, True), (1, False)]


def test_each_look_that_is_still_to_come_has_its_place_however_much_happened_before() -> None:
    life = Life()
    life.see(signup(), *(error(at * MINUTE) for at in range(60)))
    life.wait(DAY)
    assert [row.bucket for row in rows(life)] == [0, 0, 0, 1, 2, 3, 4, 5]


def test_only_what_is_kept_of_held_out_people_says_that_they_got_no_help() -> None:
    found = set()
    for number in range(12):
        life = Life(plan(holdout=0.5))
        of_one = [event("error", at, ident=f"x {at}", user=f"u{number}", code="x") for at in range(3)]
        life.see(signup(user=f"u{number}"), *of_one)
        assert life.person is not None
        assert life.person.episode is not None
        found.add((life.person.episode.observed, HELD_OUT in rows(life)[0].features))
    assert found == {(OBSERVED_HELD_OUT, True), (OBSERVED_GUIDED, False)}


# a slow step: 20 minutes of active time here


def active(life: Life, start: int, minutes: int, session: str = "") -> list[str]:
    """Another event every five minutes for so long; the signals that came of it."""
    told = [event("track", start + at * MINUTE, name=f"x{start + at}", session=session) for at in range(0, minutes + 1, 5)]
    return signals(life.see(*told))


def test_twenty_minutes_of_activity_on_one_step_are_slow_and_told_once() -> None:
    life = Life()
    life.see(signup())
    assert active(life, 5 * MINUTE, 10) == []
    assert active(life, 20 * MINUTE, 60) == ["stuck:slow_step"]


def test_pauses_that_end_a_session_are_no_active_time() -> None:
    life = Life()
    life.see(signup())
    assert [active(life, hour * HOUR, 5) for hour in (1, 2, 3)] == [[], [], []]
    assert active(life, 4 * HOUR, 5) == ["stuck:slow_step"]


def test_getting_further_begins_the_time_anew() -> None:
    life = Life()
    life.see(signup())
    assert active(life, 0, 15) == []
    life.see(event("form_submit", 16 * MINUTE, form="connect"))
    assert active(life, 20 * MINUTE, 15) == []
    assert active(life, 36 * MINUTE, 0) == ["stuck:slow_step"]


def test_events_from_the_past_are_no_active_time() -> None:
    life = Life()
    life.see(signup(HOUR))
    life.see(*(event("track", at * MINUTE, log=HOUR, name="x") for at in range(60)))
    assert life.person is not None
    assert (life.person.active, signals(life.outputs)) == (0, [])


# the windows themselves


@given(st.lists(st.integers(0, 1_000), max_size=200), st.integers(2, 30), st.integers(1, 500))
def test_a_window_is_bounded_sorted_and_within_its_span(times: list[int], count: int, within: int) -> None:
    errors: list[int] = []
    clicks: list[int] = []
    for at in times:
        windows.error(errors, at, Errors.model_construct(count=count, within=within))
        windows.click(clicks, at, str(at % 3), RageClicks.model_construct(count=count, within=within))
        assert errors == sorted(errors)
        assert clicks[::2] == sorted(clicks[::2])
        assert len(errors) < count
        assert len(clicks) <= 2 * windows.MOST
        assert not errors or errors[-1] - errors[0] <= within


@given(st.lists(st.tuples(st.integers(0, 300), st.sampled_from("abc")), max_size=60), st.integers(2, 5), st.integers(1, 100))
def test_rage_is_what_counting_by_hand_finds(clicks: list[tuple[int, str]], count: int, within: int) -> None:
    clicks.sort(key=lambda each: each[0])
    window: list[int] = []
    by_hand: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    for at, target in clicks:
        mine = by_hand[target] = [*(each for each in by_hand[target] if each >= at - within), at]
        found = windows.click(window, at, target, RageClicks.model_construct(count=count, within=within))
        assert found == (len(mine) if len(mine) >= count else 0)
        if found:
            by_hand[target] = []


def test_a_thousand_visits_within_the_window_stay_within_its_bound() -> None:
    window: list[int] = []
    policy = Looping.model_construct(visits=30, within=HOUR)
    for at in range(1_000):
        windows.visit(window, at, str(at), policy)
    assert len(window) == 2 * windows.MOST
