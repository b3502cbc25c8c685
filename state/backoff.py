"""Exponential backoff with jitter, as arithmetic: the caller supplies the random number, and sleeps."""

from __future__ import annotations


def backoff_seconds(attempt: int, *, first: float, longest: float, jitter: float) -> float:
    """Return how long to wait after the failed ``attempt`` (0 is the first one).

    The wait doubles from ``first`` up to ``longest``; ``jitter``, uniform in [0, 1), reduces it by up to half, so that many workers do
    not retry at the same moment.
    """
    return min(longest, first * 2.0 ** min(attempt, 30)) * (0.5 + jitter / 2)
