"""The chains of one tenant: visitors that are named by visitors, and to whom each of them belongs.

Merges of visitors may come in any order, so the answer to "whose is this visitor?" needs all of them in one place. Visitors that name each
other form a *group*: one person. Its *root* is the user to whom it belongs; before there is one, the visitor that named the others. Only
visitors that take part in such a merge are here, each with about 130 bytes, and with fifty more once it was deleted. The snapshot holds
digests only.

A deletion reaches whoever the merges until then connect with the visitor, in whatever order merges and deletions arrive. A merge that is
refused brings no deletion, unless it is a circular one.
"""

from __future__ import annotations

from typing import Final

import msgspec

from state.person.arrivals import SeenAsUser, VisitorDeleted, VisitorMerged
from state.person.link import REFUSED_OTHER, REFUSED_USER, Chaining, refuse, visitor_deleted
from state.snapshot_codec import SnapshotCodec

MOST: Final = 256
"""Visitors of one group, and of one user. More are no person's devices, but an id that many people share."""
REFUSED_CIRCULAR: Final = "merge_circular"
"""The visitor already belongs to the one that it names, or names itself."""
REFUSED_MANY: Final = "merge_too_many"
"""The group or the user would have more than ``MOST`` visitors."""
_MOST_MERGES: Final = 2 * MOST
"""Merges kept of one group. Each visitor brings one, and a late one may be between two that are connected by later ones."""


class Chains(msgspec.Struct, gc=False, array_like=True):
    """All groups. ``roots``: visitor → root, the roots left out. ``groups``: root → its visitors. ``users``: the roots that are users.

    ``deleted``: visitor → when it was last deleted, by itself or with its group. Deletions and merges take ways of their own, and a merge
    from before a deletion may arrive after it. ``merges``: root → who was named by whom in its group, and when; not of a user's. A group
    of an older release has none: its visitors count as named before everything else.
    """

    roots: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    users: dict[str, bool] = {}
    deleted: dict[str, int] = {}
    merges: dict[str, list[tuple[str, str, int]]] = {}

    def take(self, arrival: Chaining) -> list[VisitorMerged | VisitorDeleted]:
        """Take an input that concerns a chained visitor. Return what follows for visitors."""
        if isinstance(arrival, VisitorMerged):
            return self._merge(arrival)
        if isinstance(arrival, SeenAsUser):
            return list(self._see_as_user(arrival))
        return list(self._delete(arrival))

    def _merge(self, merged: VisitorMerged) -> list[VisitorMerged | VisitorDeleted]:
        named, namer = self._root(merged.key), merged.into_key
        if merged.into_anonymous:
            namer = self._root(namer)
        reason = self._refusal(merged, named, namer)
        if reason not in ("", REFUSED_CIRCULAR):
            return [refuse(merged, reason)]
        late = self._late(merged, named, namer)  # before the merge, which then hands nothing on
        self._keep(merged, named, namer)
        if reason:
            return [*late, refuse(merged, reason)]
        if named == namer:
            return [*late, self._into(namer, merged.key, merged)]
        root, other = (named, namer) if named in self.users else (namer, named)
        joining = [other, *self.groups.pop(other, ())]
        if not merged.into_anonymous:
            self.users[root] = True
        self.groups[root] = self.groups.get(root, []) + joining
        self.roots.update(dict.fromkeys(joining, root))
        return [*late, *(self._into(root, visitor, merged) for visitor in joining)]

    def _refusal(self, merged: VisitorMerged, named: str, namer: str) -> str:
        """Why the merge of these two roots changes nothing; empty where it is accepted."""
        if named == merged.key and named in self.users:
            return REFUSED_USER
        if named == namer:
            return REFUSED_CIRCULAR if named == merged.key else ""
        if named in self.users and (namer in self.users or not merged.into_anonymous):
            return REFUSED_OTHER
        return REFUSED_MANY if len(self.groups.get(named, ())) + len(self.groups.get(namer, ())) >= MOST else ""

    def _late(self, merged: VisitorMerged, named: str, namer: str) -> list[VisitorDeleted]:
        """The deletions of one side that came after the merge of visitors, and arrived before it: they reach the other side too."""
        if self._of_user(merged, named, namer):
            return []
        told: list[VisitorDeleted] = []
        into = namer if namer != named else ""
        for deleted, other, into_key in ((merged.key, merged.into_key, ""), (merged.into_key, merged.key, into)):
            if merged.timestamp <= (at := self.deleted.get(deleted, 0)):
                told += self._delete_with(other, at, merged, into_key=into_key)
        return told

    def _keep(self, merged: VisitorMerged, named: str, namer: str) -> None:
        """Keep when two visitors were connected, unless earlier merges say so. A user's visitors are not deleted by way of each other."""
        if self._of_user(merged, named, namer):
            self.merges.pop(named, None)
            self.merges.pop(namer, None)
        elif merged.into_key not in self._connected(merged.key, merged.timestamp):
            kept = self._merges(namer) + (self._merges(named) if named != namer else [])
            self.merges.pop(named, None)
            self.merges[namer] = [*kept, (merged.key, merged.into_key, merged.timestamp)][-_MOST_MERGES:]

    def _of_user(self, merged: VisitorMerged, named: str, namer: str) -> bool:
        return not merged.into_anonymous or named in self.users or namer in self.users

    def _merges(self, root: str) -> list[tuple[str, str, int]]:
        return self.merges.get(root) or [(each, root, 0) for each in self.groups.get(root, ())]

    def _connected(self, visitor: str, at: int) -> set[str]:
        """The visitor and whoever the merges until ``at`` connect with it."""
        found, merges = {visitor}, [(named, namer) for named, namer, when in self._merges(self._root(visitor)) if when <= at]
        while reached := {each for pair in merges if (pair[0] in found) != (pair[1] in found) for each in pair}:
            found |= reached
        return found

    def _see_as_user(self, seen: SeenAsUser) -> list[VisitorMerged]:
        """An id turned out to be a user's: it leaves its group; where it is the root, the group's visitors are that user's."""
        root = self.roots.pop(seen.key, "")
        if root:
            self.groups[root].remove(seen.key)
            if not self.groups[root]:
                del self.groups[root]
                self.merges.pop(root, None)
        self.users[seen.key] = True
        self.merges.pop(seen.key, None)
        self.deleted.pop(seen.key, 0)
        return [
            VisitorMerged(
                tenant=seen.tenant,
                key=visitor,
                user="",
                into=seen.user,
                into_key=seen.key,
                timestamp=seen.timestamp,
                log_time=seen.log_time,
                partition=seen.partition,
                seq=seen.seq,
            )
            for visitor in self.groups.get(seen.key, ())
        ]

    def _delete(self, deletion: VisitorDeleted) -> list[VisitorDeleted]:
        """A visitor was deleted, and with it those of its group. A user's are reached by way of the user (``state/person/identity.py``)."""
        told = self._delete_with(deletion.key, deletion.timestamp, deletion)
        return [each for each in told if each.into_key or each.key != deletion.key]  # a root knows of its own

    def _delete_with(self, key: str, at: int, cause: VisitorMerged | VisitorDeleted, *, into_key: str = "") -> list[VisitorDeleted]:
        """Delete ``key`` and whoever was connected with it at ``at``, but for those who were deleted then or later.

        ``into_key``: into whom the root of the group is about to be merged, empty where it stays the person.
        """
        root = self._root(key)
        if root in self.users or at <= self.deleted.get(key, 0):
            return []
        connected = self._connected(key, at)
        gone = [each for each in (root, *self.groups.get(root, ())) if each in connected and self.deleted.get(each, 0) < at]
        self.deleted.update(dict.fromkeys(gone, at))
        return [visitor_deleted(cause, at, key=each, into_key=into_key if each == root else root) for each in gone]

    def _root(self, key: str) -> str:
        return self.roots.get(key, key)

    def _into(self, root: str, visitor: str, merged: VisitorMerged) -> VisitorMerged:
        return msgspec.structs.replace(
            merged,
            key=visitor,
            user=merged.user if visitor == merged.key else "",
            into=merged.into if root == merged.into_key else "",
            into_key=root,
            into_anonymous=root not in self.users,
        )


CHAINS_CODEC: Final = SnapshotCodec(Chains, "the snapshot of a tenant's chains", version=1)
