"""The timer wheels of this process, one for each worker thread."""

from __future__ import annotations

import threading

from state.timer_wheel import TimerWheel


class TimerRegistry:
    """One for each flow object, shared by the steps that register timers and the step that pops them.

    Builders, ``on_batch`` and ``flat_map`` of one worker all run on that worker's thread, so a wheel needs no lock. Wheels are looked up by
    ``threading.get_ident()``: Bytewax makes a new Python thread state for every call, and a ``threading.local`` would lose its value.
    """

    __slots__ = ("_wheels",)

    def __init__(self) -> None:
        self._wheels: dict[int, TimerWheel] = {}

    def for_this_thread(self) -> TimerWheel:
        """Return the wheel of the calling thread."""
        thread = threading.get_ident()
        wheel = self._wheels.get(thread)
        if wheel is None:
            wheel = self._wheels[thread] = TimerWheel()
        return wheel

    def peek(self, partition: int) -> int | None:
        """Return the earliest deadline of ``partition`` among all workers of this process, or None. Any thread may call it.

        It is exact while the workers are idle: with one worker, whenever a source is asked for its next batch. Other processes are not
        included.
        """
        due = [deadline for wheel in tuple(self._wheels.values()) if (deadline := wheel.next_due(partition)) is not None]
        return min(due, default=None)

    def __len__(self) -> int:
        """Return the number of timers registered, stale ones included."""
        return sum(len(wheel) for wheel in tuple(self._wheels.values()))
