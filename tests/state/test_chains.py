"""Links and chains: whoever is named by whom, in whatever order, each visitor belongs to one person, and to the user if there is one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.events import Event
from state.person.arrivals import SeenAsUser, VisitorDeleted, VisitorMerged
from state.person.chains import CHAINS_CODEC, MOST, Chains
from state.person.link import LINK_CODEC, Link, Merging, in_input_order, seen_as_user
from state.snapshot_codec import SnapshotError
from tests.state.lives import KEYS, START, anonymously, event

Merge = tuple[str, str]
"""(who is named, who names). Names with a ``u`` are users."""


def key(name: str) -> str:
    return KEYS.stream_key("t", name)


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
        self.seq = 0

    def merge(self, *merges: Merge) -> None:
        """Take merges in this order."""
        for named, namer in merges:
            self.names |= {key(each): each for each in (named, namer)}
            self.seq += 1
            anonymous = not namer.startswith("u")
            merged = VisitorMerged(
                tenant="t",
                key=key(named),
                user=named,
                into=namer,
                into_key=key(namer),
                into_anonymous=anonymous,
                timestamp=START + self.seq,
                log_time=START + self.seq,
                partition=0,
                seq=self.seq,
            )
            self._take([(key(named), merged), *([(key(namer), merged)] if anonymous else [])])

    def sign_in(self, name: str) -> None:
        """The id is used as a ``userId``."""
        self.names[key(name)] = name
        self.seq += 1
        self._take([(key(name), seen_as_user(event("track", self.seq, user=name), key=key(name), user=name))])

    def delete(self, name: str) -> list[str]:
        """A visitor asks to be forgotten: the names of the others that are."""
        self.deleted = []
        self._take([(key(name), anonymously(event("user_deleted", self.seq, user=name)))])
        return sorted(self.deleted)

    def restart(self) -> None:
        """Write everything down and read it back."""
        self.links = {name: LINK_CODEC.decode(LINK_CODEC.encode(each)) for name, each in self.links.items()}
        self.chains = CHAINS_CODEC.decode(CHAINS_CODEC.encode(self.chains))

    def _take(self, arrivals: Sequence[tuple[str, Merging]]) -> None:
        inside: list[tuple[str, Merging]] = []
        for at, arrival in arrivals:
            visitors, chained = self.links.setdefault(at, Link()).take(at, arrival)
            self._tell(visitors)
            inside += [(at if isinstance(each, Event) else each.key, each) for each in chained]
        for at, arrival in sorted(inside, key=lambda each: in_input_order(each[1])):
            self._tell(self.chains.take(at, arrival))

    def _tell(self, told: Iterable[Merging | VisitorDeleted]) -> None:
        for each in told:
            if isinstance(each, VisitorDeleted):
                self.deleted.append(self.names[each.key])
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
    assert found.delete("c1") == found.delete("c3") == ["c1", "c2"]
    assert found.delete("lonely") == []
    found.merge(("c2", "u1"))
    assert found.delete("c1") == [], "the user's deletion reaches them"


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
    assert msgspec.structs.asdict(Chains()) == {"roots": {}, "groups": {}, "users": {}}
