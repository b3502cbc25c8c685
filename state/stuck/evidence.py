"""The evidence on a person at a step, as the features of the score.

A feature is a kind of evidence (``Kind``) and its level, and is either there or not. Both are hashed to a number below ``FEATURES``, so
traits and events that nobody has seen before need no place of their own, and the state of a score is bounded. Counts and times become
levels, mostly powers of two; text becomes its checksum.
"""

from __future__ import annotations

import zlib
from enum import IntEnum, auto
from functools import lru_cache
from typing import Final

from state.person.person import Episode, Person
from state.times import minute_of_day

FEATURES: Final = 4_096
"""Places for features. With 1,024 the permit log loses nothing either (`benchmarks/stuck`)."""

_NOT_EVIDENCE: Final = frozenset({"firstName", "timezone"})
_MINUTE: Final = 60_000
_DAY: Final = 86_400_000
_MONDAY: Final = 3
"""Days from a Monday to 1970-01-01."""


class Kind(IntEnum):
    """Kinds of evidence. The numbers are part of what was learned: append, do not reorder."""

    ANY = auto()
    HELD_OUT = auto()
    BUCKET = auto()
    STEP = auto()
    STEP_BUCKET = auto()
    SILENT_SHARE = auto()
    SILENT_MINUTES = auto()
    TOUCHES = auto()
    EVENTS = auto()
    ERRORS = auto()
    ERROR_BURSTS = auto()
    RAGE_CLICKS = auto()
    CIRCLES = auto()
    ACTIVE_TIME = auto()
    SLOW = auto()
    VISITS = auto()
    SESSIONS = auto()
    LAST_EVENT = auto()
    STEP_LAST_EVENT = auto()
    AGE = auto()
    HOUR = auto()
    STEP_HOUR = auto()
    HORIZON_HOUR = auto()
    WEEKDAY = auto()
    HORIZON = auto()
    TRAIT = auto()
    STEP_TRAIT = auto()
    SILENT_SHARE_BUCKET = auto()
    ACTIVE_TIME_LAST_TYPE = auto()
    LAST_HOUR = auto()


@lru_cache(maxsize=16_384)
def feature(kind: Kind, level: int) -> int:
    """The number of a feature."""
    mixed = (kind * 0x9E3779B1 ^ level * 0x85EBCA6B) & 0xFFFFFFFF
    return ((mixed ^ mixed >> 15) * 0xC2B2AE35 & 0xFFFFFFFF) >> 20


@lru_cache(maxsize=65_536)
def checksum(text: str) -> int:
    """The level of a text."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))


HELD_OUT: Final = feature(Kind.HELD_OUT, 1)

_KINDS: Final = (
    Kind.ANY,
    Kind.HELD_OUT,
    Kind.BUCKET,
    Kind.STEP,
    Kind.STEP_BUCKET,
    Kind.SILENT_SHARE,
    Kind.SILENT_SHARE_BUCKET,
    Kind.SILENT_MINUTES,
    Kind.TOUCHES,
    Kind.EVENTS,
    Kind.ERRORS,
    Kind.ERROR_BURSTS,
    Kind.RAGE_CLICKS,
    Kind.CIRCLES,
    Kind.ACTIVE_TIME,
    Kind.ACTIVE_TIME_LAST_TYPE,
    Kind.SLOW,
    Kind.VISITS,
    Kind.SESSIONS,
    Kind.LAST_EVENT,
    Kind.STEP_LAST_EVENT,
    Kind.AGE,
    Kind.HOUR,
    Kind.LAST_HOUR,
    Kind.STEP_HOUR,
    Kind.HORIZON_HOUR,
    Kind.WEEKDAY,
    Kind.HORIZON,
)
"""Kinds of which everybody has one level, in the order in which ``features`` has the levels."""


def features(person: Person, episode: Episode, *, at: int, bucket: int) -> list[int]:
    """The features of ``person`` at log time ``at`` in ``bucket`` of the horizon (``state/stuck/score.py``), as one who is held out.

    A score is always that of a person who gets no help; a guided person's row is learned without ``HELD_OUT``.
    """
    horizon, elapsed = max(episode.horizon, 1), max(at - episode.onset, 1)
    silent = min(max(at - person.newest, 0), elapsed)
    zone = str(person.traits.get("timezone", "UTC"))
    hour, ends = minute_of_day(at, zone) // 60, minute_of_day(episode.onset + horizon, zone) // 60
    step, last = checksum(episode.step), checksum(person.last_event)
    active = (max(person.active, 0) // (_MINUTE // 2)).bit_length()
    kind = checksum(person.last_event.partition(" ")[0])
    levels = (
        0,
        1,
        bucket,
        step,
        step + bucket,
        2 * (4 * silent // elapsed) + min(bucket, 1),
        8 * (5 * silent // elapsed) + bucket,
        (silent // _MINUTE).bit_length(),
        min(episode.touches, 4),
        person.events.bit_length(),
        min(episode.errors, 6),
        min(episode.bursts, 3),
        min(episode.rage, 3),
        min(episode.circles, 3),
        active,
        kind + active,
        int(person.slow_noted),
        min(max(person.sessions - episode.sessions, 0), 3),
        person.sessions.bit_length(),
        last,
        step ^ last,
        (max(episode.onset - person.first_seen, 0) // 1000).bit_length() // 2,
        hour // 2,
        minute_of_day(person.newest, zone) // 180,
        step + hour // 3,
        ends // 3,
        (at // _DAY + _MONDAY) % 7,
        (horizon // 1000).bit_length(),
    )
    found = set(map(feature, _KINDS, levels))
    for trait, value in person.traits.items():
        if trait not in _NOT_EVIDENCE:
            level = checksum(f"{trait}={value}")
            found.add(feature(Kind.TRAIT, level))
            found.add(feature(Kind.STEP_TRAIT, step ^ level))
    return sorted(found)
