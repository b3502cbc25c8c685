"""Keyed draws: every random number is a pure function of the seed, the person, the purpose and a counter.

A person therefore has the same draws with and without guidance (common random numbers), independent of other people and of the order
of processing. Keys are 64-bit integers made with the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
"""

from __future__ import annotations

import zlib
from random import Random
from statistics import NormalDist
from typing import Final

_MASK: Final = (1 << 64) - 1
_UNIT: Final = 2.0**-53
_NORMAL: Final = NormalDist()

# Purposes. The numbers only have to differ; changing one changes every run.
WHO: Final = 1
VISIT: Final = 2
GAP: Final = 3
FRICTION: Final = 5
EFFECT: Final = 6
RESPONSE: Final = 7
TRANSPORT: Final = 8
BOT: Final = 9
AFTERWARDS: Final = 10
APP: Final = 11


def key(*parts: int) -> int:
    """Return the 64-bit key of ``parts``: equal parts give equal keys, different ones unrelated keys."""
    state = 0x243F6A8885A308D3
    for part in parts:
        state = ((state ^ part) + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


def text_key(text: str) -> int:
    """Return a number for ``text`` that is the same in every process (``hash`` is not)."""
    return zlib.crc32(text.encode())


def uniform(*parts: int) -> float:
    """Return the draw from [0, 1) that belongs to ``parts``."""
    return (key(*parts) >> 11) * _UNIT


def normal(*parts: int) -> float:
    """Return the standard normal draw that belongs to ``parts``."""
    return _NORMAL.inv_cdf(max(uniform(*parts), 1e-12))


def stream(*parts: int) -> Random:
    """Return a generator whose whole sequence belongs to ``parts``."""
    return Random(key(*parts))  # noqa: S311 (repeatable on purpose)
