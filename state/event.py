"""One valid event. ``state/decode.py`` makes it of a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Event(msgspec.Struct, gc=False):
    """One valid event, with its place in the input.

    ``timestamp`` is event time, ``log_time`` the time of the log that carried it; both in milliseconds. ``raw_payload`` is the payload
    as it was sent; events with the same one may share their ``payload``. ``seq`` orders the events of one source partition.
    ``anonymous``: ``user`` is an ``anonymousId``. ``from_visitor``: the event was sent and recorded under an anonymous id. That visitor was
    merged, and the event now counts for the user. ``visitor_seen`` is then the time of that visitor's first event, 0 where it is not known.
    ``recorded_as``: the id of its row where that is not ``user``'s: a merged visitor sent it, with the time of the merge or one before.
    """

    tenant: str
    user: str
    anonymous: bool
    id: str
    session: str
    type: str
    name: str
    payload: Mapping[str, Any]
    raw_payload: bytes
    timestamp: int
    log_time: int
    partition: int
    offset: int
    seq: int
    traceparent: str
    from_visitor: bool = False
    visitor_seen: int = 0
    recorded_as: str = ""
