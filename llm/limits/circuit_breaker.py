"""Circuit breaker: stops calls to a server that fails, and tries one call at a time until it answers again. Pure; time is an argument.

closed ──failures in a row, or too large a share of them──► open ──cool-down over, earlier calls back──► half_open
   ▲                                                          ▲                                             │
   │                                                          └───────── the probe failed: longer cool-down ┤
   └──────────────────────────────────────────────────────────────────────────────────── the probe succeeded┘

The probe starts only after every call that was let through before has reported; so the next result is the probe's own.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from state.quantity import count

State = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When calls stop and when they are tried again. Seconds."""

    failures_in_a_row: int = 5  # a busy server may fail for a second
    failure_share: float = 0.5  # above it, templates serve people better
    window_seconds: float = 30.0
    window_calls: int = 20  # the share counts only with at least so many calls
    cooldown_seconds: float = 5.0  # about the time a server restarts in
    longest_cooldown_seconds: float = 120.0  # after a long outage, texts return within two minutes

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for what makes no sense."""
        if self.failures_in_a_row < 1 or self.window_calls < 1 or not 0 < self.failure_share <= 1:
            raise ValueError("a breaker needs counts of 1 or more and a failure share above 0 and up to 1")
        if not 0 < self.cooldown_seconds <= self.longest_cooldown_seconds or self.window_seconds <= 0:
            raise ValueError("a breaker needs a window and a cool-down above 0, and a longest cool-down that is no shorter")


@dataclass(frozen=True, slots=True)
class Change:
    """The breaker went from one state to another, for the log."""

    at: float
    before: State
    after: State
    why: str


class Breaker:
    """One server's breaker. Every ``allow`` that returned True must be followed by exactly one ``succeeded``, ``failed`` or ``abandoned``.

    For one event loop or thread. A clock that steps back lengthens a cool-down, nothing else.
    """

    def __init__(self, policy: BreakerPolicy | None = None) -> None:
        self.policy = policy or BreakerPolicy()
        self.state: State = "closed"
        self.in_flight = 0
        self.try_again_at = 0.0
        self._cooldown = self.policy.cooldown_seconds
        self._in_a_row = 0
        self._recent: deque[tuple[float, bool]] = deque(maxlen=max(256, self.policy.window_calls))
        self._changes: deque[Change] = deque(maxlen=64)

    def allow(self, now: float) -> bool:
        """Whether a call may be made now. After True the caller must report how it ended."""
        if self.state == "open" and now >= self.try_again_at and self.in_flight == 0:
            self._become("half_open", now, "the cool-down is over, one call tries the server")
        elif self.state != "closed":
            return False
        self.in_flight += 1
        return True

    def succeeded(self, now: float) -> None:
        """Report that a call was answered."""
        self._back()
        if self.state == "half_open":
            self._cooldown = self.policy.cooldown_seconds
            self._in_a_row = 0
            self._recent.clear()
            self._become("closed", now, "the server answered")
        elif self.state == "closed":
            self._in_a_row = 0
            self._recent.append((now, True))

    def failed(self, now: float) -> None:
        """Report that a call failed by the server's fault. A call that began before the breaker opened changes nothing."""
        self._back()
        if self.state == "half_open":
            self._cooldown = min(self._cooldown * 2, self.policy.longest_cooldown_seconds)
            self._open(now, "the server still fails")
        elif self.state == "closed":
            self._in_a_row += 1
            self._recent.append((now, False))
            if self._in_a_row >= self.policy.failures_in_a_row:
                self._open(now, f"{count(self._in_a_row, 'call')} in a row failed")
            elif self._share_exceeded(now):
                self._open(now, f"too many of the calls of the last {self.policy.window_seconds:g} s failed")

    def abandoned(self, now: float) -> None:
        """Report that a call was cancelled, so that it shows nothing about the server.

        After an abandoned probe the same cool-down starts again, so that cancelled callers do not cause many probes.
        """
        self._back()
        if self.state == "half_open":
            self._open(now, "the trial call was abandoned")

    def seconds_until_trial(self, now: float) -> float:
        """Seconds until the next call may be made: 0 while closed, and while only earlier calls or the probe must end first."""
        return max(0.0, self.try_again_at - now) if self.state == "open" else 0.0

    def take_changes(self) -> list[Change]:
        """Return the state changes since the last call of this, oldest first (the newest 64), for the log."""
        changes = list(self._changes)
        self._changes.clear()
        return changes

    def _back(self) -> None:
        if self.in_flight == 0:
            raise ValueError("a call was reported to the breaker that it did not allow, or twice")
        self.in_flight -= 1

    def _share_exceeded(self, now: float) -> bool:
        while self._recent and self._recent[0][0] <= now - self.policy.window_seconds:
            self._recent.popleft()
        failures = sum(not ok for _, ok in self._recent)
        return len(self._recent) >= self.policy.window_calls and failures >= self.policy.failure_share * len(self._recent)

    def _open(self, now: float, why: str) -> None:
        self.try_again_at = now + self._cooldown
        self._become("open", now, f"{why}; no call for {self._cooldown:g} s")

    def _become(self, state: State, now: float, why: str) -> None:
        self._changes.append(Change(now, self.state, state, why))
        self.state = state
