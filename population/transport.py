"""Transport of events from devices to the broker: in time and in order, or unreliable in a messy world."""

from __future__ import annotations

import heapq
from operator import itemgetter
from typing import Final

from population.clock import HOUR, MINUTE, SECOND, rfc3339
from population.draws import TRANSPORT, key, uniform

DUPLICATED: Final = 0.015
"""Probability that an event arrives again within a minute: a client that retries after a timeout."""
SHUFFLED: Final = 0.03
"""Probability of arriving up to four minutes late, after later events: parallel requests, a phone in a tunnel."""
DELAYED: Final = 0.003
"""Probability of arriving one to ten hours late: a laptop closed with a full buffer."""
SHOWN_LOST: Final = 0.1
"""Probability that a report of a showing is lost: blocked by the browser, or the tab was closed."""
SKEWED: Final = 0.25
SKEWED_BY: Final = 20 * MINUTE
SKEWED_BADLY: Final = 0.005
"""Share of devices with a clock error, its bound, and the share with an error of hours."""

_UNIT: Final = 1.0 / (1 << 16)


class Sender:
    """One account's device: ``key`` keys its draws, ``skew`` is its clock error in ms; the rest are constant parts of its events."""

    __slots__ = ("key", "number", "skew", "start", "user")

    def __init__(self, sender_key: int, user_id: str, tenant: str, *, messy: bool) -> None:
        self.key, self.number = sender_key, 0
        self.start = f'{{"eventId":"{user_id}.'.encode()
        self.user = f'","tenantId":"{tenant}","userId":"{user_id}","sessionId":"{user_id}-s'.encode()
        self.skew = _skew(sender_key) if messy else 0


def _skew(sender_key: int) -> int:
    share = uniform(sender_key, TRANSPORT, 0)
    way = 2.0 * uniform(sender_key, TRANSPORT, 1) - 1.0
    if share < SKEWED_BADLY:
        return int(way * 8 * HOUR)
    return int(way * SKEWED_BY) if share < SKEWED else 0


class Transport:
    """Takes sent events and returns arriving ones, slot by slot. No event arrives before it is sent."""

    def __init__(self, *, messy: bool) -> None:
        self.messy = messy
        self._out: list[tuple[int, bytes]] = []
        self._later: list[tuple[int, int, bytes]] = []
        self._until = 0
        self._count = 0

    def open(self, until: int) -> None:
        """Begin a slot that ends before ``until``."""
        self._until = until
        while self._later and self._later[0][0] < until:
            at, _, event = heapq.heappop(self._later)
            self._out.append((at, event))

    def send(self, sender: Sender, at: int, session: int, text: bytes, *, shown: bool = False) -> None:
        """Send an event that happens at ``at``; a messy transport may lose it only if it reports a showing."""
        sender.number += 1
        event = b'%b%d%b%d",%b,"timestamp":"%b","schemaVersion":1}' % (
            sender.start,
            sender.number,
            sender.user,
            session,
            text,
            rfc3339(at + sender.skew).encode(),
        )
        if not self.messy:
            self._arrive(at, event)
            return
        bits = key(sender.key, TRANSPORT, 2, sender.number)
        first, second, third, fourth = ((bits >> shift & 0xFFFF) * _UNIT for shift in (0, 16, 32, 48))
        if shown and second < SHOWN_LOST:
            return
        arrives = at
        if first < DELAYED:
            arrives += int((1 + 9 * third) * HOUR)
        elif first < DELAYED + SHUFFLED:
            arrives += int(third * 4 * MINUTE)
        self._arrive(arrives, event)
        if fourth < DUPLICATED:
            self._arrive(arrives + int(SECOND + third * MINUTE), event)

    def _arrive(self, at: int, event: bytes) -> None:
        if at < self._until:
            self._out.append((at, event))
        else:
            self._count += 1
            heapq.heappush(self._later, (at, self._count, event))

    def close(self) -> list[tuple[int, bytes]]:
        """End the slot and return its events in order of arrival."""
        arrived, self._out = self._out, []
        arrived.sort(key=itemgetter(0))
        return arrived

    @property
    def next_at(self) -> int | None:
        """Return when the next delayed event arrives, None without one."""
        return self._later[0][0] if self._later else None
