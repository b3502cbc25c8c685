"""Durations in milliseconds, and times as RFC 3339."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR


@lru_cache(maxsize=64)
def _date(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d")


@lru_cache(maxsize=4096)
def _minute(minute: int) -> str:
    day, rest = divmod(minute, 1440)
    hour, minutes = divmod(rest, 60)
    return f"{_date(day)}T{hour:02d}:{minutes:02d}:"


def rfc3339(at: int) -> str:
    """Write ``at`` (Unix ms) with milliseconds, in UTC."""
    minute, rest = divmod(at, MINUTE)
    second, milli = divmod(rest, SECOND)
    return f"{_minute(minute)}{second:02d}.{milli:03d}Z"


def unix_ms(text: str) -> int:
    """Read an RFC 3339 time. Raises ``ValueError`` if it is none, or has no zone."""
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(f"{text} has no zone")
    return round(when.timestamp() * 1000)
