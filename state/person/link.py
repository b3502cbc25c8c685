"""The link of one id: into whom it was merged, so that later merges that name it can be judged.

An id without merges has no link. A visitor that takes part in a merge of visitors is *chained*: ``state/person/chains.py`` knows the rest
about it. The snapshot holds digests only.
"""

from __future__ import annotations

from typing import Final

import msgspec

from state.event import Event
from state.person.arrivals import SeenAsUser, VisitorDeleted, VisitorMerged
from state.snapshot_codec import SnapshotCodec

REFUSED_USER: Final = "merge_refused"
"""The id is a ``userId`` and therefore nobody's visitor."""
REFUSED_OTHER: Final = "merge_other_user"
"""The visitor already belongs to another user."""

Merging = VisitorMerged | SeenAsUser | Event
"""What concerns the merges of an id. An ``Event`` is a visitor's ``user_deleted``."""
Chaining = VisitorMerged | SeenAsUser | VisitorDeleted
"""What concerns the chains. A ``VisitorDeleted`` says that the visitor was deleted by itself."""


class Link(msgspec.Struct, gc=False, array_like=True):
    """One id. ``key``: its stream key; ``into``: that of the user whose visitor it is; ``user``: it was seen as a ``userId``.

    ``deleted_at``: the time of the last deletion that the visitor sent, 0 for none.
    """

    key: str = ""
    into: str = ""
    chained: bool = False
    user: bool = False
    deleted_at: int = 0

    def take(self, key: str, arrival: Merging) -> tuple[list[Merging], list[Chaining]]:
        """Take an input of the id under ``key``. Return what the visitor must know at once, and what is a matter for the chains."""
        self.key = key
        if isinstance(arrival, VisitorMerged):
            return self._name(arrival) if key == arrival.into_key else self._merge(arrival)
        if isinstance(arrival, SeenAsUser):
            if self.user:
                return [], []
            self.user, self.into, self.deleted_at = True, "", 0
            return [arrival], [arrival] if self.chained else []
        if not self.user:
            self.deleted_at = max(self.deleted_at, arrival.timestamp)
        return [arrival], [visitor_deleted(arrival, arrival.timestamp, key=key, into_key="")] if self.chained else []

    def _name(self, arrival: VisitorMerged) -> tuple[list[Merging], list[Chaining]]:
        """This visitor names another as its earlier id."""
        chains = self._chain(arrival)
        if self.user:
            chains.append(seen_as_user(arrival, key=arrival.into_key, user=arrival.into))
        return [], chains

    def _merge(self, arrival: VisitorMerged) -> tuple[list[Merging], list[Chaining]]:
        """Somebody names this id as their earlier one."""
        if self.user:
            return [refuse(arrival, REFUSED_USER)], []
        if arrival.into_anonymous or self.chained:
            return [], [*self._chain(arrival), arrival]
        if self.into not in ("", arrival.into_key):
            return [refuse(arrival, REFUSED_OTHER)], []
        self.into = arrival.into_key
        return [arrival], []

    def _chain(self, arrival: VisitorMerged) -> list[Chaining]:
        """Join the chains, and tell them when this visitor was deleted and to whom it belongs already."""
        if self.chained:
            return []
        self.chained = True
        before: list[Chaining] = []
        if self.deleted_at:
            before.append(visitor_deleted(arrival, self.deleted_at, key=self.key, into_key=""))
        if self.into:
            before.append(msgspec.structs.replace(arrival, key=self.key, user="", into="", into_key=self.into, into_anonymous=False))
            self.into = ""
        return before


def refuse(merged: VisitorMerged, reason: str) -> VisitorMerged:
    """The same merge, which changes nothing but the count of ``reason``."""
    return msgspec.structs.replace(merged, refused=reason)


def in_input_order(arrival: Merging | Chaining) -> tuple[int, int]:
    """Sort key: input order; of one input first what was before it, then the merge."""
    return arrival.seq, isinstance(arrival, VisitorMerged) and 1 + arrival.into_anonymous


def visitor_deleted(cause: Event | VisitorMerged | VisitorDeleted, at: int, *, key: str, into_key: str) -> VisitorDeleted:
    """The deletion of the visitor under ``key`` at ``at``, which follows from ``cause``."""
    return VisitorDeleted(
        tenant=cause.tenant,
        key=key,
        into_key=into_key,
        timestamp=at,
        log_time=cause.log_time,
        partition=cause.partition,
        seq=cause.seq,
    )


def seen_as_user(cause: Event | VisitorMerged, *, key: str, user: str) -> SeenAsUser:
    """The news that ``cause`` brings: the id under ``key`` is the user ``user``."""
    return SeenAsUser(
        tenant=cause.tenant,
        key=key,
        user=user,
        timestamp=cause.timestamp,
        log_time=cause.log_time,
        partition=cause.partition,
        seq=cause.seq,
    )


LINK_CODEC: Final = SnapshotCodec(Link, "the snapshot of a link", version=1)
