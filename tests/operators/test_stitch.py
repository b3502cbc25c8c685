"""stitch: what a visitor did before signing in counts once for the user that the visitor turns out to be."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import msgspec
import pytest

from operators.link import AddressedArrival, VisitorIds
from operators.stitch import Stitched, StitchLogic
from operators.stitch import stitch_logic as build
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.duration import DAY, HOUR, MINUTE
from state.event import Event
from state.person.arrivals import SeenAsUser, VisitorDeleted, VisitorMerged
from state.person.link import refuse, seen_as_user
from state.person.visitor import KEPT, VISITOR_CODEC, Visitor
from state.snapshot_codec import SnapshotError
from tests.state.lives import KEYS, START, Life, event, plan, signup, visitor_merged

OLD, NEW = KEYS.stream_key("t", "cookie"), KEYS.stream_key("t", "ana")


def stitch_logic(of: Plan, ids: VisitorIds | None = None) -> Callable[[bytes | None], StitchLogic]:
    return build(ByTenant(of), VisitorIds() if ids is None else ids)


def visit(kind: str, at: int, **payload: object) -> Event:
    made = event(kind, at, user="cookie", **payload)  # type: ignore[arg-type]  # a payload
    return msgspec.structs.replace(made, anonymous=True)


def merged(at: int) -> VisitorMerged:
    return visitor_merged(at, user="cookie", seq=77, partition=2)


def batch(logic: StitchLogic, *arrivals: Event | VisitorMerged | VisitorDeleted | SeenAsUser) -> Stitched:
    lists, discard = logic.on_batch([(OLD, each) for each in arrivals])
    assert discard is False
    (stitched,) = lists
    return stitched


def step(logic: StitchLogic, *arrivals: Event | VisitorMerged | VisitorDeleted | SeenAsUser) -> list[AddressedArrival]:
    return batch(logic, *arrivals).arrivals


def to_users(stitched: Stitched) -> list[tuple[str, Event | VisitorMerged | SeenAsUser]]:
    """What passes through ``identify``; it is told from which visitor each comes."""
    assert {visitor for _, _, visitor in stitched.users} <= {OLD}
    return [(key, each) for key, each, _ in stitched.users]


def test_a_visitors_evidence_is_handed_on_under_the_users_key_at_the_merge() -> None:
    logic = stitch_logic(plan())(None)
    seen = [visit("form_submit", 1, form="connect"), visit("page_view", 2, path="/pricing")]
    assert step(logic, *seen) == [(OLD, each) for each in seen]
    stitched = batch(logic, merged(HOUR))
    assert stitched.arrivals == [], "identify tells the visitor of the merge, unless it refuses it"
    (_, merge), (key, event) = to_users(stitched)
    assert merge == merged(HOUR)
    assert isinstance(event, Event)
    assert key == NEW
    assert (event.user, event.anonymous, event.from_visitor, event.timestamp) == ("ana", False, True, START + 1)
    assert (event.log_time, event.seq, event.partition) == (START + HOUR, 77, 2)


def test_a_refusal_is_handed_on_too() -> None:
    life = Life()
    _, (_, refusal) = to_users(batch(stitch_logic(plan())(None), visit("preferences_changed", 1, guidance=False), merged(HOUR)))
    assert isinstance(refusal, Event)
    life.see(signup(user="ana"), refusal)
    assert life.person is not None
    assert life.person.guidance is False


def test_a_refusal_outlasts_whatever_the_visitor_did_after_it() -> None:
    logic = stitch_logic(plan())(None)
    step(logic, visit("preferences_changed", 1, guidance=False))
    step(logic, *(visit("form_submit", 2 + number, form="connect") for number in range(2 * KEPT)))
    _, *handed = to_users(batch(logic, merged(HOUR)))
    assert len(handed) == KEPT
    kinds = [each.type for _, each in handed if isinstance(each, Event)]
    assert kinds == ["preferences_changed", *["form_submit"] * (KEPT - 1)]


def test_it_is_handed_on_once() -> None:
    logic = stitch_logic(plan())(None)
    step(logic, visit("form_submit", 1, form="connect"), merged(HOUR))
    assert to_users(batch(logic, merged(2 * HOUR))) == [(NEW, merged(2 * HOUR))]


def test_what_the_device_still_sends_under_its_old_id_follows() -> None:
    logic = stitch_logic(plan())(None)
    step(logic, merged(HOUR))
    sent = visit("form_submit", 2 * HOUR, form="connect")
    stitched = batch(logic, sent)
    assert (stitched.arrivals, to_users(stitched)) == ([], [(NEW, sent)])  # identify knows the user's id


def test_what_comes_after_the_merge_with_a_time_from_before_it_belongs_to_the_rows_of_the_visitor() -> None:
    logic = stitch_logic(plan())(None)
    step(logic, merged(HOUR), merged(2 * HOUR))
    logic = stitch_logic(plan())(logic.snapshot())
    sent = [visit("page_view", at, path="/") for at in (HOUR - 1, HOUR, HOUR + 1)]
    found = [each for _, each in to_users(batch(logic, *sent)) if isinstance(each, Event)]
    assert [each.recorded_as for each in found] == ["cookie", "cookie", ""]


def test_the_key_of_a_visitor_merged_into_another_learns_its_id_where_rows_will_have_it() -> None:
    """Chains tell a merge without the id, and a deletion must find these rows."""
    logic = stitch_logic(plan())(None)
    step(logic, msgspec.structs.replace(merged(HOUR), user="", into_anonymous=True))
    found = step(logic, visit("page_view", HOUR - 1, path="/"), visit("page_view", HOUR + 1, path="/"))
    assert [key for key, _ in found] == [OLD, NEW, NEW]
    told = found[0][1]
    assert isinstance(told, VisitorMerged)
    assert (told.user, told.into, told.into_key, told.into_anonymous) == ("cookie", "", NEW, True)


def test_a_merge_into_a_visitor_changes_nothing_once_the_visitor_is_a_users() -> None:
    """With several workers it may come last."""
    logic = stitch_logic(plan())(None)
    step(logic, merged(HOUR))
    into_phone = visitor_merged(HOUR, user="cookie", into="phone", seq=78, partition=1)
    stitched = batch(logic, msgspec.structs.replace(into_phone, into_anonymous=True), visit("form_submit", 2 * HOUR, form="connect"))
    assert (stitched.arrivals, [key for key, _ in to_users(stitched)]) == ([], [NEW])


@pytest.mark.parametrize("into_anonymous", [True, False], ids=["a visitor", "a user"])
def test_what_comes_with_a_time_from_before_the_visitors_deletion_stays_with_the_visitor(into_anonymous: bool) -> None:
    logic = stitch_logic(plan())(None)
    step(logic, visit("user_deleted", HOUR), msgspec.structs.replace(merged(2 * HOUR), into_anonymous=into_anonymous))
    late = [visit("form_submit", 1, form="connect"), visit("user_deleted", HOUR)]
    stitched = batch(logic, *late)
    assert (stitched.arrivals, stitched.users) == ([(OLD, each) for each in late], [])


def test_what_a_deleted_visitor_sends_after_a_merge_belongs_to_the_rows_of_the_user() -> None:
    """Rows under its id are not erased with the user: the visitor is deleted already."""
    logic = stitch_logic(plan())(None)
    step(logic, visit("user_deleted", MINUTE), merged(HOUR))
    (_, sent) = to_users(batch(logic, visit("page_view", HOUR - 1, path="/")))[-1]
    assert isinstance(sent, Event)
    assert sent.recorded_as == ""


def test_a_user_hears_of_each_merge_of_their_visitors_and_of_none_that_is_refused() -> None:
    logic, other = stitch_logic(plan())(None), refuse(visitor_merged(2 * HOUR, user="cookie", into="ben"), "merge_other_user")
    assert to_users(batch(logic, merged(HOUR))) == [(NEW, merged(HOUR))]
    told = batch(logic, other)
    assert (to_users(told), told.arrivals) == ([], [(OLD, other)])  # track counts it
    assert to_users(batch(logic, merged(3 * HOUR))) == [(NEW, merged(3 * HOUR))]


def into_phone(at: int) -> VisitorMerged:
    made = visitor_merged(at, user="cookie", into="phone", seq=50)
    return msgspec.structs.replace(made, into_anonymous=True)


PHONE = KEYS.stream_key("t", "phone")


def test_what_was_handed_to_another_visitor_is_handed_on_to_the_user_who_that_is() -> None:
    logic = stitch_logic(plan())(None)
    step(logic, visit("form_submit", 1, form="connect"))
    to_phone = batch(logic, into_phone(2))
    assert [(key, each.user, each.from_visitor) for key, each in to_users(to_phone) if isinstance(each, Event)] == [(PHONE, "phone", True)]
    ((key, sent),) = step(logic, visit("form_submit", 3, form="invite"))
    assert isinstance(sent, Event)
    assert (key, sent.user, sent.anonymous, sent.from_visitor) == (PHONE, "", True, False)
    to_user = [(key, each.timestamp) for key, each in to_users(batch(logic, merged(HOUR))) if isinstance(each, Event)]
    assert to_user == [(NEW, START + 1), (NEW, START + 3)]
    assert VISITOR_CODEC.decode(logic.snapshot()) == Visitor(OLD, NEW, settled=True, merged_at=START + 2)


def test_a_visitor_is_forgotten_with_the_visitor_that_it_was_merged_into() -> None:
    logic = stitch_logic(plan())(None)
    gone = VisitorDeleted(tenant="t", key=OLD, into_key=PHONE, timestamp=START + 4, log_time=START + 4, partition=0, seq=60)
    step(logic, visit("form_submit", 1, form="connect"), into_phone(2))
    assert step(logic, gone) == [(OLD, gone)]
    assert VISITOR_CODEC.decode(logic.snapshot()) == Visitor(OLD, PHONE, deleted_at=START + 4)


def test_an_id_that_is_a_users_leaves_the_user_who_named_it_and_hands_nothing_on() -> None:
    ids = VisitorIds()
    logic = stitch_logic(plan(), ids)(None)
    step(logic, visit("form_submit", 1, form="connect"), merged(HOUR))
    seen = seen_as_user(msgspec.structs.replace(visit("track", 2 * HOUR), seq=80), key=OLD, user="cookie")
    assert to_users(batch(logic, seen)) == [(NEW, seen)]
    own = msgspec.structs.replace(visit("form_submit", 3 * HOUR, form="connect"), seq=90)
    logic = stitch_logic(plan(), ids)(logic.snapshot())
    assert step(logic, own) == [(OLD, own)]
    assert VISITOR_CODEC.decode(logic.snapshot()) == Visitor(OLD, settled=True)


def test_after_a_restart_a_user_under_a_visitors_id_is_noticed() -> None:
    before, after = stitch_logic(plan())(None), VisitorIds()
    step(before, visit("page_view", 1, path="/"))
    users = event("track", 2, user="cookie")
    assert after.take([(OLD, users)]) == []
    stitch_logic(plan(), after)(before.snapshot())
    assert after.take([(OLD, visit("track", 2)), (NEW, users)]) == []
    assert after.take([(OLD, users)]) == [(OLD, seen_as_user(users, key=OLD, user="cookie"))]
    assert after.take([(OLD, users)]) == []


def test_a_merged_visitor_keeps_no_id_and_no_evidence() -> None:
    logic = stitch_logic(plan())(None)
    step(logic, visit("form_submit", 1, form="connect"), merged(HOUR), visit("form_submit", 2 * HOUR, form="connect"))
    assert VISITOR_CODEC.decode(logic.snapshot()) == Visitor(OLD, NEW, settled=True, merged_at=START + HOUR)
    assert b"ana" not in logic.snapshot()
    assert b"cookie" not in logic.snapshot()


def test_what_does_not_concern_a_visitor_passes_through() -> None:
    logic, bundle = stitch_logic(plan())(None), Stitched([("key", event("track"))])
    assert logic.on_batch([bundle]) == ([bundle], False)
    assert VISITOR_CODEC.decode(logic.snapshot()) == Visitor()


def test_only_the_newest_evidence_is_kept() -> None:
    logic = stitch_logic(plan())(None)
    step(logic, *(visit("form_submit", at, form="connect") for at in range(KEPT + 9)))
    from_visitor = [each.timestamp for _, each in to_users(batch(logic, merged(HOUR))) if isinstance(each, Event)]
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
    assert VISITOR_CODEC.decode(logic.snapshot()) == Visitor(OLD, deleted_at=START + 2)
    assert to_users(batch(logic, merged(HOUR))) == [(NEW, merged(HOUR))]


@pytest.mark.parametrize("as_user", [False, True])
def test_a_deletion_under_an_anonymous_id_reaches_the_visitors_of_the_user_with_this_id(as_user: bool) -> None:
    logic, deletion = stitch_logic(plan())(None), visit("user_deleted", 2)
    if as_user:
        step(logic, visit("page_view", 1, path="/"), seen_as_user(visit("track", 1), key=OLD, user="cookie"))
    stitched = batch(logic, deletion)
    assert stitched.arrivals == [(OLD, deletion)]
    assert stitched.users == [(OLD, msgspec.structs.replace(deletion, anonymous=False), "")]


@pytest.mark.parametrize("with_another", [False, True])
def test_what_a_visitor_did_before_its_deletion_is_not_kept_when_it_comes_late(with_another: bool) -> None:
    build = stitch_logic(plan())
    logic = build(None)
    step(logic, visit("identify", 1, traits={"persona": "analyst"}))
    if with_another:
        step(logic, VisitorDeleted(tenant="t", key=OLD, into_key=NEW, timestamp=START + 3, log_time=START + 3, partition=0, seq=0))
    else:
        step(logic, visit("user_deleted", 3))
    logic = build(logic.snapshot())
    step(logic, visit("user_deleted", 1), visit("identify", 2, traits={"persona": "builder"}))
    assert VISITOR_CODEC.decode(logic.snapshot()).events == []
    step(logic, visit("form_submit", 4, form="connect"))
    handed_on = [each for _, each in to_users(batch(logic, merged(HOUR))) if isinstance(each, Event)]
    assert [each.type for each in handed_on] == ["form_submit"]


def test_what_a_visitor_did_counts_for_the_user_even_if_it_is_older_than_the_bound() -> None:
    logic, life = stitch_logic(plan())(None), Life()
    step(logic, visit("form_submit", 0, form="connect"))
    life.see(signup(9 * DAY))
    life.see(*(each for _, each in to_users(batch(logic, merged(9 * DAY))) if isinstance(each, Event)))
    assert life.done == {"connect": 0}


def test_a_damaged_snapshot_of_a_visitor_is_refused_in_words() -> None:
    data = stitch_logic(plan())(None).snapshot()
    with pytest.raises(SnapshotError, match=r"version 9, .*newer release: upgrade"):
        VISITOR_CODEC.decode(b"\x09" + data[1:])
    with pytest.raises(SnapshotError, match="damaged"):
        VISITOR_CODEC.decode(data[:1])


def test_a_deletion_stays_after_the_merge_that_it_came_after_whatever_the_numbers() -> None:
    """The chains send both. The visitor who was deleted may be in another partition than the one that named the others."""
    chained = msgspec.structs.replace(merged(1), into_anonymous=True)
    deletion = VisitorDeleted(tenant="t", key=OLD, into_key=NEW, timestamp=START + 3, log_time=START + 3, partition=0, seq=5)
    assert step(stitch_logic(plan())(None), chained, deletion) == [(OLD, chained), (OLD, deletion)]
    assert step(stitch_logic(plan())(None), deletion, chained) == [(OLD, deletion), (OLD, chained)]


def test_what_passes_arrives_in_another_process_as_it_was_sent() -> None:
    here = Stitched(arrivals=[(NEW, signup())], users=[(NEW, merged(DAY), OLD)])
    there: Stitched = pickle.loads(pickle.dumps(here))
    assert (there.arrivals, there.users, there.ticks) == (here.arrivals, here.users, here.ticks)
