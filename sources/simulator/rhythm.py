"""Day, night and week-end where a person lives."""

from __future__ import annotations

import math
from random import Random
from typing import Final

from sources.simulator import habits
from state.duration import DAY, HOUR

OFFSETS: Final = {
    "America/Los_Angeles": -8,
    "America/New_York": -5,
    "America/Sao_Paulo": -3,
    "Europe/London": 0,
    "Europe/Berlin": 1,
    "Europe/Helsinki": 2,
    "Asia/Singapore": 8,
    "Asia/Tokyo": 9,
}
"""Hours from UTC in January. Summer time is left out: an hour does not matter to a rhythm this coarse."""

_THURSDAY: Final = 3
"""1970-01-01, counting from Monday."""


def around(rng: Random, median: float, spread: float) -> float:
    """Draw from a log-normal with this median; ``spread`` is its sigma."""
    return median * math.exp(rng.gauss(0.0, spread))


def liveliness(at: int, offset: int) -> float:
    """How likely people are about at ``at`` (Unix ms), from 0 to 1, ``offset`` hours from UTC."""
    days, rest = divmod(at + offset * HOUR, DAY)
    return habits.HOURLY[rest // HOUR] * (habits.WEEKEND if (days + _THURSDAY) % 7 >= 5 else 1.0)


def lively_time(rng: Random, first: int, last: int, offset: int) -> int:
    """Draw a time between ``first`` and ``last`` (Unix ms) that follows the rhythm."""
    at = first
    for _ in range(40):  # enough for all but a handful in a thousand; those come at night
        at = first + int(rng.random() * (last - first))
        if rng.random() < liveliness(at, offset):
            break
    return at


def next_lively_time(rng: Random, at: int, offset: int) -> int:
    """Move ``at`` on, an hour or so at a time, until the rhythm lets the person come."""
    while rng.random() > liveliness(at, offset):
        at += int((0.4 + rng.random()) * HOUR)
    return at
