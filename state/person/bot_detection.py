"""Bot detection: accounts that are too fast, too regular or never rest. It uses only the times of events, and a few numbers for each
person.

What a client sends by itself is no rhythm of a person. An event that the catalog calls ``automatic`` does not count at all; a *repetition*
(the same type and subject as one of the last ``KINDS_KEPT`` kinds of event: an impatient click, a heartbeat, a page that reloads itself)
only counts as a *beat*, described below; events at the same instant are one moment (a queue that was sent late).

A *sign* of a machine is one of these. Each starts again from zero after a sign:

- *Fast*: ``FAST`` events less than ``QUICK`` apart in a row, over at least ``SUSTAINED``. The burst of a client library is shorter.
- *Fast at first*: a shorter row right after the sign-up. Events of type ``track`` that mean nothing to the catalog do not count. It is a
  sign only where there is no other yet.
- *Regular*: gap after gap within a fifth of the average, or very many within a factor of three either way. Twenty gaps in a row of a human
  are not that steady, and of fifty some are long and some are very short.
- *Only views*: page after page less than a minute apart, and no other event.

One sign, or half of one, makes the account *suspicious*: it raises no alarm. ``SIGNS`` signs mark it as a bot: it gets no guidance and
nothing is learned from it. Neither is for good. ``HUMAN`` uneven gaps since the last sign clear the account, and so does a click on its
guidance. A machine that is cleared by chance soon shows the next sign.

Two states need no sign, and end by themselves. An account *without rest*, active in nearly every hour of a day and a night, is marked for
as long as that is so. One that *repeats itself* at a fixed interval, and has not done more than that, is suspicious for as long as it does
so: it is a monitor, or a page left open.
"""

from __future__ import annotations

import math
from typing import Final

from state.duration import HOUR, MINUTE, SECOND
from state.person.person import ActivityRhythm

QUICK: Final = 800
"""Milliseconds between two different events of a quick pair."""
FAST: Final = 18
FAST_AT_FIRST: Final = 7
"""Quick events in a row; the second threshold applies within ``AT_FIRST`` of the sign-up."""
SUSTAINED: Final = 3 * SECOND
AT_FIRST: Final = 30 * SECOND
STEADY: Final = 18
EVEN: Final = 60
"""Gaps in a row, less a penalty for each that does not fit: within a fifth (``STEADY``), and within a factor of three (``EVEN``)."""
ACTIVE_HOURS: Final = 19
"""Active hours of the last 24; suspicious from ``RESTLESS_HOURS`` on."""
RESTLESS_HOURS: Final = 13
ONLY_VIEWS: Final = 30
"""Page views in a row, each within ``VIEW_GAP`` of the one before. People who are lost view about a dozen pages, and click."""
VIEW_GAP: Final = 60 * SECOND
KINDS_KEPT: Final = 4
"""Kinds of event, the latest ones, of which another is a repetition."""
SIGNS: Final = 2
"""Signs that mark an account as a bot."""
HUMAN: Final = 6
"""Uneven gaps since the last sign that clear an account. About every fourth gap of a human is uneven."""
BEATS: Final = 2
"""Beats since the last other event after which an account is suspicious, if there were at least as many as other events ever. A beat is a
repetition at the interval of the one before."""
BEATS_END: Final = 2 * HOUR
"""Time after the last beat for which the account remains suspicious: longer than the interval of an hourly check."""
MONITOR_AFTER: Final = 6 * HOUR
"""Time of beats, and nothing else, after which nothing is learned from the episode."""

_STEADY_TOLERANCE: Final = 0.22
_SMOOTHING: Final = 0.2
_SLOW_SMOOTHING: Final = 0.1
_STEADY_PENALTY: Final = 3
_EVEN_TOLERANCE: Final = 1.05
_EVEN_PENALTY: Final = 12
_SHORTEST: Final = 200
_LONGEST: Final = 12 * HOUR
_RUN_ENDS: Final = 2 * SECOND
_HUMAN_FROM: Final = 300
_HUMAN_TO: Final = 30 * MINUTE
_ALL_HOURS: Final = (1 << 24) - 1
_SCALE: Final = 1000.0
_MOST: Final = 99
_BEAT_FROM: Final = 5  # seconds
_BEAT_TOLERANCE: Final = 0.1
_KIND: Final = 3


def observe(rhythm: ActivityRhythm, at: int, kind: int, *, act: bool, since_signup: int, page_view: bool = False) -> None:
    """Update ``rhythm`` with an event at ``at``. ``kind`` is a hash of its type and subject.

    ``act``: it means something to the catalog, or is of a type that only a person's action has. ``since_signup`` is in milliseconds, -1
    without a sign-up. ``page_view``: the event is one.
    """
    view_gap = -1
    if page_view:
        view_gap, rhythm.viewed = at - rhythm.viewed, at
    if _is_repetition(rhythm, kind, at):
        return
    rhythm.beats = 0
    if rhythm.fresh < _MOST:
        rhythm.fresh += 1
    last = rhythm.last
    if at > last:
        rhythm.last = at
    hour = at // HOUR
    if hour > rhythm.hour:  # a late event belongs to an earlier hour
        rhythm.hours = (rhythm.hours << min(hour - rhythm.hour, 24) | 1) & _ALL_HOURS
        rhythm.hour = hour
    rhythm.page_views = rhythm.page_views + 1 if 0 <= view_gap <= VIEW_GAP else 0
    if last and at >= last:
        gap = at - last
        if gap >= _RUN_ENDS:
            rhythm.quick = rhythm.at_first = 0
        else:
            _follow_quick_run(rhythm, at, gap, act=act and 0 <= since_signup <= AT_FIRST)
        if _SHORTEST <= gap <= _LONGEST:
            _follow_pace(rhythm, gap)
    _count_signs(rhythm, at)


def is_marked(rhythm: ActivityRhythm, at: int) -> bool:
    """Whether the account counts as a bot at ``at``."""
    # Of the hours up to ``at`` no more can be active than of all that are known.
    return rhythm.signs >= SIGNS or (rhythm.hours.bit_count() >= ACTIVE_HOURS and _active_hours(rhythm, at) >= ACTIVE_HOURS)


def is_suspicious(rhythm: ActivityRhythm, at: int) -> bool:
    """Whether the account should raise no alarm at ``at``: there was a sign, it is half way to one, or it only repeats itself."""
    return (
        rhythm.signs > 0
        or rhythm.at_first * 2 >= FAST_AT_FIRST
        or (rhythm.quick * 2 >= FAST and (rhythm.last - rhythm.run_from) * 2 >= SUSTAINED)
        or rhythm.steady * 2 >= STEADY
        or rhythm.even * 2 >= EVEN
        or _active_hours(rhythm, at) >= RESTLESS_HOURS
        or _only_repeats(rhythm, at)
    )


def is_monitor(rhythm: ActivityRhythm, at: int) -> bool:
    """Whether the account has done nothing but repeat itself for hours, so that nothing should be learned from it."""
    return _only_repeats(rhythm, at) and rhythm.beat_at - rhythm.beats_from >= MONITOR_AFTER


def clear(rhythm: ActivityRhythm) -> None:
    """Forget all signs: the account showed that a person uses it."""
    rhythm.signs = rhythm.human = rhythm.quick = rhythm.at_first = rhythm.steady = rhythm.even = rhythm.page_views = 0


def _active_hours(rhythm: ActivityRhythm, at: int) -> int:
    """In how many of the 24 hours up to ``at`` the account was active."""
    return (rhythm.hours << min(max(at // HOUR - rhythm.hour, 0), 24) & _ALL_HOURS).bit_count()


def _only_repeats(rhythm: ActivityRhythm, at: int) -> bool:
    return rhythm.beats >= BEATS and rhythm.beats >= rhythm.fresh and at - rhythm.beat_at <= BEATS_END


def _is_repetition(rhythm: ActivityRhythm, kind: int, at: int) -> bool:
    """Whether an event of this kind is among the latest; it is the latest of them from now on.

    ``kinds`` is flat: the kind, the time of its last event, and the gap before that one, in seconds.
    """
    kinds, second = rhythm.kinds, at // SECOND
    latest = kinds[::_KIND]
    if kind not in latest:
        kinds += (kind, second, 0)
        if len(latest) >= KINDS_KEPT:
            del kinds[: -KINDS_KEPT * _KIND]
        return False
    place = _KIND * latest.index(kind)
    before, gap = kinds[place + 2], max(second - kinds[place + 1], 0)
    if gap >= _BEAT_FROM and abs(gap - before) <= _BEAT_TOLERANCE * before + 1:
        if not rhythm.beats:
            rhythm.beats_from = at
        rhythm.beats, rhythm.beat_at = min(rhythm.beats + 1, _MOST), at
    else:
        rhythm.beats = 0
    del kinds[place : place + _KIND]
    kinds += (kind, second, gap)
    return True


def _follow_quick_run(rhythm: ActivityRhythm, at: int, gap: int, *, act: bool) -> None:
    if gap >= QUICK:
        rhythm.quick = max(rhythm.quick - 2, 0)
    elif gap:
        if not rhythm.quick:
            rhythm.run_from = at - gap
        rhythm.quick += 1
        rhythm.at_first += act


def _follow_pace(rhythm: ActivityRhythm, gap: int) -> None:
    length = math.log(gap)
    if not rhythm.pace:
        rhythm.pace = rhythm.usual = round(length * _SCALE)
        return
    usual = rhythm.pace / _SCALE
    away = abs(length - usual)
    near = away < _STEADY_TOLERANCE
    rhythm.even = rhythm.even + 1 if away < _EVEN_TOLERANCE else max(rhythm.even - _EVEN_PENALTY, 0)
    rhythm.steady = rhythm.steady + 1 if near else max(rhythm.steady - _STEADY_PENALTY, 0)
    follow = _SMOOTHING if near or rhythm.steady else 0.5
    rhythm.pace = round((usual + follow * (length - usual)) * _SCALE)
    usual = rhythm.usual / _SCALE
    if rhythm.signs and _HUMAN_FROM <= gap <= _HUMAN_TO and abs(length - usual) >= _EVEN_TOLERANCE:
        rhythm.human += 1
        if rhythm.human >= HUMAN:
            clear(rhythm)
    rhythm.usual = round((usual + _SLOW_SMOOTHING * (length - usual)) * _SCALE)


def _count_signs(rhythm: ActivityRhythm, at: int) -> None:
    """Count the signs that the last event completed, at most one."""
    if rhythm.quick >= FAST and at - rhythm.run_from >= SUSTAINED:
        rhythm.quick = 0
    elif rhythm.at_first >= FAST_AT_FIRST and not rhythm.signs:
        rhythm.at_first = 0
    elif rhythm.steady >= STEADY:
        rhythm.steady = 0
    elif rhythm.even >= EVEN:
        rhythm.even = 0
    elif rhythm.page_views >= ONLY_VIEWS:
        rhythm.page_views = 0
    else:
        return
    rhythm.signs, rhythm.human = min(rhythm.signs + 1, SIGNS), 0
