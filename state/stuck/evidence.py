"""The evidence on a person at a step, as the features of the score.

A feature is a kind of evidence (``Kind``) and its level, and is either there or not. Both are hashed to a number below ``FEATURES``
(``state/catalog/evidence_weights.py``), so traits and events that nobody has seen before need no place of their own, and the state of a
score is bounded. Counts and times become levels, mostly powers of two; text becomes its checksum.
"""

from __future__ import annotations

import zlib
from datetime import UTC
from enum import IntEnum
from functools import lru_cache
from typing import Final

from state.duration import MINUTE, SECOND
from state.person.person import Episode, Person
from state.time_zones import read_zone
from state.times import minute_in, weekday_and_minute

_NOT_EVIDENCE: Final = frozenset({"firstName", "timezone"})


class Kind(IntEnum):
    """Kinds of evidence. The numbers are part of what was learned, in snapshots and fitted catalogs: a new kind has a new number.

    4, 17, 20 and 27 were the step, the number of sessions, the age of the user at the onset, and the step with each trait: without them
    fewer weights are learned, and those better (docs/measurements.md).

    ``WEEKDAY`` is of users in UTC, or whose zone is not known; all others have ``LOCAL_WEEKDAY``. They had the weekday in UTC as
    ``WEEKDAY`` once: what was learned of it is not read as something about their own.
    """

    ANY = 1
    HELD_OUT = 2
    BUCKET = 3
    STEP_BUCKET = 5
    SILENT_SHARE = 6
    SILENT_MINUTES = 7
    TOUCHES = 8
    EVENTS = 9
    ERRORS = 10
    ERROR_BURSTS = 11
    RAGE_CLICKS = 12
    CIRCLES = 13
    ACTIVE_TIME = 14
    SLOW = 15
    VISITS = 16
    LAST_EVENT = 18
    STEP_LAST_EVENT = 19
    HOUR = 21
    STEP_HOUR = 22
    HORIZON_HOUR = 23
    WEEKDAY = 24
    HORIZON = 25
    TRAIT = 26
    SILENT_SHARE_BUCKET = 28
    ACTIVE_TIME_LAST_TYPE = 29
    LAST_HOUR = 30
    LOCAL_WEEKDAY = 31


def feature(kind: Kind, level: int) -> int:
    """The number of a feature."""
    mixed = (kind * 0x9E3779B1 ^ level * 0x85EBCA6B) & 0xFFFFFFFF
    return ((mixed ^ mixed >> 15) * 0xC2B2AE35 & 0xFFFFFFFF) >> 20


@lru_cache(maxsize=65_536)
def checksum(text: str) -> int:
    """The level of a text."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))


HELD_OUT: Final = feature(Kind.HELD_OUT, 1)


def _levels(kind: Kind, number: int) -> tuple[int, ...]:
    """The features of ``kind`` by level, below ``number``."""
    return tuple(feature(kind, level) for level in range(number))


_BITS: Final = 65
"""Levels of a number's length in bits."""
_SILENT_MINUTES: Final = _levels(Kind.SILENT_MINUTES, _BITS)
_SILENT_SHARE: Final = _levels(Kind.SILENT_SHARE, 2 * 4 + 2)
_SILENT_SHARE_BUCKET: Final = _levels(Kind.SILENT_SHARE_BUCKET, 8 * 5 + 8)
_TOUCHES: Final = _levels(Kind.TOUCHES, 5)
_EVENTS: Final = _levels(Kind.EVENTS, _BITS)
_ERRORS: Final = _levels(Kind.ERRORS, 7)
_ERROR_BURSTS: Final = _levels(Kind.ERROR_BURSTS, 4)
_RAGE_CLICKS: Final = _levels(Kind.RAGE_CLICKS, 4)
_CIRCLES: Final = _levels(Kind.CIRCLES, 4)
_ACTIVE_TIME: Final = _levels(Kind.ACTIVE_TIME, _BITS)
_SLOW: Final = _levels(Kind.SLOW, 2)
_VISITS: Final = _levels(Kind.VISITS, 4)
_HOUR: Final = _levels(Kind.HOUR, 12)
_LAST_HOUR: Final = _levels(Kind.LAST_HOUR, 8)
_HORIZON_HOUR: Final = _levels(Kind.HORIZON_HOUR, 8)
_WEEKDAY: Final = _levels(Kind.WEEKDAY, 7)
_LOCAL_WEEKDAY: Final = _levels(Kind.LOCAL_WEEKDAY, 7)
_HORIZON: Final = _levels(Kind.HORIZON, _BITS)


@lru_cache(maxsize=4_096)
def _of_step(step: str, bucket: int) -> tuple[int, ...]:
    """The features of everybody who waits at ``step`` in ``bucket``."""
    level = checksum(step)
    return (
        feature(Kind.ANY, 0),
        HELD_OUT,
        feature(Kind.BUCKET, bucket),
        feature(Kind.STEP_BUCKET, level + bucket),
    )


@lru_cache(maxsize=4_096)
def _of_last_event(step: str, last: str) -> tuple[int, int]:
    """The features of the last event of somebody who waits at ``step``."""
    return feature(Kind.LAST_EVENT, checksum(last)), feature(Kind.STEP_LAST_EVENT, checksum(step) ^ checksum(last))


@lru_cache(maxsize=4_096)
def _of_trait(text: str) -> int:
    """The feature of a trait."""
    return feature(Kind.TRAIT, checksum(text))


@lru_cache(maxsize=4_096)
def _of_activity(last_type: str, active: int) -> int:
    """The feature of having been active for so long, and of what the last event was."""
    return feature(Kind.ACTIVE_TIME_LAST_TYPE, checksum(last_type) + active)


@lru_cache(maxsize=4_096)
def _of_hour(step: str, third: int) -> int:
    """The feature of the time of day at ``step``."""
    return feature(Kind.STEP_HOUR, checksum(step) + third)


def features(person: Person, episode: Episode, *, at: int, bucket: int) -> list[int]:
    """The features of ``person`` at log time ``at`` in ``bucket`` of the horizon (``state/stuck/score.py``), as one who is held out.

    A score is always that of a person who gets no help; a guided person's row is learned without ``HELD_OUT``.
    """
    step, last, newest, onset = episode.step, person.last_event, person.newest, episode.onset
    horizon, elapsed = max(episode.horizon, 1), max(at - onset, 1)
    silent = min(max(at - newest, 0), elapsed)
    named = person.traits.get("timezone")
    zone = UTC if named is None else read_zone(str(named)) or UTC
    weekday, minute = weekday_and_minute(at, zone)
    hour, ends = minute // 60, minute_in(onset + horizon, zone) // 60
    active = (max(person.active, 0) // (MINUTE // 2)).bit_length()
    found = {
        *_of_step(step, bucket),
        _SILENT_SHARE[2 * (4 * silent // elapsed) + min(bucket, 1)],
        _SILENT_SHARE_BUCKET[8 * (5 * silent // elapsed) + bucket],
        _SILENT_MINUTES[(silent // MINUTE).bit_length()],
        _EVENTS[person.events.bit_length()],
        _ACTIVE_TIME[active],
        _of_activity(last.partition(" ")[0], active),
        *_of_last_event(step, last),
        _HOUR[hour // 2],
        _LAST_HOUR[minute_in(newest, zone) // 180],
        _of_hour(step, hour // 3),
        _HORIZON_HOUR[ends // 3],
        (_WEEKDAY if zone is UTC else _LOCAL_WEEKDAY)[weekday],
        _HORIZON[(horizon // SECOND).bit_length()],
    }
    # What has not happened has no feature: its weight would be learned beside that of ``Kind.ANY``, which says the same.
    if episode.touches:
        found.add(_TOUCHES[min(episode.touches, 4)])
    if episode.errors:
        found.add(_ERRORS[min(episode.errors, 6)])
    if episode.bursts:
        found.add(_ERROR_BURSTS[min(episode.bursts, 3)])
    if episode.rage:
        found.add(_RAGE_CLICKS[min(episode.rage, 3)])
    if episode.circles:
        found.add(_CIRCLES[min(episode.circles, 3)])
    if person.slow_noted:
        found.add(_SLOW[1])
    if person.sessions > episode.sessions:
        found.add(_VISITS[min(person.sessions - episode.sessions, 3)])
    for trait, value in person.traits.items():
        if trait not in _NOT_EVIDENCE:
            found.add(_of_trait(f"{trait}={value}"))
    return sorted(found)
