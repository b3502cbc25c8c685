"""Bot detection: accounts that are too fast, too regular or never rest. It uses only the times of events, and a few numbers for each
person.

- *Fast*: events less than ``QUICK`` apart in a row, or a shorter row right after the sign-up. A repetition of the same event (an impatient
  click) is human and does not count.
- *Regular*: gap after gap within a fifth of the average, or very many within a factor of three either way. Twenty gaps in a row of a human
  are not that steady, and of fifty some are long and some are very short.
- *Without rest*: active in nearly every hour of a day and a night.
- *Only views*: page after page less than a minute apart, and no other event.

Each has a threshold. Above it the account is marked as a bot until it is deleted, whatever it does later: programs pause too, and an end of
the mark would count them as people again. At half of a threshold the account is merely *suspicious*, which ends by itself; a suspicious
account raises no alarm. A product whose client sends heartbeats should not send them as events of the person.
"""

from __future__ import annotations

import math
from typing import Final

from state.duration import HOUR, SECOND
from state.person.person import ActivityRhythm

QUICK: Final = 800
"""Milliseconds between two different events of a quick pair."""
FAST: Final = 18
FAST_AT_FIRST: Final = 7
"""Quick events in a row; the second threshold applies within ``AT_FIRST`` of the sign-up."""
AT_FIRST: Final = 30 * SECOND
STEADY: Final = 18
EVEN: Final = 60
"""Gaps in a row, less a penalty for each that does not fit: within a fifth (``STEADY``), and within a factor of three (``EVEN``)."""
ACTIVE_HOURS: Final = 19
"""Active hours of the last 24."""
ONLY_VIEWS: Final = 30
"""Page views in a row, each within ``VIEW_GAP`` of the one before. People who are lost view about a dozen pages, and click."""
VIEW_GAP: Final = 60 * SECOND

_STEADY_TOLERANCE: Final = 0.22
_SMOOTHING: Final = 0.2
_STEADY_PENALTY: Final = 3
_EVEN_TOLERANCE: Final = 1.05
_EVEN_PENALTY: Final = 12
_SHORTEST: Final = 200
_LONGEST: Final = 12 * HOUR
_PAUSE: Final = 10 * SECOND
_ALL_HOURS: Final = (1 << 24) - 1
_SCALE: Final = 1000.0


def observe(rhythm: ActivityRhythm, at: int, gap: int, *, repeated: bool, since_signup: int, page_view: bool = False) -> bool:
    """Update ``rhythm`` with an event at ``at``, ``gap`` after the one before (-1 for none); return whether it shows a bot.

    ``repeated``: the event repeats the one before. ``since_signup`` is in milliseconds, -1 without a sign-up. ``page_view``: the event is
    one.
    """
    rhythm.page_views = rhythm.page_views + 1 if page_view and gap <= VIEW_GAP else 0
    hour = at // HOUR
    if hour > rhythm.hour:  # a late event belongs to an earlier hour
        rhythm.hours = (rhythm.hours << min(hour - rhythm.hour, 24) | 1) & _ALL_HOURS
        rhythm.hour = hour
    if gap < 0:
        return False
    if gap >= QUICK:
        rhythm.quick = max(rhythm.quick - 2, 0) if gap < _PAUSE else 0
    elif not repeated:
        rhythm.quick += 1
    if _SHORTEST <= gap <= _LONGEST:
        length = math.log(gap)
        usual = rhythm.pace / _SCALE
        if not rhythm.pace:
            rhythm.pace = round(length * _SCALE)
        else:
            near = abs(length - usual) < _STEADY_TOLERANCE
            rhythm.even = rhythm.even + 1 if abs(length - usual) < _EVEN_TOLERANCE else max(rhythm.even - _EVEN_PENALTY, 0)
            rhythm.steady = rhythm.steady + 1 if near else max(rhythm.steady - _STEADY_PENALTY, 0)
            follow = _SMOOTHING if near or rhythm.steady else 0.5
            rhythm.pace = round((usual + follow * (length - usual)) * _SCALE)
    return (
        rhythm.quick >= FAST
        or (rhythm.quick >= FAST_AT_FIRST and 0 <= since_signup <= AT_FIRST)
        or rhythm.steady >= STEADY
        or rhythm.even >= EVEN
        or rhythm.hours.bit_count() >= ACTIVE_HOURS
        or rhythm.page_views >= ONLY_VIEWS
    )


def is_suspicious(rhythm: ActivityRhythm) -> bool:
    """Whether the account has reached half of a threshold, so that it should raise no alarm."""
    return (
        rhythm.quick * 2 >= FAST or rhythm.steady * 2 >= STEADY or rhythm.even * 2 >= EVEN or rhythm.hours.bit_count() >= ACTIVE_HOURS - 6
    )
