"""What arrives at a person's key beside events: timers, and news about who a visitor is."""

from __future__ import annotations

import msgspec

from state.events import Event


class TimerDue(msgspec.Struct, frozen=True, gc=False):
    """The log time of the person's partition has reached ``at``: run every timer that is due by then."""

    at: int
    seq: int


class VisitorMerged(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """To a visitor's key: from ``timestamp`` on this visitor is the user ``into``, who lives under the stream key ``into_key``."""

    tenant: str
    user: str
    into: str
    into_key: str
    timestamp: int
    log_time: int
    partition: int
    seq: int


class VisitorDeleted(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """To a visitor's key: the user under ``into_key``, whom this visitor was merged into, was deleted at ``timestamp``."""

    tenant: str
    user: str
    into_key: str
    timestamp: int
    log_time: int
    partition: int
    seq: int


Arrival = Event | VisitorMerged | VisitorDeleted | TimerDue
"""Everything that ``track`` takes in."""
