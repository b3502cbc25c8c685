"""A visitor: the events of an anonymous id that may count later, for the person into whom the visitor is merged.

Only events that are evidence of a step or carry traits or preferences are kept, at most ``KEPT`` of them, the newest. They are kept while
the visitor may be handed on: until it is merged into a user, or its id turns out to be a user's. After the merge only the person's stream
key, a digest, is kept: the user's id is in ``state/person/identity.py`` until the user is deleted.
"""

from __future__ import annotations

from typing import Final

import msgspec

from state.catalog.plan import Plan
from state.event import Event
from state.person.arrivals import VisitorMerged
from state.snapshot_codec import SnapshotCodec
from state.vocabulary import USER_DELETED

KEPT: Final = 64
_ABOUT_THE_PERSON: Final = frozenset({"signup", "identify", "preferences_changed"})


class Visitor(msgspec.Struct, gc=False, array_like=True):
    """One visitor. ``key``: its stream key; ``into``: that of the person into whom it was merged, empty until then.

    ``settled``: nothing more will be handed on, because that person is a user, or because this id is. ``deleted_at``: the time of the
    last deletion, 0 for none. ``first_seen``: the time of the first event of any kind; 0 once there is nothing to hand on, and for events
    kept by a release that did not know it. ``merged_at``: the time of the event that merged it, the earliest of several; 0 until then,
    after a deletion, and for a visitor whom such a release merged.
    """

    key: str = ""
    into: str = ""
    settled: bool = False
    events: list[Event] = []
    deleted_at: int = 0
    first_seen: int = 0
    merged_at: int = 0

    def delete(self, at: int) -> None:
        """The visitor was deleted at ``at``: forget the events, and keep none from before it that come late. A repetition has no effect."""
        if at > self.deleted_at:
            self.forget()
            self.merged_at = 0  # a later deletion is of whom it became, and would not find rows under its own id
            self.deleted_at = at

    def leave(self) -> None:
        """The id is a user's: it is nobody's visitor."""
        self.into, self.settled, self.merged_at = "", True, 0
        self.forget()

    def sent(self, event: Event) -> Event:
        """An event that the merged visitor sent, for whom it became. One from before the merge was recorded under the visitor's id, should
        it be a repetition; so that is where its row belongs. It is so with one of the time of the merge, which was perhaps sent with it.

        Not after the visitor was deleted: rows under its id are not erased with the user then.
        """
        if event.timestamp > self.merged_at or self.deleted_at:
            return event
        return msgspec.structs.replace(event, recorded_as=event.user)

    def forget(self) -> None:
        """Nothing of what the visitor did so far will be handed on again."""
        self.events, self.first_seen = [], 0


class Stitcher:
    """The rules of merging for one plan. Methods change the given visitor."""

    def __init__(self, plan: Plan) -> None:
        self._plan: Final = plan

    def keep(self, visitor: Visitor, event: Event) -> None:
        """Keep a visitor's event where it may count for the person later."""
        if event.type == USER_DELETED:
            visitor.delete(event.timestamp)
        if visitor.settled or event.timestamp <= visitor.deleted_at:
            return
        if visitor.first_seen or not visitor.events:
            visitor.first_seen = min(visitor.first_seen or event.timestamp, event.timestamp)
        if event.type in _ABOUT_THE_PERSON or self._plan.rules(event.type, event.name, event.payload):
            kept = [*visitor.events, msgspec.structs.replace(event, raw_payload=b"{}", traceparent="")]
            if len(kept) > KEPT:  # a refusal outlasts what came after it
                del kept[next((place for place, each in enumerate(kept) if each.type != "preferences_changed"), 0)]
            visitor.events = kept

    def merge(self, visitor: Visitor, merged: VisitorMerged) -> list[Event]:
        """The visitor is this person from now on: return the kept events as that person's. A repeated merge hands nothing on.

        The events take the place of the merge in the input. Their ``user`` is empty where only the person's key is known.
        """
        repeated = bool(visitor.into) and visitor.into == merged.into_key
        from_visitor = [
            msgspec.structs.replace(
                event,
                user=merged.into,
                anonymous=merged.into_anonymous,
                from_visitor=True,
                visitor_seen=min(visitor.first_seen, event.timestamp),
                log_time=merged.log_time,
                seq=merged.seq,
                partition=merged.partition,
            )
            for event in (() if repeated else visitor.events)
        ]
        visitor.into, visitor.settled = merged.into_key, not merged.into_anonymous
        visitor.merged_at = min(visitor.merged_at or merged.timestamp, merged.timestamp)
        if visitor.settled:
            visitor.forget()
        return from_visitor


VISITOR_CODEC: Final = SnapshotCodec(Visitor, "a visitor's snapshot", version=2)
