"""stitch: what a visitor did before signing in counts once for the user that the visitor turns out to be."""

from __future__ import annotations

import msgspec
import pytest

from operators.stitch import AddressedArrival, Stitched, StitchLogic, bundles, stitch_logic
from state.duration import DAY, HOUR
from state.events import Event
from state.person.arrivals import VisitorMerged
from state.person.snapshot import SnapshotError
from state.person.visitor import KEPT, Visitor
from state.person.visitor import decode as read
from tests.state.lives import KEYS, START, Life, event, plan, signup, visitor_merged

OLD, NEW = KEYS.stream_key("t", "cookie"), KEYS.stream_key("t", "ana")


def visit(kind: str, at: int, **payload: object) -> Event:
    made = event(kind, at, user="cookie", **payload)  # type: ignore[arg-type]  # a payload
    return msgspec.structs.replace(made, anonymous=True)


def merged(at: int) -> VisitorMerged:
    return visitor_merged(at, user="cookie", seq=77, partition=2)


def batch(logic: StitchLogic, *arrivals: Event | VisitorMerged) -> Stitched:
    lists, discard = logic.on_batch([(OLD, each) for each in arrivals])
    assert discard is False
    (stitched,) = lists
    return stitched


def step(logic: StitchLogic, *arrivals: Event | VisitorMerged) -> list[AddressedArrival]:
    return batch(logic, *arrivals).arrivals


def test_a_visitors_evidence_is_handed_on_under_the_users_key_at_the_merge() -> None:
    logic = stitch_logic(plan())(None)
    seen = [visit("form_submit", 1, form="connect"), visit("page_view", 2, path="/pricing")]
    assert step(logic, *seen) == [(OLD, each) for each in seen]
    stitched = batch(logic, merged(HOUR))
    assert stitched.arrivals == [(OLD, merged(HOUR))]
    (_, merge), (key, event) = stitched.users
    assert merge == merged(HOUR)
    assert isinstance(event, Event)
    assert key == NEW
    assert (event.user, event.anonymous, event.from_visitor, event.timestamp) == ("ana", False, True, START + 1)
    assert (event.log_time, event.seq, event.partition) == (START + HOUR, 77, 2)


def test_it_is_handed_on_once() -> None:
    logic = stitch_logic(plan())(None)
    step(logic, visit("form_submit", 1, form="connect"), merged(HOUR))
    assert batch(logic, merged(2 * HOUR)).users == [(NEW, merged(2 * HOUR))]


def test_what_the_device_still_sends_under_its_old_id_follows() -> None:
    logic = stitch_logic(plan())(None)
    step(logic, merged(HOUR))
    sent = visit("form_submit", 2 * HOUR, form="connect")
    stitched = batch(logic, sent)
    assert (stitched.arrivals, stitched.users) == ([], [(NEW, sent)])  # identify knows the user's id


def test_a_user_hears_of_each_merge_of_their_visitors_and_of_no_other() -> None:
    logic, other = stitch_logic(plan())(None), visitor_merged(2 * HOUR, user="cookie", into="ben")
    assert batch(logic, merged(HOUR)).users == [(NEW, merged(HOUR))]
    assert batch(logic, other).users == []
    assert batch(logic, merged(3 * HOUR)).users == [(NEW, merged(3 * HOUR))]


def test_a_merged_visitor_keeps_no_id_and_no_evidence() -> None:
    logic = stitch_logic(plan())(None)
    step(logic, visit("form_submit", 1, form="connect"), merged(HOUR), visit("form_submit", 2 * HOUR, form="connect"))
    assert read(logic.snapshot()) == Visitor(into=NEW)
    assert b"ana" not in logic.snapshot()
    assert b"cookie" not in logic.snapshot()


def test_what_does_not_concern_a_visitor_passes_through_in_bundles_that_keep_each_key_in_order() -> None:
    arrivals: list[AddressedArrival] = [(f"key {number % 7}", msgspec.structs.replace(event("track"), seq=number)) for number in range(50)]
    assert bundles(arrivals, 1) == [("lane 0", arrivals)]
    split = bundles(arrivals, 4)
    assert 1 < len(split) <= 4
    assert sorted((each for _, some in split for each in some), key=lambda each: each[1].seq) == arrivals
    for key in {key for key, _ in arrivals}:
        mine = [[each for each in some if each[0] == key] for _, some in split]
        assert [some for some in mine if some] == [[each for each in arrivals if each[0] == key]]
    logic, bundle = stitch_logic(plan())(None), Stitched(arrivals)
    assert logic.on_batch([bundle]) == ([bundle], False)
    assert read(logic.snapshot()) == Visitor()


def test_only_the_newest_evidence_is_kept() -> None:
    logic = stitch_logic(plan())(None)
    step(logic, *(visit("form_submit", at, form="connect") for at in range(KEPT + 9)))
    from_visitor = [each.timestamp for _, each in batch(logic, merged(HOUR)).users if isinstance(each, Event)]
    assert from_visitor == [START + at for at in range(9, KEPT + 9)]


@pytest.mark.parametrize("at", range(4))
def test_a_restart_anywhere_changes_nothing(at: int) -> None:
    arrivals: list[Event | VisitorMerged] = [
        visit("form_submit", 1, form="connect"),
        visit("identify", 2, traits={"persona": "analyst"}),
        merged(3),
        visit("track", 4),
    ]
    plain, broken = stitch_logic(plan())(None), stitch_logic(plan())(None)
    for index, each in enumerate(arrivals):
        if index == at:
            broken = stitch_logic(plan())(broken.snapshot())
        went_on, whole = batch(broken, each), batch(plain, each)
        assert (went_on.arrivals, went_on.users) == (whole.arrivals, whole.users)
    assert broken.snapshot() == plain.snapshot()


def test_a_visitor_who_asks_to_be_forgotten_is() -> None:
    logic = stitch_logic(plan())(None)
    step(logic, visit("identify", 1, traits={"persona": "analyst"}), visit("user_deleted", 2))
    assert read(logic.snapshot()) == Visitor()
    assert batch(logic, merged(HOUR)).users == [(NEW, merged(HOUR))]


def test_what_a_visitor_did_counts_for_the_user_even_if_it_is_older_than_the_bound() -> None:
    logic, life = stitch_logic(plan())(None), Life()
    step(logic, visit("form_submit", 0, form="connect"))
    life.see(signup(9 * DAY))
    life.see(*(each for _, each in batch(logic, merged(9 * DAY)).users if isinstance(each, Event)))
    assert life.done == {"connect": 0}


def test_a_damaged_snapshot_of_a_visitor_is_refused_in_words() -> None:
    data = stitch_logic(plan())(None).snapshot()
    with pytest.raises(SnapshotError, match="version 09"):
        read(b"\x09" + data[1:])
    with pytest.raises(SnapshotError, match="damaged"):
        read(data[:1])
