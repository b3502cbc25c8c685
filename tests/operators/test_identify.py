"""identify: a merged visitor's events are the user's, and a user's deletion reaches every visitor that was merged into them."""

from __future__ import annotations

import msgspec
import pytest

from operators.identify import IdentityLogic
from operators.link import AddressedArrival
from state.duration import HOUR
from state.event import Event
from state.messages import Tick
from state.person.arrivals import VisitorDeleted, VisitorMerged
from state.person.chains import MOST
from state.person.identity import IDENTITY_CODEC, Identity
from tests.state.lives import KEYS, START, Life, anonymously, event, signup, visitor_merged

USER, COOKIE, PHONE = (KEYS.stream_key("t", user) for user in ("ana", "cookie", "phone"))


def logic(resume_state: bytes | None = None) -> IdentityLogic:
    return IdentityLogic(resume_state)


def step(of: IdentityLogic, *arrivals: Event | VisitorMerged) -> list[AddressedArrival]:
    lists, discard = of.on_batch([(USER, each, visitor_of(each)) for each in arrivals])
    assert discard == (IDENTITY_CODEC.decode(of.snapshot()) == Identity())
    return [each for passed in lists for each in passed if not isinstance(each, Tick)]


def visitor_of(arrival: Event | VisitorMerged) -> str:
    """The key of the visitor from whom it comes. What is handed on has the visitor in its session."""
    if isinstance(arrival, VisitorMerged):
        return arrival.key
    name = arrival.user if arrival.anonymous and not arrival.from_visitor else arrival.session
    return KEYS.stream_key("t", name) if name else ""


def told(of: IdentityLogic, *arrivals: Event | VisitorMerged) -> list[AddressedArrival]:
    """What follows beside the merges, each of which its visitor hears of."""
    found = step(of, *arrivals)
    merges = [(each.key, each) for each in arrivals if isinstance(each, VisitorMerged)]
    assert sorted(map(repr, merges)) == sorted(repr(each) for each in found if isinstance(each[1], VisitorMerged))
    return [each for each in found if not isinstance(each[1], VisitorMerged)]


def merged(at: int, visitor: str, seq: int = 10) -> VisitorMerged:
    return visitor_merged(at, user=visitor, seq=seq)


def sent(kind: str, at: int, visitor: str = "cookie") -> Event:
    return anonymously(event(kind, at, user=visitor))


def from_visitor(kind: str, at: int, seq: int = 10, visitor: str = "cookie") -> Event:
    return msgspec.structs.replace(event(kind, at, user="ana", session=visitor), from_visitor=True, seq=seq)


DELETED = msgspec.structs.replace(event("user_deleted", HOUR, user="ana"), seq=20)


def test_what_is_of_no_interest_passes_through_as_it_came() -> None:
    bundle: list[AddressedArrival] = [("a", event("track")), ("b", event("track", 1))]
    lane = logic()
    lists, discard = lane.on_batch([bundle])
    assert lists[0] is bundle
    assert (len(lists), discard, IDENTITY_CODEC.decode(lane.snapshot())) == (1, False, Identity())


def test_an_event_of_a_merged_visitor_goes_to_the_user() -> None:
    user = logic()
    assert step(user, merged(1, "cookie")) == [(COOKIE, merged(1, "cookie"))]
    ((key, own),) = step(user, sent("track", 2))
    assert isinstance(own, Event)
    assert (key, own.user, own.anonymous, own.from_visitor, own.timestamp) == (USER, "ana", False, False, START + 2)


def test_what_is_handed_on_at_a_merge_goes_to_the_user() -> None:
    first, second = (msgspec.structs.replace(from_visitor("track", 9 - offset), offset=offset) for offset in (4, 3))
    for order in ((first, second), (second, first)):  # of several visitors or files, whose offsets have no order: by event time
        assert told(logic(), *order, merged(5, "cookie")) == [(USER, first), (USER, second)]


def test_an_event_that_comes_after_the_merge_is_the_users_whatever_the_numbers_of_its_partition() -> None:
    """A visitor and its user may be in two partitions."""
    late = msgspec.structs.replace(sent("track", 2), partition=1, seq=4, recorded_as="cookie")
    (own,) = [each for _, each in step(logic(), merged(1, "cookie", 50), late) if isinstance(each, Event)]
    assert (own.user, own.recorded_as) == ("ana", "cookie")


def test_the_visitors_own_key_learns_its_id_where_rows_will_have_it() -> None:
    """Chains tell a merge without the id, and the deletion of the user must find these rows."""
    user = logic()
    step(user, msgspec.structs.replace(merged(1, "cookie"), user=""))
    late = msgspec.structs.replace(sent("track", 1), recorded_as="cookie")
    (told_key, again), (key, own) = step(user, late)
    assert isinstance(again, VisitorMerged)
    assert (told_key, again.user, again.into_key, again.into_anonymous) == (COOKIE, "cookie", USER, False)
    assert (key, isinstance(own, Event) and own.recorded_as) == (USER, "cookie")
    step(user, DELETED)
    ((key, _),) = step(user, late)
    assert key == USER, "after the deletion no row is under the visitor's id"


def test_a_merge_counts_before_or_after_a_deletion_as_their_partition_says() -> None:
    user = logic()
    step(user, merged(2 * HOUR, "phone", 30), DELETED, msgspec.structs.replace(sent("track", 3 * HOUR, "phone"), partition=1, seq=4))
    assert IDENTITY_CODEC.decode(user.snapshot()).visitors == [PHONE]


def test_what_is_handed_on_to_a_visitor_passes_and_leaves_no_state() -> None:
    handed_on = msgspec.structs.replace(anonymously(from_visitor("track", 1)), user="")
    user = logic()
    assert step(user, handed_on) == [(USER, handed_on)]
    assert IDENTITY_CODEC.decode(user.snapshot()) == Identity()


def test_what_is_handed_on_after_a_deletion_brings_no_id_back() -> None:
    user, life = logic(), Life()
    life.see(signup(user="ana"), DELETED)
    step(user, DELETED)
    found = told(user, merged(2 * HOUR, "phone", 32), from_visitor("signup", HOUR + 1, 32, "phone"))
    life.see(*(each for _, each in found if isinstance(each, Event)))
    assert life.person is not None
    assert (life.person.user, b"ana" in user.snapshot()) == ("", False)


def test_a_deletion_reaches_every_merged_visitor_and_is_not_passed_to_the_user_twice() -> None:
    user = logic()
    found = told(user, merged(1, "cookie"), merged(2, "phone"), DELETED)
    assert [(key, type(each), each.seq) for key, each in found] == [(COOKIE, VisitorDeleted, 20), (PHONE, VisitorDeleted, 20)]
    assert [each.timestamp for _, each in found if isinstance(each, VisitorDeleted)] == [START + HOUR] * 2
    data = user.snapshot()
    assert not [each for each in (b"ana", b"cookie", b"phone") if each in data]


def test_a_deletion_that_a_merged_visitor_sends_is_the_users() -> None:
    user = logic()
    step(user, merged(1, "cookie"), merged(2, "phone"))
    (own, *gone) = step(user, sent("user_deleted", HOUR))
    assert isinstance(own[1], Event)
    assert (own[0], own[1].user, own[1].type) == (USER, "ana", "user_deleted")
    assert [key for key, each in gone if isinstance(each, VisitorDeleted)] == [COOKIE, PHONE]


def test_a_repeated_deletion_changes_nothing() -> None:
    user = logic()
    step(user, merged(1, "cookie"), DELETED)
    before = user.snapshot()
    assert step(user, DELETED) == []
    assert user.snapshot() == before


def test_a_merge_that_arrives_after_the_deletion_deletes_the_visitor_and_hands_nothing_on() -> None:
    user = logic()
    step(user, DELETED)
    before = user.snapshot()
    found = told(user, merged(HOUR - 1, "cookie", 30), from_visitor("signup", HOUR + 1, 30), merged(2 * HOUR, "phone", 32))
    assert [(key, type(each), each.seq) for key, each in found] == [(COOKIE, VisitorDeleted, 30)]
    assert IDENTITY_CODEC.decode(user.snapshot()).visitors == [PHONE]
    again = logic(before)
    step(again, merged(HOUR - 1, "cookie", 30), from_visitor("signup", HOUR + 1, 30))
    assert again.snapshot() == before


def test_a_forwarded_signup_after_the_deletion_revives_nobody() -> None:
    user, life = logic(), Life()
    step(user, merged(1, "cookie"))
    life.see(signup(user="ana"))
    step(user, DELETED)
    life.see(DELETED)
    version = life.person.version if life.person is not None else 0
    ((key, own),) = step(user, sent("signup", 2 * HOUR))
    assert isinstance(own, Event)
    life.see(own)
    assert key == USER
    assert life.person is not None
    assert (life.person.user, life.person.deleted_at, life.person.version) == ("", START + HOUR, version)


def test_a_user_who_begins_anew_gets_the_events_of_their_old_visitor_under_their_name() -> None:
    user, life = logic(), Life()
    step(user, merged(1, "cookie"), DELETED)
    life.see(signup(user="ana"), DELETED, signup(2 * HOUR, ident="again", user="ana"))
    ((_, own),) = step(user, sent("track", 3 * HOUR))
    assert isinstance(own, Event)
    rows = life.see(own)
    assert {each.user_id for each in rows if hasattr(each, "user_id")} == {"ana"}


def test_a_visitor_too_many_is_told_so_and_stays_on_its_own() -> None:
    user = logic()
    step(user, *(merged(1, f"visitor {number}") for number in range(MOST)))
    (key, refusal), *handed_on = step(user, merged(2, "cookie"), from_visitor("signup", 1))
    assert isinstance(refusal, VisitorMerged)
    assert (key, refusal.refused, handed_on) == (COOKIE, "merge_too_many", [])
    for restarted in (user, logic(user.snapshot())):
        for kind in ("track", "user_deleted"):
            assert step(restarted, sent(kind, 3)) == [(COOKIE, sent(kind, 3))]
        ((key, own),) = step(restarted, sent("track", 3, "visitor 7"))
        assert (key, isinstance(own, Event) and own.user) == (USER, "ana")
    assert {key for key, _ in step(user, DELETED)} == {KEYS.stream_key("t", f"visitor {number}") for number in range(MOST)}
    assert step(user, sent("track", HOUR + 1)) == [(COOKIE, sent("track", HOUR + 1))], "it goes on as before"
    assert step(user, merged(2 * HOUR, "cookie", 40)) == [(COOKIE, merged(2 * HOUR, "cookie", 40))]
    ((key, _),) = step(user, sent("track", 3 * HOUR))
    assert key == USER


STORY: list[Event | VisitorMerged] = [
    merged(1, "cookie"),
    sent("track", 2),
    merged(3, "phone", 12),
    from_visitor("track", 2, 12, "phone"),
    DELETED,
    sent("signup", 2 * HOUR, "phone"),
    merged(HOUR - 1, "tablet", 30),
    merged(3 * HOUR, "watch", 32),
    sent("track", 4 * HOUR, "watch"),
    event("user_deleted", 5 * HOUR, user="ana"),
]


@pytest.mark.parametrize("at", range(len(STORY) + 1))
def test_a_restart_anywhere_changes_nothing(at: int) -> None:
    plain, broken = logic(), logic()
    for index, each in enumerate(STORY):
        if index == at:
            broken = logic(broken.snapshot())
        assert step(broken, each) == step(plain, each)
    assert logic(broken.snapshot()).snapshot() == plain.snapshot()
