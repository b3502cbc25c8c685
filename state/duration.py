"""Durations as a catalog writes them (``90s``, ``15m``, ``24h``, ``7d``), held as integer milliseconds."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

LONGEST: Final = 3_650 * DAY
"""Ten years. A longer duration is a mistake, and added to a time it could overflow the calendar."""

_UNITS: Final = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_PATTERN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")


def parse(text: object) -> int:
    """Parse a duration. Raises ``ValueError`` with a message for the catalog's author."""
    if isinstance(text, str) and (match := _PATTERN.fullmatch(text.strip())):
        try:
            return round(float(match[1]) * _UNITS[match[2]])
        except OverflowError:
            raise ValueError("a duration of more than a hundred digits is a mistake") from None
    raise ValueError(f"a duration is a number and a unit, like 90s, 15m, 24h or 7d, not {text!r}")


def render(milliseconds: int) -> str:
    """Format a duration in the largest unit that divides it: ``parse(render(x)) == x``."""
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def render_rounded(milliseconds: float) -> str:
    """Format a measured duration for a reader: two significant digits, at least a second, at most ``LONGEST``. ``parse`` reads it."""
    bounded = min(max(milliseconds, SECOND), LONGEST)
    below = ((90 * SECOND, "s"), (90 * MINUTE, "m"), (2 * DAY, "h"))
    unit = next((unit for limit, unit in below if bounded < limit), "d")
    value = bounded / _UNITS[unit]
    return f"{value:.0f}{unit}" if value >= 10 else f"{round(value, 1):g}{unit}"


Duration = Annotated[int, BeforeValidator(parse), Field(gt=0, le=LONGEST)]
"""A pydantic field: text in the catalog, milliseconds in the code."""
