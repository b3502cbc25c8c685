"""Token bucket: so many calls a second on average, so many at once after a pause. Pure; time is an argument, in seconds of any clock."""

from __future__ import annotations

from typing import Final

_ROUNDING: Final = 1e-6  # seconds: clock readings since 1970 are exact to a quarter of that, and a wait that was asked for must be enough


class TokenBucket:
    """A bucket that holds ``burst`` tokens, starts full, and gains ``rate`` tokens a second.

    It remembers one instant, when the bucket will be full again; so no rounding adds up. A clock that steps back refills nothing and takes
    nothing away. For one event loop or thread.
    """

    def __init__(self, rate: float, burst: float) -> None:
        """Raises ``ValueError`` unless both are above 0."""
        if not (rate > 0 and burst > 0):
            raise ValueError(f"a token bucket needs a rate and a burst above 0, not {rate} and {burst}")
        self.rate = rate
        self.burst = burst
        self._latest = float("-inf")
        self._full_at = float("-inf")

    def take(self, now: float, tokens: float = 1.0) -> float:
        """Take ``tokens`` and return 0, or take nothing and return the seconds after which they will be there if nobody else takes any.

        Raises ``ValueError`` for more tokens than the bucket can hold.
        """
        if not 0 < tokens <= self.burst:
            raise ValueError(f"{tokens} tokens can never be taken from a bucket of {self.burst}")
        now = self._latest = max(now, self._latest)
        full_at = max(self._full_at, now) + tokens / self.rate
        wait = full_at - now - self.burst / self.rate
        if wait > _ROUNDING:
            return wait
        self._full_at = full_at
        return 0.0

    def give_back(self, tokens: float = 1.0) -> None:
        """Return tokens of a call that was not made after all."""
        self._full_at -= tokens / self.rate

    def level(self, now: float) -> float:
        """Tokens that can be taken now, for gauges."""
        return min(self.burst, max(0.0, self.burst - (self._full_at - max(now, self._latest)) * self.rate))
