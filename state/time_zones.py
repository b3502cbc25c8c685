"""Reads a person's time zone: the names and offsets that apps, browsers and Windows send."""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from state.windows_zones import IANA_ZONE

_OFFSET: Final = re.compile(r"(?:utc|gmt)?([+\-\u2212])(\d{1,2})(?::?([0-5]\d))?", re.ASCII)
_MOST_HOURS: Final = 14
"""No place on earth is further from UTC."""
_MACHINE: Final = frozenset({"localtime", "factory", "posixrules"})
"""Files beside the zones that mean this machine's zone, or none."""


@lru_cache(maxsize=1024)
def read_zone(name: str) -> tzinfo | None:
    """The zone that ``name`` means, ``None`` where it means none that is known.

    Read are IANA names in any case, ``Z``, offsets like ``+02:00``, ``+0200``, ``UTC+2`` and ``GMT-3:30`` (east of Greenwich is plus), and
    Windows' names. The name is looked up in a list and never used as a path.
    """
    wanted = name.strip().lower()
    if known := _names().get(wanted):
        return UTC if known == "UTC" else ZoneInfo(known)  # times are read without a zone's rules there (``state/times.py``)
    offset = _OFFSET.fullmatch(wanted)
    if offset is None:
        return None
    minutes = int(offset[2]) * 60 + int(offset[3] or 0)
    if minutes > _MOST_HOURS * 60:
        return None
    return timezone(timedelta(minutes=minutes if offset[1] == "+" else -minutes))


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """Every known name in lower case → IANA name."""
    known = {each.lower(): each for each in available_timezones() if each.lower() not in _MACHINE}
    windows = {name.lower(): zone for name, zone in IANA_ZONE.items() if zone.lower() in known}
    return {**windows, **known, "z": "UTC"}
