"""What holds for every history: the order and repetition of events, snapshots and the pace of time change nothing that they must not."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.decision.messages import DecisionOutcome, DecisionRequest
from state.duration import DAY, HOUR
from state.event import Event
from state.person import snapshot
from state.person.collector import Collector
from state.person.fold import Fold
from state.person.person import Person
from state.person.preferences import update_preferences
from state.records.facts import DecisionFact
from state.records.recommendation import Erase, Publish
from state.vocabulary import REASONS, TRIGGERS
from tests.state.lives import KEYS, START, Counted, Life, arriving, event, flat, histories, live, plan, signup, stories, versions

ENDS = {"success", "failure", "expired", "withdrawn", "superseded"}


@given(histories(), st.randoms(use_true_random=False))
def test_any_order_of_arrival_within_the_lateness_bound_gives_the_same_progress(events: list[Event], random: object) -> None:
    if not events:
        return
    shuffled = list(events)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    one, other = Life(), Life()
    one.see(*arriving(events))
    other.see(*arriving(shuffled))
    assert one.progress() == other.progress()


@given(histories(), st.data())
def test_an_event_that_comes_twice_changes_nothing(events: list[Event], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(events), max_size=5)) if events else []
    at = data.draw(st.integers(0, len(events)))
    one, other = Life(), Life()
    one.see(*arriving(events))
    seen = events[:at]
    repeated = [each for each in again if each in seen]
    log_time = START + DAY + at * 1_000
    other.see(*arriving(events)[:at])
    before = None if other.person is None else msgspec.structs.asdict(other.person)
    for each in repeated:
        told = other.see(msgspec.structs.replace(each, log_time=log_time - 1_000))
        assert [type(output).__name__ for output in told] == ["Counted"]
    if other.person is not None:
        assert msgspec.structs.asdict(other.person) == before
    other.see(*arriving(events)[at:])
    assert one.person == other.person


@given(stories())
def test_written_down_and_read_back_anywhere_a_person_goes_on_the_same(story: list[Event | int]) -> None:
    plain, saved = Life(), Life()
    for each in story:
        live(plain, [each])
        live(saved, [each])
        saved.reload()
    assert saved.outputs == plain.outputs
    plain.reload()
    assert saved.person == plain.person


@given(stories())
def test_writing_a_person_down_does_not_change_them(story: list[Event | int]) -> None:
    life = Life()
    for each in story:
        live(life, [each])
        if life.person is not None:
            before = deepcopy(life.person)
            data = snapshot.encode(life.person)
            assert life.person == before
            assert list(life.person.seen) == list(before.seen)
            assert snapshot.encode(life.person) == data


@given(stories())
def test_the_version_grows_with_everything_that_is_written_for_the_app(story: list[Event | int]) -> None:
    life = Life(plan(cooldown="1m", cap=100))
    live(life, story)
    written = versions(life.outputs)
    assert all(older < newer for older, newer in pairwise(written))


@given(stories(), st.sampled_from([("6h", 3), ("1m", 100)]))
def test_every_decision_has_an_id_of_its_own_and_every_non_decision_a_known_reason(
    story: list[Event | int], knobs: tuple[str, int]
) -> None:
    life = Life(plan(cooldown=knobs[0], cap=knobs[1]))
    live(life, story)
    facts = life.of(DecisionFact)
    ids = [each.decision for each in life.of(DecisionRequest)] + [each.decision_id for each in facts]
    assert len(ids) == len(set(ids))
    assert all(each.outcome == "declined" and each.reason in REASONS and each.trigger in TRIGGERS for each in facts)


@given(stories(), st.sampled_from([("6h", 3), ("1m", 100)]))
def test_every_decision_ends_exactly_once(story: list[Event | int], knobs: tuple[str, int]) -> None:
    life = Life(plan(cooldown=knobs[0], cap=knobs[1]))
    live(life, story)
    open_now = {each.decision for each in life.person.open} if life.person is not None else set()
    ends = Counter(each.decision for each in life.of(DecisionOutcome) if each.kind in ENDS)
    asked = {each.decision for each in life.of(DecisionRequest)}
    assert set(ends) | open_now == asked
    assert not set(ends) & open_now
    if life.person is not None:
        life.wait(400 * DAY)
        assert Counter(each.decision for each in life.of(DecisionOutcome) if each.kind in ENDS) == Counter(
            each.decision for each in life.of(DecisionRequest)
        )
        assert not life.person.open
        assert life.person.next_due == 0


@given(stories())
def test_an_exposure_is_told_once_and_only_judged_decisions_were_shown(story: list[Event | int]) -> None:
    life = Life(plan(cooldown="1m", cap=100))
    live(life, story)
    told = Counter((each.decision, each.kind) for each in life.of(DecisionOutcome))
    assert all(times == 1 for times in told.values())
    for decision, kind in told:
        if kind in ("success", "failure", "clicked", "dismissed"):
            assert (decision, "shown") in told
        if kind in ("expired", "superseded"):
            assert (decision, "shown") not in told


@given(stories())
def test_nothing_is_written_for_a_deleted_person(story: list[Event | int]) -> None:
    life = Life(plan(cooldown="1m", cap=100))
    for each in story:
        since = life.person.deleted_at if life.person is not None else 0
        already = len(life.outputs)
        live(life, [each])
        if since and life.person is not None and life.person.deleted_at:
            again = isinstance(each, Event) and each.type == "user_deleted" and each.timestamp > since
            written = life.outputs[already:]
            assert not [output for output in written if isinstance(output, DecisionRequest | Publish | DecisionOutcome)]
            assert sum(isinstance(output, Erase) for output in written) == again, "a later deletion is announced, and nothing else"
            assert (life.person.traits, life.person.steps, life.person.last_event, life.person.user) == ({}, {}, "", "")


@given(stories(), st.lists(st.integers(0, 20 * 24).map(lambda hours: hours * HOUR), max_size=8))
def test_time_in_one_go_is_time_in_many_steps(story: list[Event | int], steps: list[int]) -> None:
    one, many = Life(), Life()
    live(one, story)
    live(many, story)
    if one.person is None or many.person is None:
        return
    at = one.person.now - START
    for step in sorted(steps):
        many.wait(at + step)
    one.wait(at + 30 * DAY)
    many.wait(at + 30 * DAY)
    assert many.person == one.person
    assert _by_kind(many.outputs) == _by_kind(one.outputs)


@given(stories())
def test_what_an_event_runs_late_is_what_a_tick_runs_in_time(story: list[Event | int]) -> None:
    lazy, woken = Life(), Life()
    for each in story:
        live(lazy, [each])
        if isinstance(each, Event) and woken.person is not None:
            woken.wait(each.log_time - START)
        live(woken, [each])
    assert woken.person == lazy.person
    assert _by_kind(woken.outputs) == _by_kind(lazy.outputs)


@given(stories(), st.data())
def test_the_gauges_of_users_are_what_the_state_holds(story: list[Event | int], data: st.DataObject) -> None:
    """Whatever happens to an id: it may be a visitor's, merged into one of two others, erased with them, deleted, and a user's."""
    life = Life()
    for number, each in enumerate(story):
        at = each if isinstance(each, int) else each.log_time - START
        sender = {"user": data.draw(st.sampled_from(["u", "u", ""])), "anonymous": data.draw(st.booleans())}
        match data.draw(st.sampled_from(["story", "story", "story", "activation", "merge", "erasure with the user", "deletion"])):
            case "activation":
                begin = signup(at, persona="builder", ident=f"signup {number}")
                activating = begin, event("form_submit", at, form="invite"), event("form_submit", at, form="connect")
                life.see(*(msgspec.structs.replace(one, **sender) for one in activating))
            case "merge":
                life.become(data.draw(st.sampled_from(["ana", "ben"])), at)
            case "erasure with the user":
                life.lose_user(data.draw(st.sampled_from(["ana", "ben"])), at)
            case "deletion":
                life.see(msgspec.structs.replace(event("user_deleted", at), **sender))
            case _ if isinstance(each, Event):
                life.see(msgspec.structs.replace(each, **sender, from_visitor=data.draw(st.booleans())))
            case _:
                live(life, [each])
        person = life.person
        counted = Counter[str]()
        for out in life.of(Counted):
            counted[out.name] += out.by
        alive = person is not None and bool(person.user) and not (person.deleted_at or person.merged_into)
        activated = alive and person is not None and person.activated_at > 0
        assert (counted["people"], counted["people_activated"]) == (alive, activated)


def _by_kind(outputs: list[object]) -> tuple[dict[type, list[object]], Counter[str]]:
    """Outputs of each kind in order, and what was counted: however many inputs a collector took in."""
    kinds: dict[type, list[object]] = {}
    counted: Counter[str] = Counter()
    for each in outputs:
        if isinstance(each, Counted):
            counted[f"{each.name}|{each.label}"] += each.by
        else:
            kinds.setdefault(type(each), []).append(_timeless(each))
    return kinds, counted


def _timeless(output: object) -> object:
    """An output without the place in the input that it came from."""
    return msgspec.structs.replace(output, seq=0, number=0) if isinstance(output, DecisionRequest | DecisionOutcome) else output


@given(stories(), st.sampled_from([("6h", 3), ("1m", 100)]))
def test_no_timer_is_due_sooner_than_the_lookahead_after_it_was_set(story: list[Event | int], knobs: tuple[str, int]) -> None:
    small = plan(cooldown=knobs[0], cap=knobs[1])
    life = Life(small)
    known: Counter[int] = Counter()
    for each in story:
        if not isinstance(each, Event) or life.person is None:
            live(life, [each])
        else:
            life.wait(each.log_time - START)  # timers that were due run first, each at its own deadline
            known = _deadlines(life.person)
            live(life, [each])
        if life.person is not None and isinstance(each, Event):
            for due in _deadlines(life.person) - known:
                assert due >= life.person.now + small.lookahead


def _deadlines(person: Person) -> Counter[int]:
    return Counter([each.due for each in person.open] + ([person.check_due] if person.check_due else []))


@given(stories())
def test_late_events_leave_no_trace_but_a_row_that_says_so_and_new_preferences(story: list[Event | int]) -> None:
    life = Life()
    for each in story:
        person = life.person
        if isinstance(each, Event) and person is not None:
            life.wait(each.log_time - START)
            if not person.deleted_at and each.timestamp < person.floor:
                erased = each.timestamp <= person.previous_deletion_at
                before = snapshot.encode(person)
                now = max(person.now, each.log_time)
                out = Collector("key")
                after = Fold(life.plan, KEYS).apply(person, each, out)
                expected = snapshot.decode(before)
                expected.now = now
                if not erased and update_preferences(expected, each, Collector("key")):
                    assert each.type == "preferences_changed"
                    assert (after.guidance, after.refused, after.version > expected.version) == (expected.guidance, expected.refused, True)
                    continue
                assert snapshot.encode(after) == snapshot.encode(expected)
                found = [getattr(output, "status", getattr(output, "label", None)) for output in flat(out)]
                assert found == (["deleted"] if erased else ["late", "late"])
                continue
        live(life, [each])


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 1_000])
def test_a_snapshot_remembers_every_event_id_that_may_still_come(size: int) -> None:
    life = Life()
    life.see(signup(), *(event("track", 1_000 + number, name="x", ident=f"i{number}") for number in range(size)))
    life.reload()
    told = life.see(*(event("track", 1_000 + number, name="x", ident=f"i{number}") for number in range(size)))
    assert len(told) == size
    assert all(getattr(each, "name", "") == "events_duplicate" for each in told)
