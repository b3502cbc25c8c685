"""Exposures and what became of decisions: who may say that guidance was shown, and when a shown one succeeds or fails."""

from __future__ import annotations

import pytest

from state.catalog.plan import Plan
from state.decision.attribution import CLOCK_SKEW
from state.decision.guidance import Guidance
from state.decision.messages import DecisionOutcome, DecisionRequest
from state.duration import DAY, HOUR, MINUTE
from state.event import Event
from state.ids import Keys
from state.person.collector import Collector
from state.person.person import Person
from tests.state.lives import START, Life, catalog, counts, declined, event, flat, kinds, of_kind, plan, signup, track


def guided() -> Life:
    """A life with one open decision, made at the beginning, for the step ``connect``."""
    life = Life()
    life.see(signup())
    assert [each.step for each in life.of(DecisionRequest)] == ["connect"]
    return life


def connect(at: int, log: int | None = None) -> Event:
    return event("form_submit", at, log=log, form="connect")


def ended(life: Life) -> list[tuple[str, int]]:
    """How decisions ended and when, after the beginning; exposures left out."""
    return [(each.kind, each.at - START) for each in life.of(DecisionOutcome) if each.kind not in ("shown", "clicked", "dismissed")]


# who may say so


def test_an_echoed_id_opens_the_window_and_tells_the_arm() -> None:
    life = guided()
    (reward,) = of_kind(life.see(event("recommendation_shown", MINUTE, recommendationId=life.echo("quiet"))), DecisionOutcome)
    assert (reward.kind, reward.arm, reward.decision, reward.at) == ("shown", "quiet", life.ask.decision, START + MINUTE)


def test_without_an_id_the_current_recommendation_is_meant_and_the_arm_stays_unknown() -> None:
    life = guided()
    (reward,) = of_kind(life.see(event("recommendation_shown", MINUTE)), DecisionOutcome)
    assert (reward.kind, reward.arm) == ("shown", "")


def test_an_arm_that_was_echoed_once_is_kept_for_the_end() -> None:
    life = guided()
    life.see(event("recommendation_shown", 1), event("recommendation_clicked", 2, recommendationId=life.echo("quiet")), connect(3))
    assert [each.arm for each in life.of(DecisionOutcome)] == ["", "quiet", "quiet"]


@pytest.mark.parametrize(
    "forge",
    [
        lambda life: life.echo()[:-1] + ("0" if life.echo()[-1] != "0" else "1"),
        lambda life: Keys(b"another secret").recommendation_id(life.ask.decision, "plain"),
        lambda life: life.echo("plain").replace(".plain.", ".loud."),
        lambda life: life.echo(decision="0" * 24),
        lambda life: life.ask.decision,
        lambda life: "",
        lambda life: "..",
        lambda life: "a.b.c.d",
        lambda life: "ü.ü.ü",
        lambda life: 5,
        lambda life: ["x"],
        lambda life: {"id": life.echo()},
        lambda life: True,
        lambda life: "." * 30_000,
    ],
)
@pytest.mark.parametrize("kind", ["recommendation_shown", "recommendation_clicked", "recommendation_dismissed", "tooltip_dismiss"])
def test_an_id_that_was_not_issued_to_this_person_is_counted_and_ignored(forge: object, kind: str) -> None:
    life = guided()
    told = life.see(event(kind, MINUTE, recommendationId=forge(life)))  # type: ignore[operator]  # a function of a life
    assert counts(told, "exposures_ignored") == ["unknown_recommendation"]
    assert kinds(told) == []
    assert ended(life) == []


def test_the_id_of_another_persons_recommendation_opens_nothing() -> None:
    life, other = guided(), Life()
    other.see(signup(user="somebody else"))
    told = life.see(event("recommendation_shown", MINUTE, recommendationId=other.echo()))
    assert counts(told, "exposures_ignored") == ["unknown_recommendation"]


def test_null_for_an_id_means_no_id() -> None:
    life = guided()
    assert kinds(life.see(event("recommendation_shown", MINUTE, recommendationId=None))) == ["shown"]


def test_an_arm_that_the_catalog_does_not_know_any_more_still_opens_the_window() -> None:
    life = guided()
    assert kinds(life.see(event("recommendation_shown", MINUTE, recommendationId=life.echo("retired")))) == ["shown"]


# what it may mean


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("recommendation_shown", ["shown"]),
        ("recommendation_clicked", ["shown", "clicked"]),
        ("recommendation_dismissed", ["shown", "dismissed"]),
        ("tooltip_dismiss", ["shown", "dismissed"]),
    ],
)
def test_a_click_and_a_dismissal_imply_that_it_was_shown(kind: str, told: list[str]) -> None:
    life = guided()
    assert kinds(life.see(event(kind, MINUTE))) == told
    assert kinds(life.see(event(kind, 2 * MINUTE), event("recommendation_shown", 3 * MINUTE))) == []


def test_clicks_and_dismissals_are_told_once_each() -> None:
    life = guided()
    for at, kind in enumerate(["recommendation_shown", "recommendation_clicked", "tooltip_dismiss", "recommendation_dismissed"] * 2):
        life.see(event(kind, at + 1))
    assert kinds(life.outputs) == ["shown", "clicked", "dismissed"]


def test_a_second_showing_does_not_prolong_the_window() -> None:
    life = guided()
    life.see(event("recommendation_shown", HOUR), event("recommendation_shown", 20 * HOUR), event("page_view", 26 * HOUR, path="/"))
    assert ended(life) == [("failure", 25 * HOUR)]


def test_an_echo_from_before_the_decision_counts_from_the_decision_on() -> None:
    """The app's clock is slow; that the id exists proves that it was shown later."""
    life = Life()
    life.see(signup(10 * HOUR))
    life.see(event("recommendation_shown", 9 * HOUR, log=10 * HOUR + 1, recommendationId=life.echo()))
    assert [(each.kind, each.at) for each in life.of(DecisionOutcome)] == [("shown", START + 10 * HOUR)]


def test_without_an_id_nothing_that_was_shown_before_the_decision_can_be_it() -> None:
    life = Life()
    life.see(signup(10 * HOUR))
    assert counts(life.see(event("recommendation_shown", 9 * HOUR, log=10 * HOUR + 1)), "exposures_ignored") == [
        "no_current_recommendation"
    ]


def test_without_guidance_there_is_nothing_to_show() -> None:
    life = Life()
    assert counts(life.see(event("recommendation_shown")), "exposures_ignored") == ["no_current_recommendation"]


def test_what_has_expired_cannot_be_shown() -> None:
    life = guided()
    told = life.see(event("recommendation_shown", DAY, recommendationId=life.echo()))
    assert ended(life) == [("expired", DAY)]
    assert counts(told, "exposures_ignored") == ["unknown_recommendation"]


def test_what_was_shown_in_the_last_millisecond_of_its_life_has_the_whole_window() -> None:
    life = guided()
    life.see(event("recommendation_shown", DAY - 1))
    life.wait(3 * DAY)
    assert ended(life)[0] == ("failure", 2 * DAY - 1)


# how it ends


@pytest.mark.parametrize(("at", "end"), [(HOUR, "success"), (HOUR + DAY - 1, "success"), (HOUR + DAY + 1, "failure")])
def test_success_is_the_step_completed_within_the_window(at: int, end: str) -> None:
    life = guided()
    life.see(event("recommendation_shown", HOUR), *(event("page_view", hour * HOUR, path=f"/{hour}") for hour in (9, 17)))
    life.see(connect(at))
    assert ended(life)[0] == (end, at if end == "success" else HOUR + DAY)
    assert [kind for kind, _ in ended(life)].count("failure") + [kind for kind, _ in ended(life)].count("success") == 1


def test_on_the_very_edge_the_timer_wins_since_it_was_due_first() -> None:
    life = guided()
    life.see(event("recommendation_shown", HOUR), event("page_view", 9 * HOUR, path="/"), connect(HOUR + DAY))
    assert ended(life)[0] == ("failure", HOUR + DAY)


def test_a_completion_on_the_edge_that_the_log_brings_before_the_timer_is_a_success() -> None:
    """The shown event came late, so the timer was set later than the window ends: the step's own time decides."""
    life = guided()
    life.see(event("recommendation_shown", 0, log=DAY - 5 * MINUTE, recommendationId=life.echo()))
    life.see(connect(DAY))
    assert ended(life)[0] == ("success", DAY)


def test_a_completion_after_the_window_is_a_failure_even_if_the_timer_has_not_run() -> None:
    life = guided()
    life.see(event("recommendation_shown", 0, log=HOUR, recommendationId=life.echo()), event("page_view", 9 * HOUR, path="/"))
    life.see(connect(DAY + 1))
    assert ended(life)[0] == ("failure", DAY)


def test_a_step_completed_before_guidance_was_shown_is_nobodys_success() -> None:
    life = guided()
    life.see(event("recommendation_shown", 2 * HOUR), connect(HOUR, log=2 * HOUR + 1))
    assert ended(life) == [("withdrawn", 2 * HOUR + 1)]
    assert counts(life.outputs, "attribution_windows_voided") == [""]


def test_a_step_completed_without_guidance_being_shown_is_nobodys_success() -> None:
    life = guided()
    life.see(connect(HOUR))
    assert ended(life) == [("withdrawn", HOUR)]


def test_another_step_completed_leaves_the_window_open() -> None:
    life = guided()
    life.see(event("recommendation_shown", 1), event("form_submit", 2, form="invite"), *(track("explored", 3 + n) for n in range(3)))
    assert ended(life) == []


def test_a_newer_decision_supersedes_what_nobody_saw_and_leaves_what_was_seen_to_be_measured() -> None:
    for shown, end in ((False, [("superseded", 7 * HOUR + 2)]), (True, [])):
        life = guided()
        if shown:
            life.see(event("recommendation_shown", 1))
        life.see(*(event("error", 7 * HOUR + number, code="x") for number in range(3)))
        assert len(life.of(DecisionRequest)) == 2
        assert ended(life) == end


def test_an_opt_out_does_not_close_a_window_that_is_open() -> None:
    life = guided()
    life.see(event("recommendation_shown", 1), event("preferences_changed", 2, guidance=False), connect(3))
    assert ended(life) == [("success", 3)]


def test_deletion_closes_the_books_without_a_verdict() -> None:
    life = guided()
    life.see(event("recommendation_shown", 1), event("user_deleted", 2))
    assert ended(life) == [("withdrawn", 2)]


def test_two_windows_of_one_step_both_succeed_with_it() -> None:
    life = Life(plan(cooldown="1m"))
    life.see(signup(), event("recommendation_shown", 1))
    life.see(*(event("error", HOUR + number, code="x") for number in range(3)), event("recommendation_shown", HOUR + 9))
    life.see(connect(2 * HOUR))
    assert [kind for kind, _ in ended(life)] == ["success", "success"]


def test_a_device_whose_clock_is_a_little_behind_has_shown_what_was_decided_just_now() -> None:
    for behind, expected in ((CLOCK_SKEW, ["shown"]), (CLOCK_SKEW + 1, [])):
        life = Life()
        life.see(event("page_view", -HOUR, path="/"), signup())
        told = life.see(event("recommendation_shown", -behind, log=1))
        assert kinds(told) == expected


@pytest.mark.parametrize("ahead", [10 * MINUTE, 23 * HOUR])
def test_a_device_whose_clock_is_ahead_has_shown_guidance_no_later_than_the_log_says(ahead: int) -> None:
    life = guided()
    life.see(event("recommendation_shown", MINUTE + ahead, log=MINUTE, recommendationId=life.echo()), connect(6 * MINUTE))
    assert ended(life) == [("success", 6 * MINUTE)]


def test_a_decision_that_an_earlier_release_dated_by_a_clock_that_is_ahead_can_succeed() -> None:
    life = guided()
    life.see(event("recommendation_shown", MINUTE, recommendationId=life.echo()))
    assert life.person is not None
    life.person.open[0].shown += HOUR
    life.see(connect(6 * MINUTE + HOUR, log=6 * MINUTE))
    assert ended(life) == [("success", 6 * MINUTE)]


@pytest.mark.parametrize("kind", ["recommendation_clicked", "tooltip_dismiss"])
def test_a_click_and_a_dismissal_of_a_clock_that_is_ahead_are_dated_by_the_log(kind: str) -> None:
    life = guided()
    life.see(event(kind, HOUR, log=MINUTE))
    assert [each.at - START for each in life.of(DecisionOutcome)] == [MINUTE, MINUTE]


def test_a_completion_of_a_clock_that_is_ahead_is_a_success_within_the_window_by_the_log() -> None:
    life = guided()
    life.see(event("recommendation_shown", MINUTE), connect(2 * HOUR + 23 * HOUR, log=2 * HOUR))
    assert ended(life) == [("success", 2 * HOUR)]


def test_help_for_somebody_stuck_is_kept_back_by_earlier_help_but_not_by_a_tip() -> None:
    made = Plan(catalog(cap=9))
    person = Person("t", "u", path="analysts", traits={"persona": "analyst"})
    guidance, out = Guidance(made, Keys(b"secret")), Collector("key")
    for at, trigger in ((0, "signup"), (1, "stuck:errors"), (2, "stuck:looping"), (3, "step_completed"), (6, "stuck:looping")):
        guidance.consider(person, trigger, START + at * HOUR, {}, out, parameters_version=0)
    assert [each.trigger for each in of_kind(flat(out), DecisionRequest)] == ["signup", "stuck:errors"]
    assert declined(flat(out)) == ["cooldown", "cooldown", "cooldown"]
    guidance.consider(person, "stuck:looping", START + 7 * HOUR, {}, out, parameters_version=0)
    assert of_kind(flat(out), DecisionRequest)[-1].trigger == "stuck:looping"
