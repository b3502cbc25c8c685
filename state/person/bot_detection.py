"""Who is no human: accounts that are too fast, too regular or never rest. Told by the times of events alone, in a few numbers a person.

- *Fast*: event after event within ``QUICK``, or so right after the sign-up, where no human knows the way yet. The same thing again at once
  (an impatient click) is human and does not count.
- *Regular*: gap after gap as long as the gaps before, within a fifth or so, or very many within a range of three times either way.
  Humans are not steady over twenty gaps in a row, and among fifty there are some who look things up, and some who just click on.
- *Tireless*: active in nearly every hour of a day and a night.
- *Only looking*: page after page, none for a minute, and nothing ever done on one.

Each has a bar. Beyond it the account is suspected for good, whatever it does later: programs pause too, and a suspicion that ends would
have them counted as people again; deletion ends it with everything else. Half way to a bar the account is merely *doubtful*, which ends
by itself: nobody doubtful is called stuck. A product whose client sends heartbeats should not send them as events of the person.
"""

from __future__ import annotations

import math
from typing import Final

from state.duration import HOUR, SECOND
from state.person.person import ActivityRhythm

QUICK: Final = 800
"""Milliseconds between two different things that somebody did."""
FAST: Final = 18
FAST_AT_FIRST: Final = 7
"""Quick events in a row; the second within ``AT_FIRST`` of the sign-up."""
AT_FIRST: Final = 30 * SECOND
STEADY: Final = 18
EVEN: Final = 60
"""Gaps in a row, less a fine for each that is not; within a fifth, and within three times."""
ACTIVE_HOURS: Final = 19
"""Hours of the last 24."""
ONLY_VIEWS: Final = 30
"""Pages in a row, each within ``VIEW_GAP`` of the one before. People who are lost go round a dozen pages, and click."""
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
    """Take note of an event at ``at``, ``gap`` after the one before (-1: there was none); return whether it shows a machine.

    ``repeated``: it is what the person did just before. ``since_signup`` in milliseconds, -1 where there was no sign-up. ``page_view``: it is
    the view of a page.
    """
    rhythm.page_views = rhythm.page_views + 1 if page_view and gap <= VIEW_GAP else 0
    hour = at // HOUR
    if hour > rhythm.hour:  # what came late belongs to an hour that is over
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


def is_doubtful(rhythm: ActivityRhythm) -> bool:
    """Say whether the account is half way to being suspected: no time to call it stuck."""
    return rhythm.quick * 2 >= FAST or rhythm.steady * 2 >= STEADY or rhythm.even * 2 >= EVEN or rhythm.hours.bit_count() >= ACTIVE_HOURS - 6
