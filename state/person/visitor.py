"""A visitor: what an anonymous id did that may count later, for the user the visitor turns out to be.

Kept are only events that are evidence of a step or carry traits, and at most ``KEPT`` of them, the newest. Once the visitor is merged
nothing is kept but the user's stream key, a digest: the user's id stands in ``state/person/identity.py`` until the user is deleted.
Snapshot: one version byte, then the MessagePack array of ``Visitor``'s fields in order.
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
    """One visitor. ``into`` is the stream key of the user that the visitor was merged into, empty until then."""

    into: str = ""
    events: list[Event] = []


class Stitcher:
    """The rules of stitching for one plan. Methods change the visitor given."""

    def __init__(self, plan: Plan) -> None:
        self._plan: Final = plan

    def keep(self, visitor: Visitor, event: Event) -> None:
        """Remember a visitor's event, where it may count for the user later."""
        if event.type == "user_deleted":
            visitor.events = []
        elif event.type in ("signup", "identify") or self._plan.rules(event.type, event.name, event.payload):
            visitor.events = [*visitor.events[1 - KEPT :], msgspec.structs.replace(event, raw_payload=b"{}", traceparent="")]

    def merge(self, visitor: Visitor, merged: VisitorMerged) -> list[Event]:
        """The visitor became a user: return the remembered events as that user's, once.

        They take the place of the merge in the input. A visitor who is already merged stays with the first user.
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
    """Write a visitor down."""
    return bytes([VERSION]) + _encoder.encode(visitor)


def decode(data: bytes) -> Visitor:
    """Read a visitor back. Raises ``SnapshotError``."""
    if data[:1] != bytes([VERSION]):
        raise SnapshotError(f"a visitor's snapshot has version {data[:1].hex()}, this release reads {VERSION:02x}")
    try:
        return _decoder.decode(memoryview(data)[1:])
    except msgspec.DecodeError as error:
        raise SnapshotError(f"a visitor's snapshot is damaged: {error}") from error
