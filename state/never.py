"""``never``: the default of the ``stopping`` and ``paused`` callables that sources, sinks and calls poll."""

from __future__ import annotations


def never() -> bool:
    """Return False."""
    return False
