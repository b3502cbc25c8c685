"""Limits how many calls a process makes in a second. Pure; time is an argument, in seconds of any clock."""

from __future__ import annotations


class RateLimit:
    """At most ``burst`` calls at once after a pause, and ``per_second`` on average. Turns are given in the order of the calls.

    It remembers one instant, the time at which all turns given so far are used up. For one event loop or thread.
    """

    def __init__(self, per_second: float, burst: float = 1.0) -> None:
        """Raise ``ValueError`` unless the rate is above 0 and the burst at least 1."""
        if not (per_second > 0 and burst >= 1):
            raise ValueError(f"a rate limit needs a rate above 0 and a burst of at least 1, not {per_second} and {burst}")
        self._interval = 1 / per_second
        self._tolerance = (burst - 1) / per_second
        self._used_until = float("-inf")

    def reserve(self, now: float, longest_wait: float) -> float | None:
        """Take the next turn and return the seconds until it; None, and no turn taken, where it is further away than ``longest_wait``.

        A clock that steps back gives no extra turns.
        """
        used_until = max(self._used_until, now)
        wait = max(0.0, used_until - now - self._tolerance)
        if wait > longest_wait:
            return None
        self._used_until = used_until + self._interval
        return wait
