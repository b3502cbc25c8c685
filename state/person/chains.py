"""The chains of one tenant: visitors that are named by visitors, and to whom each of them belongs.

Merges of visitors may come in any order, so the answer to "whose is this visitor?" needs all of them in one place. Visitors that name each
other form a *group*: one person. Its *root* is the user to whom it belongs; before there is one, the visitor that named the others. Only
visitors that take part in such a merge are here, each with about sixty bytes. The snapshot holds digests only.
"""

from __future__ import annotations

from typing import Final

import msgspec

from state.events import Event
from state.person.arrivals import SeenAsUser, VisitorDeleted, VisitorMerged
from state.person.link import REFUSED_OTHER, REFUSED_USER, Merging, refuse
from state.snapshot_codec import SnapshotCodec

MOST: Final = 256
"""Visitors of one group, and of one user. More are no person's devices, but an id that many people share."""
REFUSED_CIRCULAR: Final = "merge_circular"
"""The visitor already belongs to the one that it names, or names itself."""
REFUSED_MANY: Final = "merge_too_many"
"""The group or the user would have more than ``MOST`` visitors."""


class Chains(msgspec.Struct, gc=False, array_like=True):
    """All groups. ``roots``: visitor → root, the roots left out. ``groups``: root → its visitors. ``users``: the roots that are users."""

    roots: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    users: dict[str, bool] = {}

    def take(self, key: str, arrival: Merging) -> list[VisitorMerged | VisitorDeleted]:
        """Take an input that concerns the chained visitor ``key``. Return what follows for visitors."""
        if isinstance(arrival, VisitorMerged):
            return list(self._merge(arrival))
        if isinstance(arrival, SeenAsUser):
            return list(self._see_as_user(arrival))
        return list(self._delete(key, arrival))

    def _merge(self, merged: VisitorMerged) -> list[VisitorMerged]:
        named, namer = self._root(merged.key), merged.into_key
        if merged.into_anonymous:
            namer = self._root(namer)
        if named == merged.key and named in self.users:
            return [refuse(merged, REFUSED_USER)]
        if named == namer:
            return [refuse(merged, REFUSED_CIRCULAR) if named == merged.key else self._into(namer, merged.key, merged)]
        if named in self.users and (namer in self.users or not merged.into_anonymous):
            return [refuse(merged, REFUSED_OTHER)]
        root, other = (named, namer) if named in self.users else (namer, named)
        joining = [other, *self.groups.get(other, ())]
        group = self.groups.get(root, [])
        if len(group) + len(joining) > MOST:
            return [refuse(merged, REFUSED_MANY)]
        if not merged.into_anonymous:
            self.users[root] = True
        self.groups.pop(other, None)
        self.groups[root] = group + joining
        self.roots.update(dict.fromkeys(joining, root))
        return [self._into(root, visitor, merged) for visitor in joining]

    def _see_as_user(self, seen: SeenAsUser) -> list[VisitorMerged]:
        """An id turned out to be a user's: it leaves its group; where it is the root, the group's visitors are that user's."""
        root = self.roots.pop(seen.key, "")
        if root:
            self.groups[root].remove(seen.key)
            if not self.groups[root]:
                del self.groups[root]
        self.users[seen.key] = True
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

    def _delete(self, key: str, deletion: Event) -> list[VisitorDeleted]:
        """A visitor was deleted, and with it those of its group. A user's are reached by way of the user (``state/person/identity.py``)."""
        root = self._root(key)
        if root in self.users:
            return []
        return [
            VisitorDeleted(
                tenant=deletion.tenant,
                key=visitor,
                into_key=root,
                timestamp=deletion.timestamp,
                log_time=deletion.log_time,
                partition=deletion.partition,
                seq=deletion.seq,
            )
            for visitor in self.groups.get(root, ())
        ]

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
