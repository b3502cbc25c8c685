"""The inputs of a person's key beside events: timers, merges of visitors, and deletions."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from state.event import Event


class TimerDue(msgspec.Struct, frozen=True, gc=False):
    """The log time of ``partition`` has reached ``at``: run every timer that is due by then, if it is the person's partition."""

    partition: int
    at: int
    seq: int


class GuidanceSwitched(msgspec.Struct, frozen=True, gc=False):
    """A switch of ``tenant`` holds in ``partition`` from the log time ``at`` on: whoever may no longer be guided loses the guidance from
    before it.
    """

    tenant: str
    partition: int
    at: int
    seq: int


class VisitorMerged(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Sent to the stream key ``key`` of a visitor: this visitor is the person under ``into_key``.

    ``into_anonymous``: that person is a visitor too. ``user`` is the visitor's id and ``into`` the person's; each is empty where only the
    key is known. ``refused``: the merge changes nothing, for this reason (``state/counters.py``).
    """

    tenant: str
    key: str
    user: str
    into: str
    into_key: str
    into_anonymous: bool = False
    refused: str = ""
    timestamp: int
    log_time: int
    partition: int
    seq: int


def merge_by(event: Event, visitor: str, *, key: str, into_key: str) -> VisitorMerged:
    """The news for ``visitor``, whose stream key is ``key``, that ``event`` merges it into the person of the event, under ``into_key``."""
    return VisitorMerged(
        tenant=event.tenant,
        key=key,
        user=visitor,
        into=event.user,
        into_key=into_key,
        into_anonymous=event.anonymous,
        timestamp=event.timestamp,
        log_time=event.log_time,
        partition=event.partition,
        seq=event.seq,
    )


class VisitorDeleted(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Sent to a visitor's key: the person under ``into_key``, into whom this visitor was merged, was deleted at ``timestamp``.

    ``into_key`` is empty where this visitor is the person: one that was merged into it was deleted.
    """

    tenant: str
    key: str
    into_key: str
    timestamp: int
    log_time: int
    partition: int
    seq: int


class SeenAsUser(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Sent to the key of an id that was used as a visitor's: ``user`` is a ``userId`` as well, so it is nobody's visitor from here on."""

    tenant: str
    key: str
    user: str
    timestamp: int
    log_time: int
    partition: int
    seq: int


Arrival = Event | VisitorMerged | VisitorDeleted | TimerDue | GuidanceSwitched
"""Every input of ``track``."""


def input_numbers(arrivals: Iterable[Arrival | SeenAsUser]) -> list[int]:
    """The ``seq`` by which to sort each arrival of a visitor. A deletion stays after the merge into the same person that it came after:
    they may be of two partitions, whose numbers have no order.
    """
    merged: dict[str, int] = {}
    numbers: list[int] = []
    for each in arrivals:
        number = each.seq
        if type(each) is VisitorMerged:
            merged[each.into_key] = max(number, merged.get(each.into_key, 0))
        elif type(each) is VisitorDeleted:
            number = max(number, merged.get(each.into_key, 0))
        numbers.append(number)
    return numbers
