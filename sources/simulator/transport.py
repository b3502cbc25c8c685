"""From what people did to the bytes that arrive, with the small faults of real transport."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from random import Random

import msgspec

from sources.simulator import habits
from sources.simulator.life import Sent
from state.duration import DAY, HOUR, MINUTE, SECOND

Arrival = tuple[int, int, int, bytes]
"""When it arrives (Unix ms), person and number among theirs (which break ties), the JSON line without its end."""


class _Event(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    event_id: str
    tenant_id: str
    user_id: str
    session_id: str
    event_type: str
    payload: msgspec.Raw
    timestamp: str
    schema_version: int
    name: str | None = None


_ENCODER = msgspec.json.Encoder()


def encode(tenant: str, user: str, prefix: str, sent: list[Sent]) -> list[bytes]:
    """Return one JSON event per item of ``sent``; their ids begin with ``prefix``."""
    return [
        _ENCODER.encode(
            _Event(
                f"{prefix}-{number}",
                tenant,
                user,
                f"{prefix}-s{session}",
                act.type,
                act.payload,
                timestamp(at),
                schema_version=1,
                name=act.name,
            )
        )
        for number, (at, session, act) in enumerate(sent)
    ]


def clean(index: int, sent: list[Sent], lines: list[bytes]) -> Iterator[Arrival]:
    """Every event arrives once, at the time it happened."""
    for number, (item, line) in enumerate(zip(sent, lines, strict=True)):
        yield item.at, index, number, line


def messy(index: int, sent: list[Sent], lines: list[bytes], rng: Random) -> Iterator[Arrival]:
    """Some events arrive twice, some after later ones, a few hours late. Their timestamps stay what they were."""
    for arrival in clean(index, sent, lines):
        at, *rest, line = arrival
        luck = rng.random()
        if luck < habits.DELAYED:
            at += rng.randint(*habits.DELAYED_BY)
        elif luck < habits.DELAYED + habits.SHUFFLED:
            at += rng.randint(*habits.SHUFFLED_BY)
        yield at, index, rest[1], line
        if rng.random() < habits.DUPLICATED:
            yield at + rng.randint(1, MINUTE), index, rest[1], line


def timestamp(at: int) -> str:
    """Write Unix ms as RFC 3339 with milliseconds and Z."""
    days, rest = divmod(at, DAY)
    hour, rest = divmod(rest, HOUR)
    minute, rest = divmod(rest, MINUTE)
    return f"{_date(days)}T{hour:02}:{minute:02}:{rest // SECOND:02}.{rest % SECOND:03}Z"


@lru_cache(maxsize=4096)
def _date(days: int) -> str:
    return datetime.fromtimestamp(days * DAY / SECOND, UTC).date().isoformat()
