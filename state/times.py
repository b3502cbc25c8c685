"""Converts between milliseconds and text. Reads no clock: the caller passes every time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from state.time_zones import read_zone

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MINUTES_A_DAY: Final = 1440
_MONDAY: Final = 3
"""Days from a Monday to 1970-01-01."""
EARLIEST: Final = -62_135_596_800_000
LATEST: Final = 253_402_300_799_999
"""The calendar is that of the years 1 to 9999, UTC."""
YEAR_2000: Final = 946_684_800_000
"""2000-01-01T00:00:00Z in milliseconds. An earlier time comes from a broken clock."""


@lru_cache(maxsize=8_192)
def rfc3339(milliseconds: int) -> str:
    """Render a time as RFC 3339 in UTC with milliseconds, ``2026-01-05T09:30:00.000Z``. Valid for the years 1 to 9999."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds")[:23] + "Z"


def rfc3339_or_none(milliseconds: int) -> str | None:
    """Like ``rfc3339``, but ``None`` where the time is unknown (negative) or after the year 9999."""
    try:
        return None if milliseconds < 0 else rfc3339(milliseconds)
    except OverflowError:
        return None


def milliseconds_of(text: str) -> int:
    """Read a date and time with a zone, as ``rfc3339`` writes it, to milliseconds. Raises ``ValueError``."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no zone")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def day_of(milliseconds: int) -> str:
    """The day of a time in UTC, ``2026-01-05``."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).date().isoformat()


def minute_of_day(milliseconds: int, timezone: str) -> int:
    """Minutes since midnight in ``timezone``. UTC where that is no known zone (``state/time_zones.py``)."""
    return minute_in(milliseconds, read_zone(timezone) or UTC)


def minute_in(milliseconds: int, zone: tzinfo) -> int:
    """Minutes since midnight in ``zone``."""
    if zone is UTC:
        return milliseconds // 60_000 % MINUTES_A_DAY
    moment = datetime.fromtimestamp(milliseconds / 1000, zone)
    return moment.hour * 60 + moment.minute


def weekday_and_minute(milliseconds: int, zone: tzinfo) -> tuple[int, int]:
    """The weekday in ``zone``, 0 for a Monday, and minutes since midnight there."""
    if zone is UTC:
        minutes = milliseconds // 60_000
        return (minutes // MINUTES_A_DAY + _MONDAY) % 7, minutes % MINUTES_A_DAY
    moment = datetime.fromtimestamp(milliseconds / 1000, zone)
    return moment.weekday(), moment.hour * 60 + moment.minute


def within_hours(minute: int, start: int, end: int) -> bool:
    """Whether ``minute`` of the day lies in [start, end). The interval spans midnight where ``end`` is before ``start``."""
    return start <= minute < end if start <= end else minute >= start or minute < end
