"""The timers of people in runs without the job: one timer for each person, in log time."""

from __future__ import annotations

from typing import Final

from state.timer_wheel import TimerWheel

_PARTITION: Final = 0


class PersonTimers:
    """Tells which people are due. Call ``set`` after each change of a person; it costs nothing while their next timer stays."""

    def __init__(self) -> None:
        """Nobody has a timer."""
        self._wheel: Final = TimerWheel()
        self._armed: Final[dict[str, int]] = {}

    def set(self, key: str, due: int) -> None:
        """Wake ``key`` at ``due`` or earlier; 0: it needs no timer."""
        armed = self._armed.get(key)
        if due and (armed is None or due < armed):
            self._wheel.register(_PARTITION, key, due)
            self._armed[key] = due

    def take(self, now: int) -> list[str]:
        """Remove and return the keys that are due, in order of their timers. A key may be in it twice; ``set`` it again afterwards."""
        found = self._wheel.pop_due(_PARTITION, now)
        for key in found:
            if self._armed.get(key, now + 1) <= now:
                del self._armed[key]
        return found

    def next(self) -> int | None:
        """Return the log time of the earliest timer, None without timers."""
        return self._wheel.next_due(_PARTITION)

    def everybody(self) -> list[str]:
        """Return everybody who has a timer."""
        return sorted(self._wheel.keys(_PARTITION))
