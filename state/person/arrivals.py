"""The inputs of a person's key beside events: timers, merges of visitors, and deletions."""

from __future__ import annotations

import msgspec

from state.events import Event


class TimerDue(msgspec.Struct, frozen=True, gc=False):
    """The log time of the person's partition has reached ``at``: run every timer that is due by then."""

    at: int
    seq: int


class VisitorMerged(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Sent to a visitor's key: from ``timestamp`` on this visitor is the user ``into``, whose stream key is ``into_key``."""

    tenant: str
    user: str
    into: str
    into_key: str
    timestamp: int
    log_time: int
    partition: int
    seq: int


class VisitorDeleted(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Sent to a visitor's key: the user under ``into_key``, into whom this visitor was merged, was deleted at ``timestamp``."""

    tenant: str
    user: str
    into_key: str
    timestamp: int
    log_time: int
    partition: int
    seq: int


Arrival = Event | VisitorMerged | VisitorDeleted | TimerDue
"""Every input of ``track``."""
