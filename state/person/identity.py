"""The identity of a user: the visitors that were merged into them, so that a deletion reaches all of them.

A user without merged visitors has no identity. One has ``MOST`` visitors: more are refused, and what they send is their own. Visitors are
known by their stream keys. The user's id is here for the events of visitors until the first deletion; afterwards the person's own state has
it, if they signed up again.
"""

from __future__ import annotations

from typing import Final

import msgspec

from state.event import Event
from state.person.arrivals import SeenAsUser, VisitorDeleted, VisitorMerged
from state.person.chains import MOST, REFUSED_MANY
from state.person.link import refuse
from state.snapshot_codec import SnapshotCodec


class Identity(msgspec.Struct, gc=False, array_like=True):
    """One user: the id, the stream keys of the visitors merged into them, and the time of the last deletion.

    ``full``: a visitor was refused, so not all that visitors send here is the user's.
    """

    user: str = ""
    visitors: list[str] = []
    deleted_at: int = 0
    full: bool = False

    def merge(self, merged: VisitorMerged) -> list[VisitorMerged | VisitorDeleted]:
        """Remember the visitor. Return what it is told: the merge, refused where the visitor is one too many.

        A merge from before the last deletion arrived late: the visitor's deletion follows.
        """
        if merged.timestamp <= self.deleted_at and merged.key not in self.visitors:
            return [merged, _deleted(merged.key, merged.into_key, self.deleted_at, merged)]
        if merged.key not in self.visitors:
            if len(self.visitors) >= MOST:
                self.full = True
                return [refuse(merged, REFUSED_MANY)]
            self.visitors.append(merged.key)
        if not self.deleted_at:
            self.user = self.user or merged.into
        return [merged]

    def has(self, visitor: str) -> bool:
        """Whether what ``visitor`` sends is the user's, also where it was merged before a deletion."""
        return not self.full or visitor in self.visitors

    def leave(self, seen: SeenAsUser) -> None:
        """A merged visitor's id is another user's: forget it."""
        if seen.key in self.visitors:
            self.visitors.remove(seen.key)

    def own(self, event: Event, visitor: str) -> Event:
        """Return the event of a merged visitor as the user's. ``user`` is empty after a deletion, which also forgets the visitor: the next
        deletion would not find rows under the visitor's id.
        """
        recorded_as = event.recorded_as if visitor in self.visitors else ""
        return msgspec.structs.replace(event, user=self.user, anonymous=False, recorded_as=recorded_as)

    def delete(self, deletion: Event, key: str) -> list[VisitorDeleted]:
        """The user with the stream key ``key`` was deleted: forget all ids, and return the deletions of the visitors.

        A repetition of an earlier deletion changes nothing.
        """
        if deletion.timestamp <= self.deleted_at:
            return []
        deleted = [_deleted(visitor, key, deletion.timestamp, deletion) for visitor in self.visitors]
        self.user, self.visitors, self.deleted_at = "", [], deletion.timestamp
        return deleted


def _deleted(visitor: str, into_key: str, timestamp: int, cause: Event | VisitorMerged) -> VisitorDeleted:
    return VisitorDeleted(
        tenant=cause.tenant,
        key=visitor,
        into_key=into_key,
        timestamp=timestamp,
        log_time=cause.log_time,
        partition=cause.partition,
        seq=cause.seq,
    )


IDENTITY_CODEC: Final = SnapshotCodec(Identity, "the snapshot of an identity", version=2)
