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
TIRELESS: Final = 19
"""Hours of the last 24."""
LOOKING: Final = 30
"""Pages in a row, each within ``GLANCE`` of the one before. People who are lost go round a dozen pages, and click."""
GLANCE: Final = 60 * SECOND

_NEAR: Final = 0.22
_FOLLOW: Final = 0.2
_PENALTY: Final = 3
_ALIKE: Final = 1.05
_FINE: Final = 12
_SHORTEST: Final = 200
_LONGEST: Final = 12 * HOUR
_BREAK: Final = 10 * SECOND
_DAY_OF_HOURS: Final = (1 << 24) - 1
_SCALE: Final = 1000.0


def observe(pulse: ActivityRhythm, at: int, gap: int, *, again: bool, since_signup: int, looking: bool = False) -> bool:
    """Take note of an event at ``at``, ``gap`` after the one before (-1: there was none); return whether it shows a machine.

    ``again``: it is what the person did just before. ``since_signup`` in milliseconds, -1 where there was no sign-up. ``looking``: it is
    the view of a page.
    """
    pulse.looks = pulse.looks + 1 if looking and gap <= GLANCE else 0
    hour = at // HOUR
    if hour > pulse.hour:  # what came late belongs to an hour that is over
        pulse.hours = (pulse.hours << min(hour - pulse.hour, 24) | 1) & _DAY_OF_HOURS
        pulse.hour = hour
    if gap < 0:
        return False
    if gap >= QUICK:
        pulse.quick = max(pulse.quick - 2, 0) if gap < _BREAK else 0
    elif not again:
        pulse.quick += 1
    if _SHORTEST <= gap <= _LONGEST:
        length = math.log(gap)
        usual = pulse.pace / _SCALE
        if not pulse.pace:
            pulse.pace = round(length * _SCALE)
        else:
            near = abs(length - usual) < _NEAR
            pulse.even = pulse.even + 1 if abs(length - usual) < _ALIKE else max(pulse.even - _FINE, 0)
            pulse.steady = pulse.steady + 1 if near else max(pulse.steady - _PENALTY, 0)
            follow = _FOLLOW if near or pulse.steady else 0.5
            pulse.pace = round((usual + follow * (length - usual)) * _SCALE)
    return (
        pulse.quick >= FAST
        or (pulse.quick >= FAST_AT_FIRST and 0 <= since_signup <= AT_FIRST)
        or pulse.steady >= STEADY
        or pulse.even >= EVEN
        or pulse.hours.bit_count() >= TIRELESS
        or pulse.looks >= LOOKING
    )


def doubtful(pulse: ActivityRhythm) -> bool:
    """Say whether the account is half way to being suspected: no time to call it stuck."""
    return pulse.quick * 2 >= FAST or pulse.steady * 2 >= STEADY or pulse.even * 2 >= EVEN or pulse.hours.bit_count() >= TIRELESS - 6
