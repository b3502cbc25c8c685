"""Daily and weekly activity in a person's time zone."""

from __future__ import annotations

from random import Random
from typing import Final

from population import behaviour
from population.clock import DAY, HOUR

OFFSETS: Final = {
    "America/Los_Angeles": -8,
    "America/New_York": -5,
    "America/Sao_Paulo": -3,
    "Europe/London": 0,
    "Europe/Berlin": 1,
    "Asia/Kolkata": 5,
    "Asia/Tokyo": 9,
}
"""Hours from UTC; hourly activity is too coarse for summer time to matter."""

_THURSDAY: Final = 3
"""Weekday of 1970-01-01, counting from Monday."""

# By hour of the local week, from Monday: one look-up instead of arithmetic.
_WEEK: Final = tuple(behaviour.HOURLY[hour % 24] * (behaviour.WEEKEND if hour >= 120 else 1.0) for hour in range(168))


def activity_level(at: int, offset: int) -> float:
    """Return the activity from 0 to 1 at ``at`` (Unix ms), ``offset`` hours from UTC."""
    return _WEEK[(at // HOUR + offset + 24 * _THURSDAY) % 168]


def draw_active_time(rng: Random, first: int, last: int, offset: int) -> int:
    """Draw a time between ``first`` and ``last`` (Unix ms) that follows the activity by hour."""
    at = first
    for _ in range(40):  # enough for almost all people; the rest come at night
        at = first + int(rng.random() * (last - first))
        if rng.random() < activity_level(at, offset):
            break
    return at


def next_active_time(rng: Random, at: int, offset: int) -> int:
    """Advance ``at`` in steps of about an hour until the activity accepts it; accept any time after two weeks."""
    latest = at + 14 * DAY
    while at < latest and rng.random() > activity_level(at, offset):
        at += int((0.4 + rng.random()) * HOUR)
    return at
