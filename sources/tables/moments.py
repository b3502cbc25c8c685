"""Reads the time of an event from a cell: date and time, text in a format, or a number since 1970. Raises ``ValueError`` with words."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Final

from sources.tables.mapping import Moment
from sources.tables.values import is_nothing, shown
from state.duration import DAY
from state.time_zones import read_zone
from state.times import YEAR_2000

_PER_MILLISECOND: Final = {"s": (1000, 1), "ms": (1, 1), "us": (1, 1000), "ns": (1, 1_000_000)}
"""Unit → by what a number is multiplied and divided to give milliseconds."""
_NUMBER: Final = re.compile(r"[-+]?\d+(?:\.\d+)?")
_MOST_DIGITS: Final = 20
_ZONE_AFTER_BLANK: Final = re.compile(r"(?<=\d) (?=(?:[+-]\d\d:?\d\d|Z|UTC)$)", re.IGNORECASE)


def fitting_unit(moment: int, unit: str, now: int) -> str | None:
    """Return the unit by which a number that gives ``moment`` (ms) as ``unit`` would be a time from 2000 to a day after ``now`` (ms)."""
    times, per = _PER_MILLISECOND[unit]
    for other, (other_times, other_per) in _PER_MILLISECOND.items():
        if YEAR_2000 <= moment * per * other_times // (times * other_per) <= now + DAY:
            return other
    return None


class MomentReader:
    """Reads times as ``moment`` says. ``shown_twice``: local times so far that clocks show twice, because they are put back."""

    def __init__(self, moment: Moment) -> None:
        self.shown_twice = 0
        self._formats = moment.format
        self._unit = moment.unit
        self._zone = read_zone(moment.zone) if moment.zone is not None else None
        self._time = time.fromisoformat(moment.time_of_day) if moment.time_of_day is not None else None

    def __call__(self, value: object) -> int | None:
        """Return milliseconds since 1970 UTC; None for nothing. A local time that clocks show twice is the first of the two."""
        if is_nothing(value):
            return None
        try:
            return self._read(value)
        except OverflowError:
            raise ValueError(f"is {shown(value)}, a time beyond all calendars") from None

    def _read(self, value: object) -> int | None:
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, str):
            value = value.strip()
            if not value:
                return None
            if self._unit is None or not _NUMBER.fullmatch(value):
                return self._of_text(value)
            value = int(value) if value.isdigit() and len(value) < _MOST_DIGITS else Decimal(value)
        if isinstance(value, datetime):
            return self._milliseconds(value)
        if isinstance(value, date):
            return self._of_date(value)
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise ValueError(f"is {shown(value)}, not a time")  # noqa: TRY004 - the value of a cell, not an argument
        if self._unit is None:
            raise ValueError(f"is the number {shown(value)}; say its unit with unit: s, ms, us or ns")
        times, per = _PER_MILLISECOND[self._unit]
        if isinstance(value, int) and per == 1:
            return value * times
        return round(Decimal(value) * times / per) if isinstance(value, int | Decimal) else round(value * times / per)

    def _of_text(self, text: str) -> int:
        if self._formats is not None:
            for each in self._formats:
                try:
                    found = datetime.strptime(text, each)  # noqa: DTZ007 - the zone is added below
                except ValueError:
                    continue
                return (
                    self._milliseconds(found)
                    if "%H" in each or "%I" in each or "%c" in each or "%X" in each
                    else self._of_date(found.date())
                )
            raise ValueError(f"is {shown(text)}, not of the format {' or '.join(self._formats)}")
        if _NUMBER.fullmatch(text) and len(text) != len("20260302"):
            raise ValueError(f"is the number {shown(text)}; say its unit with unit: s, ms, us or ns")
        iso = _ZONE_AFTER_BLANK.sub("", text)
        iso = f"{iso[:-3]}Z" if iso[-3:].upper() == "UTC" else iso
        try:
            day = date.fromisoformat(iso) if ":" not in iso and "T" not in iso.upper() else None
            moment = datetime.fromisoformat(iso.upper().replace("T", " ", 1) if "t" in iso else iso)
        except ValueError:
            raise ValueError(f"is {shown(text)}, not an ISO 8601 time; say how to read it with format") from None
        return self._milliseconds(moment) if day is None else self._of_date(day)

    def _of_date(self, day: date) -> int:
        if self._time is None:
            raise ValueError(f"is {day}, which has no time of day; choose one with time_of_day")
        return self._milliseconds(datetime.combine(day, self._time), chosen=True)

    def _milliseconds(self, moment: datetime, *, chosen: bool = False) -> int:
        """``chosen``: the time of day is that of the mapping, so that it may be any of the day."""
        if moment.tzinfo is None:
            if self._zone is None:
                raise ValueError(f"is {shown(moment.isoformat(' '))}, which has no time zone; name one with zone")
            local, moment = moment, moment.replace(tzinfo=self._zone)
            before, after = self._zone.utcoffset(moment), self._zone.utcoffset(moment.replace(fold=1))
            if before != after and not chosen:
                if before is not None and after is not None and before < after:
                    skipped = f"which no clock shows in {self._zone}: clocks are put forward there"
                    raise ValueError(f"is {shown(local.isoformat(' '))}, {skipped}")
                self.shown_twice += 1
        return round(moment.astimezone(UTC).timestamp() * 1000)
