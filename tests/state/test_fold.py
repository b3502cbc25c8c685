"""The fold, case by case: what counts as progress, when guidance is considered, how it ends, and when it is taken back."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from state.catalog.plan import Plan
from state.decision.experiment_groups import experiment_group
from state.decision.messages import DecisionOutcome, DecisionRequest
from state.duration import DAY, HOUR, MINUTE
from state.event import Event
from state.person import snapshot
from state.person.collector import Collector
from state.person.fold import Fold
from state.person.person import Person
from state.records.facts import DecisionFact, EventFact, PersonFact, ProgressFact, SignalFact
from state.records.recommendation import Erase
from state.vocabulary import NO_COMPONENT, REASONS
from tests.state.lives import (
    KEYS,
    START,
    Counted,
    Life,
    arriving,
    catalog,
    connect,
    counts,
    declined,
    event,
    explored,
    flat,
    invite,
    kinds,
    of_kind,
    plan,
    signals,
    signup,
    track,
    withdrawals,
)

# progress


def test_the_length_of_a_session_counts_once_the_next_one_has_begun() -> None:
    life = Life()
    life.see(signup(), event("page_view", 10 * MINUTE, path="/"), connect(20 * MINUTE))
    assert {(row.session_count, row.avg_session_duration) for row in life.of(PersonFact)} == {(1, 0.0)}
    told = life.see(
        event("page_view", 2 * HOUR, path="/"), event("page_view", 2 * HOUR + 5 * MINUTE, path="/"), invite(2 * HOUR + 9 * MINUTE)
    )
    assert {(row.session_count, row.avg_session_duration) for row in of_kind(told, PersonFact)} == {(2, 1200.0)}
    told = life.see(event("page_view", 9 * HOUR, path="/"))
    assert {(row.session_count, row.avg_session_duration) for row in of_kind(told, PersonFact)} == {(3, (20 + 9) * 30.0)}


def test_evidence_before_its_prerequisite_counts_once_the_prerequisite_is_there() -> None:
    life = Life()
    life.see(signup(), *explored(1 * MINUTE))
    assert life.done == {}
    life.see(connect(5 * MINUTE))
    assert life.done == {"connect": 5 * MINUTE, "explore": 5 * MINUTE}


def test_a_step_that_takes_three_events_is_completed_by_the_third_earliest() -> None:
    life = Life()
    life.see(*arriving([signup(), connect(1), *(track("explored", at * MINUTE) for at in (9, 7, 5, 3))]))
    assert life.done["explore"] == 7 * MINUTE


def test_any_one_of_several_matchers_completes_a_step_and_the_earliest_says_when() -> None:
    life = Life()
    life.see(*arriving([signup(), track("connected", 9 * MINUTE), connect(4 * MINUTE)]))
    assert life.done == {"connect": 4 * MINUTE}


def test_who_is_known_late_finds_what_they_have_already_done() -> None:
    life = Life()
    life.see(event("page_view", 0, path="/"), connect(1 * MINUTE), *explored(2 * MINUTE))
    assert life.done == {}
    assert declined(life.outputs) == []
    life.see(event("identify", 9 * MINUTE, traits={"persona": "analyst"}))
    assert life.done == {"connect": 1 * MINUTE, "explore": 2 * MINUTE + 2}
    assert life.person is not None
    assert life.person.activated_at == START + 2 * MINUTE + 2


def test_an_earlier_completion_that_arrives_late_moves_activation_back_and_is_told() -> None:
    life = Life()
    life.see(signup(persona="builder"), invite(1 * MINUTE), connect(9 * MINUTE))
    told = life.see(connect(5 * MINUTE, log=10 * MINUTE))
    assert life.person is not None
    assert life.person.activated_at == START + 5 * MINUTE
    assert [each.activated_at for each in of_kind(told, PersonFact)] == [START + 5 * MINUTE]
    assert counts(told, "people_activated") == []


def test_a_new_path_may_take_activation_back_and_the_tally_follows() -> None:
    life = Life()
    life.see(signup(persona="builder"), invite(1), connect(2))
    life.see(event("identify", 3, traits={"persona": "analyst"}))
    assert life.person is not None
    assert life.person.activated_at == 0
    assert sum(each.by for each in life.of(Counted) if each.name == "people_activated") == 0
    life.see(*explored(4))
    assert sum(each.by for each in life.of(Counted) if each.name == "people_activated") == 1


def test_one_and_true_are_different_traits_that_lead_to_different_paths() -> None:
    life = Life()
    life.see(event("signup", 0, traits={"pro": 1}))
    assert life.person is not None
    assert life.person.path == ""
    life.see(event("identify", 1, traits={"pro": True}))
    assert life.person.path == "pros"


def test_traits_that_nobody_asked_for_or_that_are_no_scalars_are_not_kept() -> None:
    life = Life()
    life.see(event("signup", 0, traits={"persona": ["analyst"], "tier": None, "hobby": "chess", "locale": "x" * 129, "useCase": "ok"}))
    life.see(event("identify", 1, traits=["persona"]))
    assert life.person is not None
    assert life.person.traits == {"useCase": "ok"}


def test_the_first_thing_seen_of_a_person_is_the_earliest_not_the_first_to_arrive() -> None:
    life = Life()
    life.see(event("page_view", 10 * MINUTE, path="/"), event("page_view", 1 * MINUTE, log=10 * MINUTE, path="/a"))
    assert life.person is not None
    assert life.person.first_seen == START + 1 * MINUTE


def test_a_step_is_current_since_it_first_became_so_whatever_else_is_completed() -> None:
    life = Life()
    life.see(signup(), event("form_submit", HOUR, form="invite"))  # invite is done ahead of its turn; connect stays current
    told = of_kind(life.see(connect(3 * HOUR)), ProgressFact)
    since = {each.step_id: each.current_since_at for each in told}
    assert since == {"connect": START, "explore": START + 3 * HOUR}
    (invite,) = [each for each in of_kind(life.outputs, ProgressFact) if each.step_id == "invite" and each.status == "completed"]
    assert invite.current_since_at == 0


def test_a_path_is_told_whole_and_a_step_again_when_it_is_first_touched() -> None:
    life = Life()
    told = of_kind(life.see(signup()), ProgressFact)
    assert [(each.step_id, each.status) for each in told] == [
        ("connect", "current"), ("explore", "locked"), ("invite", "locked"), ("share", "locked"),
    ]  # fmt: skip
    (touch,) = of_kind(life.see(event("page_view", MINUTE, path="/connect")), ProgressFact)
    assert (touch.step_id, touch.attempts, touch.first_seen_at) == ("connect", 1, START + MINUTE)
    assert of_kind(life.see(event("page_view", 2 * MINUTE, path="/connect")), ProgressFact) == []


def test_an_earlier_event_that_arrives_late_changes_the_rows_that_say_when_it_began() -> None:
    life = Life()
    life.see(signup(HOUR), event("page_view", 2 * HOUR, path="/connect"))
    told = life.see(event("page_view", HOUR + MINUTE, path="/connect"))
    ((step,), people) = of_kind(told, ProgressFact), of_kind(told, PersonFact)
    assert (step.attempts, step.first_seen_at, step.last_seen_at) == (2, START + HOUR + MINUTE, START + 2 * HOUR)
    assert people == []
    (person,) = of_kind(life.see(event("page_view", 30 * MINUTE, path="/")), PersonFact)
    assert person.first_seen_at == START + 30 * MINUTE
    (person,) = of_kind(life.see(signup(40 * MINUTE)), PersonFact)
    assert (person.first_seen_at, person.signup_at) == (START + 30 * MINUTE, START + 40 * MINUTE)
    later = life.see(event("page_view", HOUR + 2 * MINUTE, path="/connect"))
    assert (of_kind(later, PersonFact), of_kind(later, ProgressFact)) == ([], [])


def test_who_comes_back_after_a_silence_is_considered_again_once_what_was_decided_has_expired() -> None:
    life = Life()
    life.see(signup())
    life.wait(DAY)
    back = of_kind(life.see(event("page_view", 5 * DAY, path="/")), DecisionRequest)
    assert [each.trigger for each in back] == ["stuck:inactive"]
    assert of_kind(life.see(event("page_view", 5 * DAY + 8 * HOUR, path="/")), DecisionRequest) == []


def test_who_comes_back_in_time_finds_what_was_decided_in_the_silence() -> None:
    life = Life()
    life.see(signup())
    (ask,) = [each for each in of_kind(life.wait(DAY + HOUR), DecisionRequest) if each.trigger == "stuck:inactive"]
    assert of_kind(life.see(event("page_view", DAY + 2 * HOUR, path="/")), DecisionRequest) == []
    told = life.see(event("recommendation_shown", DAY + 2 * HOUR))
    assert [each.decision for each in of_kind(told, DecisionOutcome)] == [ask.decision]


def test_progress_is_told_when_a_step_is_completed_and_which_is_current_now() -> None:
    life = Life()
    life.see(signup())
    told = of_kind(life.see(connect(5 * MINUTE)), ProgressFact)
    assert [(each.step_id, each.status, each.position) for each in told] == [("connect", "completed", 1), ("explore", "current", 2)]
    assert told[0].completed_at == START + 5 * MINUTE


# considering


def _quiet(life: Life) -> list[object]:
    life.see(event("preferences_changed", 0, quietHours={"start": "08:00", "end": "10:00"}))
    return list(life.see(signup(1)))


def _capped(life: Life) -> list[object]:
    life.see(event("signup", 0, traits={"pro": True}), invite(7 * HOUR), connect(14 * HOUR))
    return list(life.see(*explored(21 * HOUR)))


def _unreachable(life: Life) -> list[object]:
    out = Collector("key")
    life.see(signup())
    assert life.person is not None
    life.fold._guidance.consider(
        life.person, "signup", START, {"connect": 1, "explore": 1, "invite": 1, "share": 1}, out, parameters_version=0
    )
    return flat(out)


WAYS: list[tuple[str, Plan, Callable[[Life], list[object]]]] = [
    ("no_path", plan(), lambda life: list(life.see(signup(persona="nobody")))),
    ("activated", plan(), lambda life: list(life.see(connect(0), *explored(1), signup(9)))),
    ("trigger_disabled", Plan(catalog(change=lambda text: text.replace("triggers:", "triggers:\n  signup: {enabled: false}"))),
     lambda life: list(life.see(signup()))),
    ("no_alarms", Plan(catalog(change=lambda text: text.replace("  - id: connect\n", "  - id: connect\n    alarms: false\n"))),
     lambda life: list(life.see(signup(), event("page_view", 25 * HOUR, path="/")))),
    ("opted_out", plan(), lambda life: list(life.see(event("preferences_changed", 0, guidance=False), signup(1)))),
    ("holdout", plan(holdout=0.9), lambda life: [out for n in range(9) for out in Life(life.plan).see(signup(user=f"u{n}"))]),
    ("observing", Plan(catalog(change=lambda text: text.replace("product: Small", "product: Small\nobserve: true"))),
     lambda life: list(life.see(signup()))),
    ("existing_person", Plan(catalog(change=lambda text: text.replace("product: Small", "product: Small\nstarts: {after: 2027-01-01}"))),
     lambda life: list(life.see(signup()))),
    ("no_step", plan(), _unreachable),
    ("quiet_hours", plan(), _quiet),
    ("cap_reached", plan(), _capped),
    ("cooldown", plan(), lambda life: list(life.see(signup(), connect(6 * HOUR - 1)))),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "small", "way"), WAYS, ids=[way[0] for way in WAYS])
def test_there_is_a_way_to_each_reason(reason: str, small: Plan, way: Callable[[Life], list[object]]) -> None:
    assert reason in declined(way(Life(small)))


def test_a_person_whose_step_has_no_words_is_told_so() -> None:
    small = plan()
    life = Life(small)
    life.see(signup(persona="nobody"))
    assert life.person is not None
    life.person.path = "analysts"
    out = Collector("key")
    life.fold._guidance.consider(life.person, "signup", START, {}, out, parameters_version=0, step="a step of an older catalog")
    assert declined(flat(out)) == ["no_arm"]


def test_the_other_reasons_belong_to_people_who_are_not_considered_at_all() -> None:
    assert {way[0] for way in WAYS} | {"no_arm"} == set(REASONS) - {"deleted", "merged", "suspected_bot", "guidance_paused", "outside_ramp"}


@pytest.mark.parametrize(("gap", "reason"), [(6 * HOUR - 1, ["cooldown"]), (6 * HOUR, [])])
def test_the_cooldown_ends_on_the_millisecond(gap: int, reason: list[str]) -> None:
    life = Life()
    life.see(signup())
    assert declined(life.see(connect(gap))) == reason


def test_the_cap_counts_the_last_24_hours() -> None:
    life = Life(plan(cooldown="1m", cap=1))
    life.see(signup())
    assert declined(life.see(connect(24 * HOUR - 1))) == ["cap_reached"]
    assert declined(life.see(*explored(24 * HOUR, 3))) == ["activated"]
    life = Life(plan(cooldown="1m", cap=1))
    life.see(signup())
    assert declined(life.see(connect(24 * HOUR))) == ["cap_reached"], "after a day without an event inactivity was decided first"


def test_an_ask_carries_all_that_the_choice_and_the_words_depend_on() -> None:
    life = Life()
    life.see(signup())
    ask = life.ask
    assert (ask.trigger, ask.path, ask.step, ask.segment, ask.arms) == (
        "signup",
        "analysts",
        "connect",
        "analyst",
        ("loud", "plain", "quiet"),
    )
    assert ask.traits == {"persona": "analyst"}
    assert ask.traits is not (life.person.traits if life.person else None)


def test_held_out_people_are_detected_like_everyone_and_guided_never() -> None:
    held = next(name for name in map(str, range(100)) if experiment_group(plan(0.5), Person("t", name)) == "holdout")
    life = Life(plan(0.5))
    life.see(signup(user=held), *(event("error", 1 + number, code="x", user=held) for number in range(3)))
    assert signals(life.outputs) == ["stuck:errors"]
    assert set(declined(life.outputs)) == {"holdout"}
    assert not life.of(DecisionRequest)


# guidance is taken back


def test_completing_the_step_takes_its_guidance_back() -> None:
    life = Life()
    life.see(signup())
    first = life.ask
    (record,) = withdrawals(life.see(connect(1 * HOUR)))
    assert (record.ui_component, record.message, record.reason) == (NO_COMPONENT, "", "step_completed")
    assert record.decision_id == first.decision
    assert record.version > first.version


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([event("preferences_changed", HOUR, guidance=False)], "opted_out"),
        ([event("identify", HOUR, traits={"persona": "nobody"})], "path_changed"),
        ([event("identify", HOUR, traits={"pro": True, "persona": "x"}), connect(2 * HOUR)], "step_completed"),
        ([connect(HOUR), *explored(2 * HOUR), invite(3 * HOUR)], "step_completed"),
    ],
)
def test_guidance_that_has_become_stale_is_taken_back_once(events: list[Event], reason: str) -> None:
    life = Life()
    life.see(signup())
    life.see(*events)
    assert [each.reason for each in withdrawals(life.outputs)][:1] == [reason]
    assert kinds(life.outputs)[:1] == ["withdrawn"]
    assert len(withdrawals(life.outputs)) == 1


def test_activation_takes_back_guidance_for_a_step_that_it_does_not_need() -> None:
    life = Life(plan(cooldown="1m"))
    life.see(signup(), connect(HOUR))
    assert life.ask.step == "explore"
    life.see(*explored(HOUR + 1, 2), event("error", 2 * HOUR, code="x"))
    life.see(*(event("error", 2 * HOUR + number, code="x", ident=f"x{number}") for number in range(1, 4)))
    told = life.see(track("explored", 3 * HOUR))
    assert [each.reason for each in withdrawals(told)] == ["step_completed"]
    assert declined(told) == ["activated"]


def test_a_path_without_the_step_takes_its_guidance_back_and_one_with_it_does_not() -> None:
    life = Life()
    life.see(signup())
    assert withdrawals(life.see(event("identify", HOUR, traits={"persona": "maker"}))) == []
    assert [each.reason for each in withdrawals(life.see(event("identify", 2 * HOUR, traits={"persona": "x"})))] == ["path_changed"]


def test_what_has_expired_need_not_be_taken_back() -> None:
    life = Life(
        Plan(catalog(change=lambda text: text.replace("stuck:inactive: {after: 24h}", "stuck:inactive: {after: 24h, enabled: false}")))
    )
    life.see(signup())
    life.see(*(event("page_view", hour * HOUR, path=f"/{hour}") for hour in (12, 23, 25)))
    assert withdrawals(life.see(event("preferences_changed", 26 * HOUR, guidance=False))) == []


def test_guidance_that_was_replaced_is_not_current_any_more_when_its_successor_ends() -> None:
    """The app has one record: once the newer one is taken back there is nothing on the screen that the older one could be."""
    life = Life(plan(cooldown="1m"))
    life.see(signup(), event("recommendation_shown", 1))
    life.see(*(event("error", HOUR + number, code="x") for number in range(3)))
    assert life.ask.trigger == "stuck:errors"
    life.see(event("identify", HOUR + 9, traits={"persona": "x"}))
    assert len(withdrawals(life.outputs)) == 1
    assert counts(life.see(event("recommendation_clicked", HOUR + 10)), "exposures_ignored") == ["no_current_recommendation"]
    assert withdrawals(life.see(event("preferences_changed", HOUR + 20, guidance=False))) == []


# timers


def test_a_silence_of_a_whole_deadline_is_an_alarm_on_the_millisecond_and_the_only_one_of_its_episode() -> None:
    life = Life()
    life.see(signup())
    assert signals(life.wait(DAY - 1)) == []
    (signal,) = of_kind(life.wait(DAY), SignalFact)
    assert (signal.trigger, signal.step_id, signal.detected_at) == ("stuck:inactive", "connect", START + DAY)
    assert signals(life.wait(50 * DAY)) == []
    life.see(event("page_view", 50 * DAY, path="/"))
    assert signals(life.wait(51 * DAY)) == []
    life.see(connect(51 * DAY))
    assert [(each.step_id, each.detected_at) for each in of_kind(life.wait(53 * DAY), SignalFact)] == [("explore", START + 52 * DAY)]


def test_a_timer_that_is_due_at_the_time_of_an_event_comes_before_it() -> None:
    life = Life()
    life.see(signup())
    assert signals(life.see(event("page_view", DAY, path="/"))) == ["stuck:inactive"]


def test_nobody_is_called_inactive_after_activation_even_if_that_came_out_of_order() -> None:
    life = Life()
    life.see(signup(), *explored(HOUR), event("page_view", 2 * HOUR, path="/"))
    life.see(connect(30 * MINUTE, log=2 * HOUR))
    assert life.person is not None
    assert life.person.activated_at
    life.wait(9 * DAY)
    assert signals(life.outputs) == []


def test_a_backlog_of_old_events_sets_no_timer_before_the_lookahead_and_an_alarm_that_comes_too_late_is_none() -> None:
    life = Life()
    life.see(signup(0, log=10 * DAY))
    assert life.person is not None
    assert life.person.check_due == START + 10 * DAY + life.plan.lookahead
    life.wait(90 * DAY)
    assert signals(life.outputs) == []


def test_a_timer_that_is_not_due_does_nothing() -> None:
    life = Life()
    life.see(signup())
    assert life.person is not None
    before = snapshot.encode(life.person)
    assert life.wait(1) == []
    assert snapshot.encode(life.person) == before


def test_whoever_was_never_shown_anything_teaches_nothing() -> None:
    life = Life()
    life.see(signup())
    assert kinds(life.wait(DAY)) == ["expired"]


# sessions


def test_sessions_follow_pauses_and_session_ids() -> None:
    life = Life()
    pages = [(0, "a"), (30 * MINUTE, "a"), (31 * MINUTE, "b"), (61 * MINUTE + 1, "b"), (62 * MINUTE, "")]
    seen = []
    for at, session in pages:
        life.see(event("page_view", at, path="/", session=session))
        assert life.person is not None
        seen.append(life.person.sessions)
    assert seen == [1, 1, 2, 3, 3]


def test_every_output_of_a_fold_can_be_written_down() -> None:
    life = Life()
    life.see(signup(), connect(1), event("recommendation_shown", 2), event("user_deleted", 3))
    for each in life.outputs:
        assert msgspec.msgpack.encode(each)


def test_the_fold_is_stateless_two_people_share_one() -> None:
    shared = Fold(plan(), KEYS)
    people: list[Person | None] = [None, None]
    alone = [Life(), Life()]
    for each in (signup(), connect(1), *explored(2), invite(9)):
        for index in (0, 1):
            people[index] = shared.apply(people[index], each, Collector("key"))
            alone[index].see(each)
    assert people[0] == people[1] == alone[0].person == alone[1].person


def test_a_decision_fact_of_a_non_decision_names_no_arm() -> None:
    life = Life()
    life.see(signup(persona="nobody"))
    (fact,) = life.of(DecisionFact)
    assert (fact.arm, fact.propensity, fact.arms, fact.propensities) == ("", 0.0, (), ())
    assert fact.version > 0


def test_rows_of_a_new_life_are_newer_than_the_deletion_of_the_old_one() -> None:
    life = Life()
    life.see(signup(), connect(HOUR))
    (erase,) = of_kind(life.see(event("user_deleted", 2 * HOUR)), Erase)
    old = of_kind(life.outputs, EventFact)
    new = of_kind(life.see(signup(3 * HOUR), event("page_view", 4 * HOUR, path="/")), EventFact)
    assert all(each.version < erase.version for each in old)
    assert all(each.version > erase.version for each in new)
    assert len(new) == 2
