"""A log of users at two steps, and the catalog for it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import msgspec

from state.duration import HOUR, MINUTE
from state.event import Event
from state.times import rfc3339
from tests.state.lives import signup, track

CATALOG = """\
id: mine
version: 1.0.0
product: Mine
observe: true
steps:
  - {id: one, title: one, usual: 9d, complete: [{type: track, name: one}]}
  - {id: rare, title: rare, complete: [{type: track, name: rare}]}
paths:
  - {id: all, title: all, steps: [one, rare]}
"""


def log(people: int, *, every: int = 7 * MINUTE) -> list[Event]:
    """Of ten people six are done within minutes, two after ten to twenty hours, and two never; one in sixty does the other step too."""
    rng = Random(1)
    events: list[Event] = []
    for n in range(people):
        who, at, kind = f"u{n}", n * every, n * 7 % 10
        events.append(signup(at, user=who))
        if kind < 8:
            took = rng.randrange(MINUTE, 5 * MINUTE) if kind < 6 else 10 * HOUR + rng.randrange(10 * HOUR)
            events.append(track("one", at + took, user=who))
            if n % 60 == 0:
                events.append(track("rare", at + took + MINUTE, user=who))
    return sorted(events, key=lambda each: each.log_time)


def lines(people: int) -> Iterator[tuple[int, bytes]]:
    """The same log as it is sent: when each event arrives, and its text."""
    for each in log(people):
        who = {"eventId": each.id, "tenantId": each.tenant, "userId": each.user}
        sent = {**who, "eventType": each.type, "timestamp": rfc3339(each.timestamp), "payload": each.payload}
        yield each.log_time, msgspec.json.encode(sent | {"name": each.name} if each.name else sent)
