"""A visitor: the events of an anonymous id that may count later, for the user into whom the visitor is merged.

Only events that are evidence of a step or carry traits are kept, at most ``KEPT`` of them, the newest. After the merge only the user's
stream key, a digest, is kept: the user's id is in ``state/person/identity.py`` until the user is deleted. Snapshot: one version byte, then
the MessagePack array of ``Visitor``'s fields in order.
"""

from __future__ import annotations

from typing import Final

import msgspec

from state.catalog.plan import Plan
from state.events import Event
from state.person.arrivals import VisitorMerged
from state.person.snapshot import SnapshotError

KEPT: Final = 64
VERSION: Final = 1


class Visitor(msgspec.Struct, gc=False, array_like=True):
    """One visitor. ``into`` is the stream key of the user into whom the visitor was merged, empty until then."""

    into: str = ""
    events: list[Event] = []


class Stitcher:
    """The rules of merging for one plan. Methods change the given visitor."""

    def __init__(self, plan: Plan) -> None:
        self._plan: Final = plan

    def keep(self, visitor: Visitor, event: Event) -> None:
        """Keep a visitor's event where it may count for the user later."""
        if event.type == "user_deleted":
            visitor.events = []
        elif event.type in ("signup", "identify") or self._plan.rules(event.type, event.name, event.payload):
            visitor.events = [*visitor.events[1 - KEPT :], msgspec.structs.replace(event, raw_payload=b"{}", traceparent="")]

    def merge(self, visitor: Visitor, merged: VisitorMerged) -> list[Event]:
        """The visitor became a user: return the kept events as that user's. A visitor who is already merged stays with the first user.

        The events take the place of the merge in the input.
        """
        if visitor.into:
            return []
        from_visitor = [
            msgspec.structs.replace(
                event,
                user=merged.into,
                anonymous=False,
                from_visitor=True,
                log_time=merged.log_time,
                seq=merged.seq,
                partition=merged.partition,
            )
            for event in visitor.events
        ]
        visitor.into, visitor.events = merged.into_key, []
        return from_visitor


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Visitor)


def encode(visitor: Visitor) -> bytes:
    """Encode a visitor."""
    return bytes([VERSION]) + _encoder.encode(visitor)


def decode(data: bytes) -> Visitor:
    """Decode a visitor. Raises ``SnapshotError``."""
    if data[:1] != bytes([VERSION]):
        raise SnapshotError(f"a visitor's snapshot has version {data[:1].hex()}, this release reads {VERSION:02x}")
    try:
        return _decoder.decode(memoryview(data)[1:])
    except msgspec.DecodeError as error:
        raise SnapshotError(f"a visitor's snapshot is damaged: {error}") from error
