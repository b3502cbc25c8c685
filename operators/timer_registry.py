"""The timer wheels of this process, one for each worker thread."""

from __future__ import annotations

import threading
from typing import Final

from state.timer_wheel import TimerWheel

_EVERYBODY: Final = "everybody "
"""Begins the key of a timer for all people of a tenant. No person's key does: those are hexadecimal digits."""


class TimerRegistry:
    """One for each flow object, shared by the steps that register timers and the step that pops them.

    Builders, ``on_batch`` and ``flat_map`` of one worker all run on that worker's thread, so a wheel needs no lock. Wheels are looked up by
    ``threading.get_ident()``: Bytewax makes a new Python thread state for every call, and a ``threading.local`` would lose its value.

    ``one_worker``: the flow is built for one. A second wheel then raises ``RuntimeError``: nobody would bring it ticks.
    """

    __slots__ = ("_everybody", "_one_worker", "_wheels")

    def __init__(self, *, one_worker: bool = True) -> None:
        self._one_worker = one_worker
        self._wheels: dict[int, TimerWheel] = {}
        self._everybody: dict[int, set[tuple[int, str, int]]] = {}

    def for_this_thread(self) -> TimerWheel:
        """Return the wheel of the calling thread."""
        thread = threading.get_ident()
        wheel = self._wheels.get(thread)
        if wheel is None:
            if self._wheels and self._one_worker:
                raise RuntimeError("the flow was built for one worker, and runs with more: build it with the number of its workers")
            wheel = self._wheels[thread] = TimerWheel()
        return wheel

    def wake_everybody(self, partition: int, tenant: str, deadline: int) -> None:
        """Wake everybody of ``tenant`` who has a timer on this worker once the time of ``partition`` has reached ``deadline``."""
        known = self._everybody.setdefault(threading.get_ident(), set())
        if (partition, tenant, deadline) not in known:  # every lane asks for it
            known.add((partition, tenant, deadline))
            self.for_this_thread().register(partition, _EVERYBODY + tenant, deadline)

    @property
    def wakes(self) -> bool:
        """Whether there was a timer for everybody on any worker."""
        return bool(self._everybody)

    def peek(self, partition: int, after: int = -1) -> int | None:
        """Return the earliest deadline of ``partition`` among all workers of this process, or None. Any thread may call it.

        It is exact while the workers are idle: with one worker, whenever a source is asked for its next batch. Other processes are not
        included. Of the calling worker's timers only those later than ``after`` count.
        """
        thread = threading.get_ident()
        due = [wheel.next_due(partition, after if owner == thread else -1) for owner, wheel in tuple(self._wheels.items())]
        return min((each for each in due if each is not None), default=None)

    def __len__(self) -> int:
        """Return the number of timers registered, stale ones included."""
        return sum(len(wheel) for wheel in tuple(self._wheels.values()))


def tenant_to_wake(key: str) -> str | None:
    """The tenant of a timer for everybody; None for the key of a person."""
    return key.removeprefix(_EVERYBODY) if key.startswith(_EVERYBODY) else None
