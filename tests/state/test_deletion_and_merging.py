"""Deletion of people, and visitors who become users."""

from __future__ import annotations

from copy import deepcopy

import msgspec
import pytest

from state.decision.experiment_groups import experiment_draw, experiment_group
from state.decision.messages import DecisionRequest
from state.duration import DAY, HOUR, MINUTE
from state.event import Event
from state.person import snapshot
from state.person.collector import Collector
from state.person.person import Person
from state.person.visitor import Stitcher, Visitor
from state.records.facts import EventFact, PersonFact, ProgressFact
from state.records.recommendation import Erase
from state.stuck.observations import BEGUN, CENSORED, WAITING, EpisodeObservation
from tests.state.lives import (
    KEYS,
    START,
    Counted,
    Life,
    anonymously,
    connect,
    counts,
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


@pytest.mark.parametrize(
    "earlier",
    [
        signup(),
        connect(MINUTE),
        event("preferences_changed", HOUR, guidance=False, quietHours=None),
        event("user_deleted", HOUR),
        msgspec.structs.replace(anonymously(signup(MINUTE)), anonymous=False, from_visitor=True),
    ],
    ids=["signup", "step", "preferences", "deletion", "visitor"],
)
def test_an_event_from_before_the_deletion_leaves_nothing_with_a_user_who_returned(earlier: Event) -> None:
    life = Life()
    life.see(signup(), connect(MINUTE), event("user_deleted", HOUR), signup(2 * HOUR, persona="builder"))
    before = deepcopy(life.person)
    told = life.see(msgspec.structs.replace(earlier, log_time=START + 2 * HOUR))
    assert [type(each) for each in told] == ([Counted] if not earlier.from_visitor else [])
    assert counts(told, "events_ignored") == (["deleted"] if not earlier.from_visitor else [])
    assert life.person == before


def test_a_signup_that_was_deleted_by_a_clock_that_is_behind_and_is_repeated_begins_nothing() -> None:
    """The deletion came after the sign-up, though its timestamp is earlier; the sign-up was sent at least once."""
    life = Life()
    life.see(signup(MINUTE), event("user_deleted", 0, log=HOUR))
    life.reload()
    assert counts(life.see(signup(MINUTE, log=2 * HOUR)), "events_ignored") == ["deleted"]
    assert life.person is not None
    assert (life.person.user, life.person.traits) == ("", {})
    assert of_kind(life.see(signup(2 * HOUR)), DecisionRequest), "a new sign-up begins anew"
    assert not of_kind(life.see(signup(MINUTE, log=3 * HOUR)), EventFact)


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
    (erase,) = of_kind(life.lose_user("known", 2 * HOUR), Erase)
    written = [each.version for each in of_kind(life.outputs, EventFact)] + versions(life.outputs[: life.outputs.index(erase)])
    assert (erase.user_id, erase.version > max(written)) == ("u", True)
    tombstone = Person("", "", version=erase.version, now=START + 2 * HOUR, deleted_at=START + 2 * HOUR)
    tombstone.merged_into = KEYS.stream_key("t", "known")
    assert life.person == tombstone
    assert life.lose_user("known", 2 * HOUR) == []
    assert life.person == tombstone
    assert life.lose_user("known", 3 * HOUR) == []
    tombstone.deleted_at = START + 3 * HOUR
    assert life.person == tombstone, "nothing from before the later deletion returns"


def test_a_visitor_is_erased_with_the_user_also_where_another_merge_came_last() -> None:
    """With several workers merges may arrive in another order. Only whoever has accepted the merge sends the deletion."""
    life = Life()
    life.see(anonymously(signup()))
    life.become("ana", HOUR)
    life.become("phone", HOUR)
    assert len(of_kind(life.lose_user("ana", 2 * HOUR), Erase)) == 1


def test_people_are_counted_once_whether_a_visitor_is_merged_or_erased_at_once() -> None:
    for also_merged in (True, False):
        life = Life()
        life.see(anonymously(signup()))
        if also_merged:
            life.become("known", HOUR)
        life.lose_user("known", HOUR)
        assert sum(each.by for each in life.of(Counted) if each.name == "people") == 0
        assert kinds(life.outputs) == ["withdrawn"]


def gauges(life: Life) -> tuple[int, ...]:
    """How many users, and how many activated ones, were counted."""
    return tuple(sum(each.by for each in life.of(Counted) if each.name == name) for name in ("people", "people_activated"))


def activation(at: int) -> list[Event]:
    return [signup(at), connect(at + 1), *(track("explored", at + 2 + number) for number in range(3))]


def test_a_user_is_counted_until_deleted_and_again_after_returning() -> None:
    life, seen = Life(), []
    for events in (activation(0), [event("user_deleted", 1 * HOUR)], [signup(2 * HOUR)], activation(3 * HOUR)):
        life.see(*events)
        seen.append(gauges(life))
    assert seen == [(1, 1), (0, 0), (1, 0), (1, 1)]


def test_a_visitor_is_counted_until_merged() -> None:
    life = Life()
    life.see(*map(anonymously, activation(0)))
    assert gauges(life) == (1, 1)
    life.become("ana", HOUR)
    assert gauges(life) == (0, 0)
    life.lose_user("ana", 2 * HOUR)
    assert gauges(life) == (0, 0)


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
    assert life.person.drawn_group


@pytest.mark.parametrize("at", [60 * DAY - HOUR, 62 * DAY, DAY], ids=["before the visitor's last event", "later", "too late to count"])
def test_the_row_of_a_life_of_its_own_is_no_merged_one_whatever_it_begins_with(at: int) -> None:
    life = Life()
    life.see(anonymously(connect(60 * DAY)))
    life.become("somebody", 61 * DAY)
    assert life.of(PersonFact)[-1].person_key == KEYS.stream_key("t", "somebody")
    life.see(connect(at, log=max(at, 61 * DAY)))
    row = life.of(PersonFact)[-1]
    assert (row.experiment_group != "merged", row.person_key) == (True, KEYS.stream_key("t", "u"))


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


@pytest.mark.parametrize(
    ("events", "visitor_draw"),
    [
        ([signup()], -1.0),
        ([signup(), event("identity_merged", 0, previousId="cookie")], -1.0),
        ([event("identity_merged", 0, previousId="cookie"), signup()], experiment_draw("t", "cookie")),
        ([anonymously(event("identity_merged", 0, previousId="cookie")), event("page_view", 1, path="/")], -1.0),
    ],
    ids=["no visitor", "sign-up first, at one time", "merge first", "named by a visitor"],
)
def test_the_row_says_as_whom_the_group_was_drawn(events: list[Event], visitor_draw: float) -> None:
    life = Life()
    life.see(*events)
    assert life.of(PersonFact)[-1].visitor_draw == visitor_draw


def test_a_visitor_may_be_merged_on_into_another_person_and_is_erased_with_that_one() -> None:
    life = Life()
    life.see(anonymously(signup()))
    life.become("phone", HOUR)
    (row,) = life.become("ana", 2 * HOUR)
    assert (row.experiment_group, row.person_key) == ("merged", KEYS.stream_key("t", "ana"))
    assert life.become("ana", 2 * HOUR) == [], "a repeated merge changes nothing"
    assert versions(life.outputs) == sorted(versions(life.outputs))
    assert len(of_kind(life.lose_user("ana", 3 * HOUR), Erase)) == 1


def test_a_refused_merge_is_counted_with_its_reason_and_changes_nothing() -> None:
    life = Life()
    life.see(anonymously(signup()))
    before = deepcopy(life.person)
    out = Collector("key")
    refused = msgspec.structs.replace(visitor_merged(0), refused="merge_circular")
    assert life.fold.merge(life.person, refused, out) == before
    assert out.counts == {"events_ignored|merge_circular": 1}


def test_an_event_of_nobody_known_waits_and_the_person_begins_with_the_first_that_has_a_name() -> None:
    life, out, nameless = Life(), Collector("key"), anonymously(connect(1, user=""))
    life.person = life.fold.apply(None, nameless, out)
    assert (out.waiting, flat(out)) == ([nameless], [])
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


@pytest.mark.parametrize("anonymous", [False, True])
def test_a_later_deletion_of_somebody_deleted_is_announced_again_and_a_repeated_one_is_not(anonymous: bool) -> None:
    """The tombstone in Redis ends after minutes. Whoever asks for the deletion later must see that it was taken."""
    begin, first, later = (
        msgspec.structs.replace(each, anonymous=anonymous)
        for each in (signup(), event("user_deleted", HOUR), event("user_deleted", 5 * HOUR))
    )
    life = Life()
    life.see(begin, first)
    assert of_kind(life.see(first), Erase) == []
    told = life.see(later)
    assert [(each.tenant_id, each.user_id, each.version) for each in of_kind(told, Erase)] == [("t", "u", life.of(Erase)[0].version + 1)]
    assert counts(told, "events_ignored") == ["deleted"]
    assert of_kind(life.see(later, first, event("user_deleted", 6 * HOUR, user="")), Erase) == []
    assert life.person == Person("", "", version=life.of(Erase)[-1].version, now=START + 6 * HOUR, deleted_at=START + 6 * HOUR)


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


def signed_in(*users: Event, visited: tuple[Event, ...], at: int) -> Life:
    """A held-out user who does ``users`` and signs in ``at`` on the device on which ``visited`` was done without a name."""
    life, visitor, stitcher = Life(plan(holdout=1)), Visitor(), Stitcher(plan(holdout=1))
    for each in visited:
        stitcher.keep(visitor, anonymously(each))
    life.see(*users, event("identity_merged", at, previousId="cookie"))
    life.see(*stitcher.merge(visitor, visitor_merged(at, user="cookie", into="u")))
    return life


VISITED = (event("page_view", 0, path="/", user="cookie"), connect(30 * MINUTE, user="cookie"))


@pytest.mark.parametrize("merged_first", [False, True])
def test_a_step_that_a_visitor_did_before_signing_up_took_as_long_as_the_visitor_took(merged_first: bool) -> None:
    """What is learned of the step comes from the visitor alone, who was observed at it.

    Here only the sign-up tells the path: before it there is no current step, and what is handed on later counts as done on this path.
    """
    life = signed_in(*() if merged_first else (signup(45 * MINUTE),), visited=VISITED, at=45 * MINUTE)
    life.see(signup(45 * MINUTE))
    assert life.person is not None
    assert (life.done, life.person.first_seen) == ({"connect": 30 * MINUTE}, START)
    row = max((each for each in life.of(ProgressFact) if each.step_id == "connect"), key=lambda each: each.version)
    assert (row.current_since_at, row.completed_at) == ((0 if merged_first else START), START + 30 * MINUTE)
    assert life.person.since["explore"] == START + (45 if merged_first else 30) * MINUTE
    life.wait(90 * DAY)
    ends = [(each.step, each.end) for each in life.of(EpisodeObservation) if each.end not in {BEGUN, CENSORED}]
    assert ends == [("explore", WAITING)]


def test_a_step_where_the_visitor_was_looked_at_is_not_learned_of_the_user() -> None:
    """Their alarm, if there was one, is the visitor's."""
    knows = event("identify", 3 * DAY, traits={"persona": "analyst"})
    life = signed_in(knows, visited=VISITED, at=3 * DAY)
    assert life.person is not None
    assert life.person.since == {"connect": START, "explore": START + 30 * MINUTE}
    life.see(*(track("explored", 4 * DAY + each) for each in range(3)))
    life.wait(90 * DAY)
    assert [(each.step, each.end) for each in life.of(EpisodeObservation)] == [("connect", BEGUN), ("connect", CENSORED)]


def test_a_visit_on_another_device_after_the_step_began_does_not_move_its_beginning() -> None:
    life = signed_in(signup(0), visited=(event("page_view", HOUR, path="/", user="cookie"), connect(2 * HOUR, user="cookie")), at=DAY)
    assert life.person is not None
    assert life.person.since == {"connect": START, "explore": START + 2 * HOUR}
