"""Milliseconds and the texts that stand for them. No clock: every time is given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MINUTES_A_DAY: Final = 1440


def rfc3339(milliseconds: int) -> str:
    """Render a time as RFC 3339 in UTC with milliseconds, ``2026-01-05T09:30:00.000Z``. Valid for the years 1 to 9999."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds")[:23] + "Z"


def minute_of_day(milliseconds: int, timezone: str) -> int:
    """Minutes since midnight where the person is; UTC where ``timezone`` is not an IANA name."""
    moment = datetime.fromtimestamp(milliseconds / 1000, _zone(timezone))
    return moment.hour * 60 + moment.minute


def parse_minute_of_day(text: object) -> int:
    """Read ``HH:MM``; -1 for anything else."""
    if isinstance(text, str) and len(text) == 5 and text[2] == ":" and text[:2].isdecimal() and text[3:].isdecimal():
        minute = int(text[:2]) * 60 + int(text[3:])
        return minute if minute < MINUTES_A_DAY and int(text[3:]) < 60 else -1
    return -1


def within_hours(minute: int, start: int, end: int) -> bool:
    """Say whether ``minute`` of the day lies in [start, end), over midnight where ``end`` is before ``start``."""
    return start <= minute < end if start <= end else minute >= start or minute < end


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")
