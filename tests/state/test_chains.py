"""Links and chains: whoever is named by whom, in whatever order, each visitor belongs to one person, and to the user if there is one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.person.arrivals import SeenAsUser, VisitorDeleted, VisitorMerged
from state.person.chains import CHAINS_CODEC, MOST, Chains
from state.person.link import LINK_CODEC, Chaining, Link, Merging, in_input_order, seen_as_user, visitor_deleted
from state.snapshot_codec import SnapshotError
from tests.state.lives import KEYS, START, anonymously, event

Merge = tuple[str, str]
"""(who is named, who names). Names with a ``u`` are users."""


def key(name: str) -> str:
    return KEYS.stream_key("t", name)


def merge_of(named: str, namer: str, *, at: int, seq: int = 0) -> VisitorMerged:
    """``namer`` names ``named`` as an earlier id."""
    return VisitorMerged(
        tenant="t",
        key=key(named),
        user=named,
        into=namer,
        into_key=key(namer),
        into_anonymous=not namer.startswith("u"),
        timestamp=START + at,
        log_time=START + at,
        partition=0,
        seq=seq,
    )


class World:
    """The links and chains of a tenant. ``owner``: what visitors were told, by name; ``refused``: reasons, in order."""

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}
        self.chains = Chains()
        self.names: dict[str, str] = {}
        self.owner: dict[str, str] = {}
        self.final: set[str] = set()
        self.refused: list[str] = []
        self.deleted: list[str] = []
        self.deletions: dict[str, int] = {}
        self.seq = 0

    def merge(self, *merges: Merge, at: int | None = None) -> None:
        """Take merges in this order. They happened ``at`` ms after the beginning, else now."""
        for named, namer in merges:
            self.names |= {key(each): each for each in (named, namer)}
            self.seq += 1
            merged = merge_of(named, namer, at=self.seq if at is None else at, seq=self.seq)
            self._take([(key(named), merged), *([(key(namer), merged)] if merged.into_anonymous else [])])

    def sign_in(self, name: str) -> None:
        """The id is used as a ``userId``."""
        self.names[key(name)] = name
        self.seq += 1
        self._take([(key(name), seen_as_user(event("track", self.seq, user=name), key=key(name), user=name))])

    def delete(self, name: str, at: int | None = None) -> list[str]:
        """A visitor asks to be forgotten: the names of whom the chains tell so. It happened ``at`` ms after the beginning, else now."""
        self.names[key(name)] = name
        self.deleted = []
        self._take([(key(name), anonymously(event("user_deleted", self.seq if at is None else at, user=name)))])
        return sorted(self.deleted)

    def restart(self) -> None:
        """Write everything down and read it back."""
        self.links = {name: LINK_CODEC.decode(LINK_CODEC.encode(each)) for name, each in self.links.items()}
        self.chains = CHAINS_CODEC.decode(CHAINS_CODEC.encode(self.chains))

    def _take(self, arrivals: Sequence[tuple[str, Merging]]) -> None:
        inside: list[Chaining] = []
        for at, arrival in arrivals:
            visitors, chained = self.links.setdefault(at, Link()).take(at, arrival)
            self._tell(visitors)
            inside += chained
        for each in sorted(inside, key=in_input_order):
            self._tell(self.chains.take(each))

    def _tell(self, told: Iterable[Merging | VisitorDeleted]) -> None:
        for each in told:
            if isinstance(each, VisitorDeleted):
                self.deleted.append(self.names[each.key])
                self.deletions[self.names[each.key]] = each.timestamp - START
            elif isinstance(each, SeenAsUser):
                self.owner.pop(self.names[each.key], None)
            elif isinstance(each, VisitorMerged) and each.refused:
                self.refused.append(each.refused)
            elif isinstance(each, VisitorMerged):
                name = self.names[each.key]
                assert each.user in ("", name)
                assert each.into in ("", self.names[each.into_key])
                assert name not in self.final or self.owner[name] == self.names[each.into_key], "a user's visitor stays the user's"
                self.owner[name] = self.names[each.into_key]
                if not each.into_anonymous:
                    self.final.add(name)


def world(*merges: Merge) -> World:
    made = World()
    made.merge(*merges)
    return made


@pytest.mark.parametrize("order", list(permutations([("c1", "c2"), ("c2", "c3"), ("c3", "c4"), ("c4", "u1")])))
def test_a_chain_belongs_to_its_user_in_every_order_of_the_merges(order: tuple[Merge, ...]) -> None:
    found = world(*order)
    assert found.owner == dict.fromkeys(["c1", "c2", "c3", "c4"], "u1")
    assert found.refused == []
    found.merge(*order)  # again
    assert (found.owner, found.refused) == (dict.fromkeys(["c1", "c2", "c3", "c4"], "u1"), [])


def test_before_there_is_a_user_the_visitor_that_names_the_others_is_the_person() -> None:
    assert world(("c1", "c2"), ("c2", "c3")).owner == world(("c2", "c3"), ("c1", "c2")).owner == {"c1": "c3", "c2": "c3"}


def test_whoever_names_a_users_visitor_as_an_earlier_id_is_that_user_too() -> None:
    for order in permutations([("c1", "u1"), ("c1", "c2")]):
        assert world(*order).owner == {"c1": "u1", "c2": "u1"}


def test_a_circle_is_counted_and_changes_nothing() -> None:
    found = world(("c5", "c4"), ("c4", "c5"))
    assert (found.owner, found.refused) == ({"c5": "c4"}, ["merge_circular"])
    found.merge(("c4", "u1"), ("c4", "c5"), ("c5", "c4"))
    assert found.owner == {"c4": "u1", "c5": "u1"}
    longer = world(("c1", "c2"), ("c2", "c3"), ("c3", "c1"))
    assert (longer.owner, longer.refused) == ({"c1": "c3", "c2": "c3"}, ["merge_circular"])


def test_a_visitor_stays_with_the_first_user_and_so_does_its_chain() -> None:
    for order in ([("c1", "u1"), ("c1", "u2")], [("c1", "c2"), ("c2", "u1"), ("c1", "u2")], [("c1", "u1"), ("c2", "u2"), ("c1", "c2")]):
        found = world(*order)
        assert found.owner["c1"] == "u1"
        assert found.refused == ["merge_other_user"]


def test_an_id_that_is_a_users_is_nobodys_visitor_in_either_order() -> None:
    for chained in ([], [("c0", "x")], [("x", "c0")]):
        after, before = world(*chained, ("x", "u8")), world(*chained)
        after.sign_in("x")
        before.sign_in("x")
        before.merge(("x", "u8"))
        assert "x" not in after.owner
        assert "x" not in before.owner
        assert before.refused == ["merge_refused"]
        after.merge(("x", "u8"))
        after.sign_in("x")
        assert ("x" in after.owner, after.refused) == (False, ["merge_refused"])


def test_a_visitor_that_is_named_by_an_id_that_is_a_users_belongs_to_that_user() -> None:
    early, late = world(("c1", "x")), World()
    early.sign_in("x")
    late.sign_in("x")
    late.merge(("c1", "x"))
    for found in (early, late):
        assert (found.owner, found.final) == ({"c1": "x"}, {"c1"})
        found.merge(("c1", "u1"))
        assert (found.owner, found.refused) == ({"c1": "x"}, ["merge_other_user"])


def test_the_deletion_of_a_visitor_reaches_its_chain_and_no_user() -> None:
    found = world(("c1", "c2"), ("c2", "c3"), ("d1", "d2"))
    assert found.delete("c1") == ["c1", "c2", "c3"], "the person of the chain, too"
    assert found.delete("c1", at=3) == found.delete("c2", at=3) == [], "a repetition"
    found.seq += 1
    assert found.delete("c3") == ["c1", "c2"], "it knows of its own"
    assert found.delete("lonely") == []
    found.merge(("c2", "u1"))
    assert found.delete("c1") == [], "the user's deletion reaches them"


@pytest.mark.parametrize("named", [True, False], ids=["of whom it names", "of whom it is named by"])
@pytest.mark.parametrize("chained", [True, False])
def test_a_merge_from_before_the_deletion_of_a_visitor_brings_it_to_the_other_side(named: bool, chained: bool) -> None:
    """Whether the deleted one took part in a merge before or not; and not to those who joined it after the deletion."""
    found = world(*((("c0", "gone"),) if chained else ()), ("c1", "c2"))
    found.seq = 10
    found.delete("gone")
    found.restart()
    found.merge(("later", "gone"))
    found.deleted = []
    late = ("gone", "c1") if named else ("c1", "gone")
    found.merge(late, at=5)
    assert sorted(found.deleted) == ["c1", "c2"]
    found.merge(late, at=5)
    assert sorted(found.deleted) == ["c1", "c2"], "a repetition deletes nobody else"


def test_a_deletion_that_overtakes_the_merge_reaches_the_visitor_that_was_merged() -> None:
    """They take different ways: with several workers the chains may meet the deletion first."""
    chains = world(("c1", "c2")).chains
    cause = event("user_deleted", 9)
    assert chains.take(visitor_deleted(cause, START + 9, key=key("c2"), into_key="")) != []
    ((told, _), (merged, _)) = ((each, each.key) for each in chains.take(merge_of("c3", "c2", at=8)))
    assert isinstance(told, VisitorDeleted)
    assert (told.key, told.timestamp) == (key("c3"), START + 9)
    assert isinstance(merged, VisitorMerged)
    assert [type(each) for each in chains.take(merge_of("c4", "c2", at=10))] == [VisitorMerged]


def test_a_merge_that_is_refused_brings_no_deletion() -> None:
    """An id that many people share: none of them is the one who was deleted."""
    found = world(*(("kiosk", f"c{number}") for number in range(MOST)))
    assert found.refused == []
    found.seq = 1_000
    found.delete("gone")
    found.merge(("kiosk", "gone"), at=900)
    assert (found.deleted, found.refused) == ([], ["merge_too_many"])


def test_whoever_joined_after_the_deletion_stays() -> None:
    for late in (False, True):
        found = world(*(() if late else (("c1", "gone"),)), ("c0", "c1"))
        found.names[key("gone")] = "gone"
        if late:
            found.delete("gone", at=10)
        found.merge(("c1", "later"), at=20)
        found.restart()
        if late:
            found.merge(("c1", "gone"), at=5)
        else:
            found.delete("gone", at=10)
        assert sorted(set(found.deleted) - {"gone"}) == ["c0", "c1"]


def test_a_circular_merge_from_before_the_deletion_brings_it() -> None:
    found = world(("c2", "c3"))
    found.delete("c3", at=9)
    found.merge(("c2", "c1"), at=12)
    found.merge(("c1", "c2"), at=5)
    assert (found.refused, sorted(found.deleted)) == (["merge_circular"], ["c1", "c2"])
    early = world(("c2", "c3"))
    early.merge(("c2", "c1"), at=12)
    early.merge(("c1", "c2"), at=5)
    early.restart()
    assert early.delete("c3", at=9) == ["c1", "c2", "c3"]


@pytest.mark.parametrize("chained", [True, False])
def test_whom_a_late_merge_deletes_knows_into_whom_it_was_merged(chained: bool) -> None:
    """Should the id turn out to be a user's, that user was never deleted."""
    chains = Chains()
    if chained:
        chains.take(merge_of("c0", "x", at=1))
    chains.take(visitor_deleted(event("user_deleted", 9), START + 9, key=key("gone"), into_key=""))
    told = [each for each in chains.take(merge_of("x", "gone", at=5)) if isinstance(each, VisitorDeleted)]
    expected = {key("x"): key("gone")} | ({key("c0"): key("x")} if chained else {})
    assert {each.key: each.into_key for each in told} == expected


def test_the_merges_kept_of_a_group_are_bounded_and_a_users_are_not_kept() -> None:
    found, names = World(), [f"c{number}" for number in range(60)]
    for at, (one, other) in enumerate((pair for pair in permutations(names, 2)), start=1):
        found.merge((one, other), at=10_000 - at)
    assert sum(map(len, found.chains.merges.values())) == 2 * MOST
    found.merge(("c0", "u1"))
    assert found.chains.merges == {}


def test_in_a_group_of_an_older_release_all_are_deleted_together() -> None:
    found = world(("c1", "c2"), ("c2", "c3"))
    found.chains.merges = {}
    found.merge(("c4", "c3"))
    assert found.delete("c1", at=10) == ["c1", "c2", "c3", "c4"]


def test_a_late_merge_with_a_user_deletes_nothing_of_the_user() -> None:
    found = world(("c1", "c2"), ("c2", "u1"))
    found.seq = 10
    found.delete("gone")
    found.merge(("gone", "c1"), at=5)
    assert found.deleted == []
    assert found.owner["gone"] == "u1"


def test_an_id_that_is_a_users_was_not_deleted_as_a_visitor() -> None:
    found = world(("c1", "x"))
    found.seq = 10
    found.delete("x")
    found.sign_in("x")
    found.deleted = []
    found.merge(("c2", "x"), at=5)
    assert (found.deleted, found.owner["c2"]) == ([], "x")
    assert key("x") not in found.chains.deleted


def test_an_id_that_too_many_share_gathers_no_more_and_each_is_counted() -> None:
    found = world(*((f"c{number}", "hub") for number in range(MOST + 3)))
    assert len(found.owner) == MOST
    assert found.refused == ["merge_too_many"] * 3


def test_nothing_is_kept_of_a_merge_that_changes_nothing() -> None:
    found = world(("c1", "c2"), ("c2", "u1"))
    sizes = len(CHAINS_CODEC.encode(found.chains)), len(found.links)
    for number in range(50):
        found.merge(("c1", "c2"), ("c2", "c1"), ("c1", f"u{number}"), ("c2", "u1"))
    assert (len(CHAINS_CODEC.encode(found.chains)), len(found.links)) == sizes
    assert b"c1" not in CHAINS_CODEC.encode(found.chains)


_visitor = st.sampled_from([f"c{number}" for number in range(6)])
_merges = st.lists(st.tuples(_visitor, _visitor), max_size=9)


def groups_of(merges: Iterable[Merge]) -> list[set[str]]:
    """The reference: who is connected, directly or not."""
    groups: list[set[str]] = []
    for pair in merges:
        joined = set(pair).union(*(group for group in groups if group & set(pair)))
        groups = [group for group in groups if not group & joined] + [joined]
    return groups


@given(_merges, st.randoms(use_true_random=False))
def test_whoever_is_connected_to_a_user_belongs_to_that_user_in_any_order(drawn: list[Merge], rng: Any) -> None:
    visitors = [merge for merge in drawn if merge[0] != merge[1]]
    users = [(min(group), f"u{number}") for number, group in enumerate(groups_of(visitors))]
    merges = visitors + users
    rng.shuffle(merges)
    found = World()
    for merge in merges:
        found.merge(merge)
        if rng.random() < 0.3:
            found.restart()
    for group, (_, user) in zip(groups_of(visitors), users, strict=True):
        assert {found.owner.get(name) for name in group} == {user}
    assert set(found.refused) <= {"merge_circular"}


@given(
    _merges,
    st.lists(st.tuples(st.sampled_from([f"c{n}" for n in range(6)]), st.sampled_from(["u1", "u2", "u3"])), max_size=6),
    st.randoms(),
)
def test_a_user_never_loses_a_visitor_to_another_however_they_are_named(drawn: list[Merge], named: list[Merge], rng: Any) -> None:
    merges = [merge for merge in drawn if merge[0] != merge[1]] + named
    rng.shuffle(merges)
    found = world(*merges)  # ``World`` asserts it at every step
    assert set(found.chains.roots.values()) == set(found.chains.groups)
    assert sum(map(len, found.chains.groups.values())) == len(found.chains.roots)


@st.composite
def deletions(draw: st.DrawFn) -> tuple[list[tuple[int, Merge]], list[tuple[int, str]]]:
    """Merges of visitors, also circular ones, and deletions of visitors, all at different times."""
    names = [f"c{number}" for number in range(draw(st.integers(2, 7)))]
    merges = draw(st.lists(st.tuples(st.sampled_from(names), st.sampled_from(names)), max_size=9))
    gone = draw(st.lists(st.sampled_from(names), max_size=3))
    times = draw(st.permutations(range(1, len(merges) + len(gone) + 1)))
    return list(zip(times, merges, strict=False)), list(zip(times[len(merges) :], gone, strict=True))


def deleted_in_order(merges: list[tuple[int, Merge]], gone: list[tuple[int, str]]) -> dict[str, int]:
    """The reference: until when each visitor is deleted."""
    found: dict[str, int] = {}
    for at, name in sorted(gone):
        joined = [group for group in groups_of(pair for when, pair in merges if when < at) if name in group]
        found |= dict.fromkeys(joined[0] if joined else {name}, at)
    return found


@given(deletions(), st.booleans(), st.randoms(use_true_random=False))
def test_a_deletion_reaches_whoever_was_the_same_visitor_in_any_order(
    drawn: tuple[list[tuple[int, Merge]], list[tuple[int, str]]], in_order: bool, rng: Any
) -> None:
    merges, gone = drawn
    inputs: list[tuple[int, Merge | str]] = sorted([*merges, *gone], key=lambda each: each[0])
    if not in_order:
        rng.shuffle(inputs)
    found, deleted = World(), dict[str, int]()
    for at, what in inputs:
        found.deleted, found.deletions = [], {}
        if isinstance(what, str):
            found.delete(what, at)
            found.deletions[what] = max(at, found.deletions.get(what, 0))
        else:
            found.merge(what, at=at)
        deleted |= {name: max(when, deleted.get(name, 0)) for name, when in found.deletions.items()}
        if rng.random() < 0.3:
            found.restart()
    assert deleted == deleted_in_order(merges, gone)


def test_damaged_snapshots_are_refused_in_words() -> None:
    found = world(("c1", "c2"))
    for data, read in (
        (CHAINS_CODEC.encode(found.chains), CHAINS_CODEC.decode),
        (LINK_CODEC.encode(found.links[key("c1")]), LINK_CODEC.decode),
    ):
        with pytest.raises(SnapshotError, match=r"version 9, .*newer release: upgrade"):
            read(b"\x09" + data[1:])
        with pytest.raises(SnapshotError, match="damaged"):
            read(data[:1])


def test_new_chains_share_nothing() -> None:
    one = world(("c1", "c2")).chains
    assert Chains() != one
    assert msgspec.structs.asdict(Chains()) == {"roots": {}, "groups": {}, "users": {}, "deleted": {}, "merges": {}}
