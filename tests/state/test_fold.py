"""The fold, case by case: what counts as progress, when guidance is considered, how it ends, and when it is taken back."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import msgspec
import pytest

from state.catalog.plan import Plan
from state.decision.experiment_groups import experiment_group
from state.decision.messages import DecisionOutcome, DecisionRequest
from state.duration import DAY, HOUR, MINUTE, SECOND
from state.events import Event
from state.person import deduplication, fold, snapshot
from state.person.collector import Collector
from state.person.deduplication import MOST_SEEN, is_known, remember, remembered
from state.person.fold import Fold
from state.person.person import Person
from state.person.snapshot import SnapshotError
from state.records.facts import DecisionFact, EventFact, PersonFact, ProgressFact, SignalFact
from state.records.recommendation import Erase
from state.vocabulary import NO_COMPONENT, REASONS
from tests.state.lives import (
    KEYS,
    START,
    Counted,
    Life,
    anonymously,
    arriving,
    catalog,
    counts,
    declined,
    event,
    flat,
    kinds,
    of_kind,
    plan,
    signals,
    signup,
    track,
    versions,
    visitor_merged,
    withdrawals,
)


def connect(at: int, **rest: Any) -> Event:
    return event("form_submit", at, form="connect", **rest)


def invite(at: int, **rest: Any) -> Event:
    return event("form_submit", at, form="invite", **rest)


def explored(at: int, count: int = 3) -> list[Event]:
    return [track("explored", at + number, ident=f"explored {at} {number}") for number in range(count)]


# progress


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


# events that are not applied


def test_what_is_older_than_the_bound_is_late_and_what_is_just_within_it_is_not() -> None:
    life = Life()
    life.see(signup(2 * DAY, log=2 * DAY))
    assert [each.status for each in of_kind(life.see(connect(1 * DAY - 1, log=2 * DAY)), EventFact)] == ["late"]
    assert life.done == {}
    assert [each.status for each in of_kind(life.see(connect(1 * DAY, log=2 * DAY)), EventFact)] == ["applied"]
    assert life.done == {"connect": 1 * DAY}


def test_an_applied_row_wins_over_the_late_repetition_of_the_same_event() -> None:
    life = Life()
    (applied,) = of_kind(life.see(signup()), EventFact)
    life.see(event("page_view", 3 * DAY, path="/"))
    (late,) = of_kind(life.see(signup()), EventFact)
    assert (applied.event_id, late.status) == (late.event_id, "late")
    assert applied.version > late.version


def test_an_event_on_the_very_edge_of_the_bound_is_still_known_after_a_restart() -> None:
    life = Life()
    life.see(signup(0), event("page_view", DAY, path="/"))
    life.reload()
    assert [getattr(each, "name", "") for each in life.see(signup(0, log=DAY))] == ["events_duplicate"]


def test_far_too_many_event_ids_of_one_person_push_the_bound_up_and_never_lose_deduplication(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "MOST_SEEN", 128)
    monkeypatch.setattr(deduplication, "MOST_SEEN", 128)
    life = Life()
    events = [event("page_view", number * SECOND, ident=f"i{number}", path="/") for number in range(1_000)]
    for each in events:
        life.see(each)
        assert life.person is not None
        kept = list(remembered(life.person))
        assert len(kept) < 128
        assert all(at >= life.person.floor for _, at in kept)
    life.reload()
    assert life.person is not None
    before = msgspec.structs.asdict(life.person)
    last = events[-1].log_time
    told = life.see(*(msgspec.structs.replace(each, log_time=last) for each in events))
    assert not [each for each in told if isinstance(each, EventFact) and each.status == "applied"]
    assert msgspec.structs.asdict(life.person) == before


def test_too_many_events_at_one_and_the_same_instant_are_late_rather_than_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "MOST_SEEN", 64)
    monkeypatch.setattr(deduplication, "MOST_SEEN", 64)
    life = Life()
    events = [event("page_view", 0, ident=f"i{number}", path="/") for number in range(100)]
    told = life.see(*events)
    again = life.see(*events)
    assert [each.status for each in of_kind(told, EventFact)].count("applied") == 64
    assert not [each for each in of_kind(again, EventFact) if each.status == "applied"]
    later = life.see(event("page_view", 1, path="/"))
    assert [each.status for each in of_kind(later, EventFact)] == ["applied"]


@pytest.mark.slow
def test_a_hundred_thousand_events_of_one_person_leave_a_state_of_bounded_size() -> None:
    life = Life()
    small = life.fold
    person = None
    for number in range(100_000):
        each = event("page_view", number * SECOND, ident=f"i{number}", path=f"/{number % 7}")
        person = small.apply(person, each, Collector("key"))
    assert person is not None
    assert len(list(remembered(person))) <= MOST_SEEN
    assert len(snapshot.encode(person)) < 16 * MOST_SEEN + 2_000


# nothing that a snapshot cannot hold


@pytest.mark.parametrize("payload", [{"path": ["x"]}, {"path": {"a": 1}}, {"code": 3}, {"form": True}])
def test_the_last_events_are_remembered_by_text_alone(payload: dict[str, Any]) -> None:
    life = Life()
    life.see(event("track", 0, **payload))
    assert life.person is not None
    assert life.person.last_event == "track"


def test_damaged_snapshots_and_those_of_a_later_release_are_refused_in_words() -> None:
    life = Life()
    life.see(signup())
    assert life.person is not None
    data = snapshot.encode(life.person)
    with pytest.raises(SnapshotError, match=r"version 9, .*newer release: upgrade"):
        snapshot.decode(b"\x09" + data[1:])
    with pytest.raises(SnapshotError, match=r"version 1, .*older release: start that one"):
        snapshot.decode(b"\x01" + data[1:])
    for cut in (0, 1, 4, 5, 10, len(data) - 1):
        with pytest.raises(SnapshotError):
            snapshot.decode(data[:cut])


def test_a_snapshot_of_fewer_fields_reads_as_a_person_of_today() -> None:
    life = Life()
    life.see(signup())
    assert life.person is not None
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(life.person))
    older = snapshot._HEAD.pack(snapshot.VERSION, 0) + msgspec.msgpack.encode(fields[:-2])
    read = snapshot.decode(older)
    assert (read.path, read.steps, read.guidance_at) == ("analysts", {}, 0)


def test_what_a_restart_needs_is_read_without_the_rest() -> None:
    life = Life()
    life.see(signup())
    assert life.person is not None
    assert snapshot.next_timer(snapshot.encode(life.person)) == (life.person.next_due, "t", "u", life.person.partition)
    assert life.person.next_due > 0
    assert snapshot.next_timer(snapshot.encode(Person("", ""))) == (0, "", "", 0)


@pytest.mark.parametrize("data", [b"", b"\x04", b"\x03", b"\x04" + bytes(8) + b"\xc1", b"\x05" + bytes(20)])
def test_a_damaged_snapshot_is_refused_with_a_sentence(data: bytes) -> None:
    for read in (snapshot.decode, snapshot.next_timer):
        with pytest.raises(SnapshotError, match=r"damaged|upgrade"):
            read(data)


def test_event_ids_are_told_apart_however_their_bytes_meet() -> None:
    """The hash of an id may also be found across two records, where it is none."""
    person = Person("t", "u")
    assert remember(person, b"abcdefgh", int.from_bytes(b"ijklmnop", "little")) == 1
    assert remember(person, b"qrstuvwx", 0) == 2
    assert not is_known(person, b"efghijkl")
    assert not is_known(person, b"mnopqrst")
    assert not is_known(person, b"ijklmnop")
    assert is_known(person, b"qrstuvwx")
    remember(person, b"efghijkl", 0)
    assert is_known(person, b"efghijkl")
    assert list(remembered(person))[1:] == [(b"qrstuvwx", 0), (b"efghijkl", 0)]


def test_a_usual_person_fits_into_650_bytes() -> None:
    life = Life()
    life.see(signup(), *(event("page_view", number * HOUR, path=f"/{number}") for number in range(1, 8)), connect(8 * HOUR))
    assert life.person is not None
    assert len(snapshot.encode(life.person)) < 650


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
    life.fold._guidance.consider(out, life.person, "signup", START, {"connect": 1, "explore": 1, "invite": 1, "share": 1})
    return flat(out)


WAYS: list[tuple[str, Plan, Callable[[Life], list[object]]]] = [
    ("no_path", plan(), lambda life: list(life.see(signup(persona="nobody")))),
    ("activated", plan(), lambda life: list(life.see(connect(0), *explored(1), signup(9)))),
    ("trigger_disabled", Plan(catalog(change=lambda text: text.replace("triggers:", "triggers:\n  signup: {enabled: false}"))),
     lambda life: list(life.see(signup()))),
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
    life.fold._guidance.consider(out, life.person, "signup", START, {}, "a step of an older catalog")
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


# preferences


def test_an_older_opt_out_is_not_lost_behind_newer_quiet_hours() -> None:
    life = Life()
    life.see(event("preferences_changed", 9, quietHours={"start": "22:00", "end": "07:00"}))
    life.see(event("preferences_changed", 5, log=10, guidance=False))
    assert life.person is not None
    assert (life.person.guidance, life.person.quiet_from, life.person.quiet_to) == (False, 22 * 60, 7 * 60)


@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_of_an_opt_in_and_an_opt_out_at_the_same_instant_the_opt_out_wins(order: tuple[bool, bool]) -> None:
    life = Life()
    life.see(*(event("preferences_changed", 5, guidance=each) for each in order))
    assert life.person is not None
    assert life.person.guidance is False


def test_null_ends_quiet_hours_and_nonsense_leaves_them() -> None:
    life = Life()
    hours = [{"start": "22:00", "end": "07:00"}, {"start": "25:00", "end": "07:00"}, {"start": "22:00"}, "night", None]
    for at, quiet in enumerate(hours):
        told = life.see(event("preferences_changed", at, quietHours=quiet))
        assert life.person is not None
        assert life.person.quiet_from == (-1 if quiet is None else 22 * 60)
        assert counts(told, "values_unread") == (["quietHours"] if 0 < at < 4 else [])


IN_APP_REFUSED = [["email"], [], "email", "none", False, {"in_app": False}, {"inApp": "off", "email": True}, ["push"]]


@pytest.mark.parametrize("channels", IN_APP_REFUSED, ids=str)
def test_who_does_not_want_the_channel_gets_no_guidance_on_it(channels: Any) -> None:
    life = Life()
    assert declined(life.see(event("preferences_changed", 0, channels=channels), signup(1))) == ["opted_out"]
    life.reload()
    assert declined(life.see(event("preferences_changed", 2, channels=["in-app"]), connect(7 * HOUR))) == []
    assert [each.reason for each in withdrawals(life.see(event("preferences_changed", 7 * HOUR + 1, channels=channels)))] == ["opted_out"]


def test_an_object_changes_the_channels_that_it_names_and_undoes_no_other_refusal() -> None:
    life = Life()
    life.see(event("preferences_changed", 1, channels={"in_app": False}), event("preferences_changed", 2, channels={"email": False}))
    assert declined(life.see(signup(3))) == ["opted_out"]
    life.see(event("preferences_changed", 9, channels={"in_app": True}), event("preferences_changed", 8, log=9, channels={"email": True}))
    assert life.person is not None
    assert life.person.refused == []
    life.see(event("preferences_changed", 7, log=9, channels={"email": False}))
    assert life.person.refused == [], "an older refusal than the newest word on that channel"


@pytest.mark.parametrize("channels", [["in_app"], ["email", "inApp"], "all", True, {"email": False}, None, 7, {}, {"sms": False}])
def test_who_wants_the_channel_or_says_nothing_is_guided(channels: Any) -> None:
    life = Life()
    assert declined(life.see(event("preferences_changed", 0, channels=channels), signup(1))) == []
    assert withdrawals(life.see(event("preferences_changed", 2, channels=channels))) == []


@pytest.mark.parametrize("order", [(["email"], ["in_app"]), (["in_app"], ["email"])])
def test_of_two_lists_of_channels_at_the_same_instant_every_refusal_counts(order: tuple[list[str], ...]) -> None:
    life = Life()
    life.see(*(event("preferences_changed", 5, channels=each) for each in order), event("preferences_changed", 4, log=6, channels="all"))
    assert life.person is not None
    assert life.person.refused == ["email", "in_app"]


def test_a_trait_that_cannot_be_read_leaves_the_one_before_and_is_counted() -> None:
    life = Life()
    life.see(event("signup", 0, traits={"firstName": "Ana", "timezone": "europe/berlin", "persona": "analyst"}))
    told = life.see(event("identify", 1, traits={"firstName": "%FNAME%", "timezone": "America", "persona": ["analyst"], "hobby": []}))
    assert life.person is not None
    assert life.person.traits == {"firstName": "Ana", "timezone": "europe/berlin", "persona": "analyst"}
    assert sorted(counts(told, "values_unread")) == ["firstName", "persona", "timezone"]


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


# deletion and merging


def test_deletion_leaves_a_tombstone_newer_than_everything_and_no_personal_data() -> None:
    life = Life()
    life.see(signup(), event("recommendation_shown", 1))
    told = life.see(event("user_deleted", HOUR))
    (tomb,) = of_kind(told, Erase)
    assert tomb.version > life.ask.version
    assert kinds(told) == ["withdrawn"]
    assert life.person == Person("", "", version=tomb.version, now=START + HOUR, deleted_at=START + HOUR)
    assert b"analyst" not in snapshot.encode(life.person)


def test_a_deleted_person_gets_nothing_until_a_later_signup_begins_anew() -> None:
    life = Life()
    life.see(signup(), connect(1), event("user_deleted", HOUR))
    tomb = life.of(Erase)[-1]
    told = life.see(
        signup(HOUR, ident="same instant", log=2 * HOUR), connect(3 * HOUR), event("identify", 4 * HOUR, traits={"persona": "analyst"})
    )
    assert counts(told, "events_ignored") == ["deleted"] * 3
    assert life.person is not None
    assert life.person.user == ""
    assert life.wait(9 * DAY) == []
    life.see(signup(10 * DAY))
    assert life.done == {}
    assert life.ask.version > tomb.version


def test_events_of_a_deleted_life_do_not_count_for_the_new_one() -> None:
    life = Life()
    life.see(signup(), connect(1 * MINUTE), event("user_deleted", HOUR), signup(2 * HOUR, persona="builder"))
    life.see(connect(1 * MINUTE, log=2 * HOUR), event("user_deleted", HOUR, log=2 * HOUR), signup(log=2 * HOUR))
    assert life.person is not None
    assert (life.done, life.person.deleted_at, life.person.traits) == ({}, 0, {"persona": "builder"})


def test_a_visitor_who_became_a_user_is_guided_no_more_under_the_old_key() -> None:
    life = Life()
    life.see(anonymously(signup()))
    told = life.become("known", HOUR)
    assert [each.reason for each in withdrawals(told)] == ["merged"]
    assert kinds(told) == ["withdrawn"]
    assert life.person is not None
    assert (life.person.traits, life.person.last_event) == ({}, "")
    told = life.see(anonymously(connect(2 * HOUR)))
    assert counts(told, "events_ignored") == ["merged"]
    life.wait(40 * DAY)
    assert signals(life.outputs) == []
    again = life.become("known", 3 * HOUR)
    assert again == []


def test_a_merged_visitor_is_erased_with_the_user_once() -> None:
    life = Life()
    life.see(anonymously(signup()), anonymously(connect(MINUTE)))
    life.become("known", HOUR)
    assert life.lose_user("another", 2 * HOUR) == []
    (erase,) = of_kind(life.lose_user("known", 2 * HOUR), Erase)
    written = [each.version for each in of_kind(life.outputs, EventFact)] + versions(life.outputs[: life.outputs.index(erase)])
    assert (erase.user_id, erase.version > max(written)) == ("u", True)
    tombstone = Person("", "", version=erase.version, now=START + 2 * HOUR, deleted_at=START + 2 * HOUR)
    tombstone.merged_into = KEYS.stream_key("t", "known")
    assert life.person == tombstone
    before = deepcopy(life.person)
    assert life.lose_user("known", 3 * HOUR) == []
    assert life.person == before


def test_people_are_counted_once_whether_a_visitor_is_merged_or_erased_at_once() -> None:
    for also_merged in (True, False):
        life = Life()
        life.see(anonymously(signup()))
        if also_merged:
            life.become("known", HOUR)
        life.lose_user("known", HOUR)
        assert sum(each.by for each in life.of(Counted) if each.name == "people") == 0
        assert kinds(life.outputs) == ["withdrawn"]


def test_a_user_who_was_named_as_a_visitor_is_not_erased_with_the_one_who_named_them() -> None:
    life = Life()
    life.see(signup())
    life.become("known", HOUR)
    before = deepcopy(life.person)
    assert life.lose_user("known", 2 * HOUR) == []
    assert life.person == before


def test_an_event_without_a_name_belongs_to_the_one_who_is_there_and_to_nobody_deleted() -> None:
    life = Life()
    life.see(signup(), event("user_deleted", HOUR))
    assert not of_kind(life.see(signup(2 * HOUR, ident="nameless", user="")), EventFact | PersonFact)  # type: ignore[arg-type]
    assert life.person is not None
    assert (life.person.user, life.person.deleted_at) == ("", START + HOUR)
    life.see(signup(3 * HOUR, ident="again"))
    (row,) = of_kind(life.see(connect(4 * HOUR, user="")), EventFact)
    assert (row.user_id, row.status, life.done) == ("u", "applied", {"connect": 4 * HOUR})


def test_a_user_cannot_be_merged_away_by_whoever_names_them_as_a_visitor() -> None:
    life = Life()
    life.see(signup())
    told = life.become("somebody", HOUR)
    assert counts(told, "events_ignored") == ["merge_refused"]
    assert withdrawals(told) == []
    assert counts(life.see(event("page_view", 2 * HOUR, path="/")), "events_ignored") == []


@pytest.mark.parametrize("deleted", [False, True])
def test_an_id_that_was_merged_and_is_then_seen_as_a_user_begins_a_life_of_its_own(deleted: bool) -> None:
    life = Life()
    life.see(anonymously(connect(1)))
    life.become("somebody", HOUR)
    if deleted:
        life.lose_user("somebody", 2 * HOUR)
    assert counts(life.see(anonymously(event("page_view", 2 * HOUR, path="/"))), "events_ignored") == ["deleted" if deleted else "merged"]
    assert counts(life.see(event("page_view", HOUR + 1, log=3 * HOUR, path="/own")), "events_ignored") == []
    told = life.see(signup(3 * HOUR))
    assert of_kind(told, DecisionRequest)
    assert versions(life.outputs) == sorted(versions(life.outputs))
    assert life.person is not None
    assert (life.done, life.person.user, life.person.merged_into, life.person.deleted_at) == ({}, "u", "", 0)
    assert sum(each.by for each in life.of(Counted) if each.name == "people") == 1
    assert life.lose_user("somebody", 4 * HOUR) == []
    assert counts(life.become("somebody", 5 * HOUR), "events_ignored") == ["merge_refused"]


@pytest.mark.parametrize("first", ["a retried event", "an old event", "a new one"])
def test_a_life_of_its_own_can_be_written_down_whatever_it_begins_with(first: str) -> None:
    """What was seen of the id before is measured from its floor, so both stay together."""
    visit = anonymously(connect(60 * DAY, log=60 * DAY))
    life = Life()
    life.see(visit)
    life.become("somebody", 61 * DAY)
    begins = {
        "a retried event": msgspec.structs.replace(visit, anonymous=False),
        "an old event": event("page_view", DAY, log=61 * DAY, path="/"),
        "a new one": event("page_view", 62 * DAY, path="/"),
    }
    life.see(begins[first])
    life.reload()
    assert life.person is not None
    assert (life.person.user, life.person.merged_into) == ("u", "")
    assert life.person.catalog == life.plan.digest
    assert life.person.group


def test_a_life_of_its_own_is_observed_from_its_beginning() -> None:
    life = Life()
    life.see(anonymously(event("page_view", 1, path="/")))
    life.become("somebody", HOUR)
    life.see(signup(2 * HOUR))
    assert life.person is not None
    assert life.person.episode is not None
    assert life.person.episode.observed
    assert life.person.since == {"connect": START + 2 * HOUR}


def test_a_refused_merge_of_an_unknown_id_makes_nobody() -> None:
    life = Life()
    refused = msgspec.structs.replace(visitor_merged(1), refused="merge_too_many")
    out = Collector("key")
    assert life.fold.merge(None, refused, out) is None
    assert counts(flat(out), "events_ignored") == ["merge_too_many"]
    life.see(signup(HOUR))
    assert sum(each.by for each in life.of(Counted) if each.name == "people") == 1


@pytest.mark.parametrize("holdout", [0.0, 0.9])
def test_whoever_was_considered_keeps_the_group_when_an_earlier_id_becomes_known(holdout: float) -> None:
    """Held-out users have no decision. If only the guided kept their group, the holdout would lose its users at every merge."""
    small = plan(holdout=holdout)
    for number in range(20):
        life = Life(small)
        life.see(signup(user=f"u{number}"))
        assert life.person is not None
        before = experiment_group(small, life.person)
        life.see(event("identity_merged", 1, user=f"u{number}", previousId=f"cookie-{number}"))
        assert experiment_group(small, life.person) == before


def test_a_visitor_may_be_merged_on_into_another_person_and_is_erased_with_that_one() -> None:
    life = Life()
    life.see(anonymously(signup()))
    life.become("phone", HOUR)
    assert life.become("ana", 2 * HOUR) == []
    assert life.lose_user("phone", 3 * HOUR) == []
    assert len(of_kind(life.lose_user("ana", 3 * HOUR), Erase)) == 1


def test_a_refused_merge_is_counted_with_its_reason_and_changes_nothing() -> None:
    life = Life()
    life.see(anonymously(signup()))
    before = deepcopy(life.person)
    out = Collector("key")
    refused = msgspec.structs.replace(visitor_merged(0), refused="merge_circular")
    assert life.fold.merge(life.person, refused, out) == before
    assert out.counts == {"events_ignored|merge_circular": 1}


def test_an_event_of_nobody_known_is_counted_and_the_person_begins_with_the_first_that_has_a_name() -> None:
    life = Life()
    assert counts(life.see(anonymously(connect(1, user=""))), "events_ignored") == ["unknown_user"]
    told = life.see(signup(2))
    assert {row.user_id for row in of_kind(told, EventFact)} == {"u"}
    assert sum(each.by for each in life.of(Counted) if each.name == "people") == 1


def test_a_wish_to_be_forgotten_is_never_too_late() -> None:
    life = Life()
    life.see(signup(), event("page_view", 9 * DAY, path="/"))
    told = life.see(event("user_deleted", HOUR, log=9 * DAY))
    assert len(of_kind(told, Erase)) == 1
    assert life.person is not None
    assert life.person.user == ""


def test_the_latest_of_several_deletions_counts() -> None:
    life = Life()
    life.see(signup(), event("user_deleted", HOUR), event("user_deleted", 5 * HOUR))
    assert counts(life.see(signup(3 * HOUR)), "events_ignored") == ["deleted"]
    assert of_kind(life.see(signup(6 * HOUR)), DecisionRequest)


def test_a_path_that_becomes_known_by_an_out_of_order_event_sets_the_inactivity_timer() -> None:
    life = Life()
    life.see(event("page_view", 2 * HOUR, path="/"))
    assert life.person is not None
    assert (life.person.path, life.person.check_due) == ("", 0)
    life.see(event("identify", HOUR, log=2 * HOUR, traits={"persona": "analyst"}))
    assert life.person.path
    assert signals(life.wait(2 * HOUR + DAY)) == ["stuck:inactive"]


def test_a_deleted_visitor_stays_deleted_when_merged() -> None:
    life = Life()
    life.see(signup(), event("user_deleted", HOUR))
    assert life.become("known", 2 * HOUR) == []


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
