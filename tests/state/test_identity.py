"""The identity of a user: which visitors were merged into them, and what a deletion makes of that."""

from __future__ import annotations

from copy import deepcopy

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.duration import HOUR
from state.event import Event
from state.person.arrivals import VisitorDeleted, VisitorMerged
from state.person.chains import MOST
from state.person.identity import IDENTITY_CODEC, Identity
from state.person.link import seen_as_user
from state.snapshot_codec import SnapshotError
from tests.state.lives import KEYS, START, anonymously, event, visitor_merged

KEY = KEYS.stream_key("t", "ana")


def deletion(at: int) -> Event:
    return event("user_deleted", at, user="ana")


def deleted(visitor: str, at: int, log: int | None = None) -> VisitorDeleted:
    return VisitorDeleted(
        tenant="t",
        key=KEYS.stream_key("t", visitor),
        into_key=KEY,
        timestamp=START + at,
        log_time=START + (at if log is None else log),
        partition=0,
        seq=0,
    )


def known() -> Identity:
    identity = Identity()
    for merged in (visitor_merged(1, user="cookie"), visitor_merged(2, user="phone")):
        assert identity.merge(merged) == [merged]
    return identity


def test_an_event_of_a_merged_visitor_is_the_users() -> None:
    own = known().own(anonymously(event("track", 3, user="cookie")), "cookie")
    assert (own.user, own.anonymous, own.type, own.timestamp) == ("ana", False, "track", START + 3)


def test_a_deletion_reaches_every_visitor_and_forgets_all_ids() -> None:
    identity = known()
    identity.merge(visitor_merged(3, user="cookie"))  # again
    assert identity.delete(deletion(HOUR), KEY) == [deleted("cookie", HOUR), deleted("phone", HOUR)]
    assert identity == Identity(deleted_at=START + HOUR)
    data = IDENTITY_CODEC.encode(identity)
    assert not [each for each in (b"ana", b"cookie", b"phone") if each in data]


def test_a_repeated_or_older_deletion_changes_nothing() -> None:
    identity = known()
    identity.delete(deletion(HOUR), KEY)
    identity.merge(visitor_merged(2 * HOUR, user="tablet"))
    before = deepcopy(identity)
    for at in (HOUR, HOUR - 1):
        assert identity.delete(deletion(at), KEY) == []
        assert identity == before
    assert identity.delete(deletion(3 * HOUR), KEY) == [deleted("tablet", 3 * HOUR)]


def test_a_merge_from_before_the_deletion_that_arrives_late_deletes_the_visitor_and_keeps_no_id() -> None:
    identity = known()
    identity.delete(deletion(HOUR), KEY)
    for at in (HOUR - 1, HOUR):
        late = visitor_merged(at, user="tablet")
        assert identity.merge(late) == [late, deleted("tablet", HOUR, at)]
    assert identity == Identity(deleted_at=START + HOUR)


def test_a_merge_after_the_deletion_counts_and_brings_no_id_back() -> None:
    identity = known()
    identity.delete(deletion(HOUR), KEY)
    again = visitor_merged(HOUR + 1, user="cookie")
    assert identity.merge(again) == [again]
    assert identity == Identity(visitors=[KEYS.stream_key("t", "cookie")], deleted_at=START + HOUR)
    assert identity.delete(deletion(2 * HOUR), KEY) == [deleted("cookie", 2 * HOUR)]


def test_a_visitor_whose_id_is_another_users_is_forgotten() -> None:
    identity = known()
    cookie = KEYS.stream_key("t", "cookie")
    for _ in range(2):
        identity.leave(seen_as_user(visitor_merged(HOUR), key=cookie, user="cookie"))
    assert identity.delete(deletion(HOUR), KEY) == [deleted("phone", HOUR)]


def test_a_visitor_that_is_merged_by_way_of_another_brings_no_id() -> None:
    identity = known()
    tablet = msgspec.structs.replace(visitor_merged(3, user=""), key="tablet", into="")
    assert identity.merge(tablet) == [tablet]
    assert (identity.user, identity.visitors[-1]) == ("ana", "tablet")


def test_what_a_visitor_sends_after_the_deletion_names_no_user() -> None:
    identity = known()
    identity.delete(deletion(HOUR), KEY)
    assert identity.own(anonymously(event("signup", 2 * HOUR, user="cookie")), "cookie").user == ""


def test_a_repetition_keeps_the_row_that_it_has_until_the_deletion_forgets_the_visitor() -> None:
    identity, key = known(), KEYS.stream_key("t", "cookie")
    repeated = msgspec.structs.replace(anonymously(event("track", 1, user="cookie")), recorded_as="cookie")
    assert identity.own(repeated, key).recorded_as == "cookie"
    identity.delete(deletion(HOUR), KEY)
    assert identity.own(repeated, key).recorded_as == "", "the next deletion would not find it there"


def crowd() -> Identity:
    """A user with as many visitors as there may be, and one more who was refused."""
    identity = Identity()
    for number in range(MOST):
        identity.merge(visitor_merged(1, user=f"visitor {number}"))
    before = IDENTITY_CODEC.encode(identity)
    assert [each.refused for each in identity.merge(visitor_merged(2, user="cookie")) if isinstance(each, VisitorMerged)] == [
        "merge_too_many"
    ]
    assert len(IDENTITY_CODEC.encode(identity)) == len(before)
    return identity


def test_a_visitor_too_many_is_refused_and_what_it_sends_is_its_own() -> None:
    cookie, known_one = (KEYS.stream_key("t", name) for name in ("cookie", "visitor 0"))
    for identity in (crowd(), IDENTITY_CODEC.decode(IDENTITY_CODEC.encode(crowd()))):
        assert (identity.has(cookie), identity.has(known_one)) == (False, True)
        again = visitor_merged(3, user="visitor 0")
        assert identity.merge(again) == [again], "a repetition changes nothing"
        assert len(identity.delete(deletion(HOUR), KEY)) == MOST
        assert identity == Identity(deleted_at=START + HOUR, full=True), "nobody knows any more whose visitors the others are"


def test_a_visitor_who_leaves_makes_room() -> None:
    identity = crowd()
    identity.leave(seen_as_user(visitor_merged(HOUR), key=KEYS.stream_key("t", "visitor 0"), user="visitor 0"))
    again = visitor_merged(HOUR, user="cookie")
    assert identity.merge(again) == [again]
    assert identity.has(again.key)


def test_an_identity_of_an_earlier_release_is_read_and_keeps_all_its_visitors() -> None:
    visitors = [KEYS.stream_key("t", f"visitor {number}") for number in range(2 * MOST)]
    identity = IDENTITY_CODEC.decode(b"\x02" + msgspec.msgpack.encode(["ana", visitors, 0]))
    assert identity == Identity("ana", visitors)
    identity.merge(visitor_merged(1, user="cookie"))
    assert (identity.has(visitors[-1]), identity.has(KEYS.stream_key("t", "cookie"))) == (True, False)
    assert [each.key for each in identity.delete(deletion(HOUR), KEY)] == visitors


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", "user_deleted"]), st.integers(0, 5)), max_size=12), st.integers(0, 12))
def test_a_restart_anywhere_changes_nothing(story: list[tuple[str, int]], at: int) -> None:
    plain, broken = Identity(), Identity()
    for index, (what, when) in enumerate(story):
        if index == at:
            broken = IDENTITY_CODEC.decode(IDENTITY_CODEC.encode(broken))
        results = [
            each.delete(deletion(when), KEY) if what == "user_deleted" else each.merge(visitor_merged(when, user=what))
            for each in (plain, broken)
        ]
        assert results[0] == results[1]
    assert IDENTITY_CODEC.decode(IDENTITY_CODEC.encode(broken)) == broken == plain


def test_new_identities_share_nothing() -> None:
    one, other = Identity(), Identity()
    one.merge(visitor_merged(1))
    assert other == Identity() == IDENTITY_CODEC.decode(IDENTITY_CODEC.encode(Identity()))


def test_a_damaged_snapshot_is_refused_in_words() -> None:
    data = IDENTITY_CODEC.encode(known())
    with pytest.raises(SnapshotError, match=r"version 9, .*newer release: upgrade"):
        IDENTITY_CODEC.decode(b"\x09" + data[1:])
    for cut in (1, len(data) - 1):
        with pytest.raises(SnapshotError, match="damaged"):
            IDENTITY_CODEC.decode(data[:cut])
    with pytest.raises(SnapshotError):
        IDENTITY_CODEC.decode(b"")
