"""Decides where a batch ends and where a tick stands. Timers fire in the same order for every division of the input into batches.

Log time is divided into slots. When a message enters a later slot, the timers up to the start of that slot are due before it: a tick stands
between them. Three facts allow batches of many messages, with ticks among them:

- On one worker Bytewax asks for a batch only after the last one was processed completely. ``peek_timers`` then knows every timer.
- No timer is registered for earlier than ``lookahead`` after the log time of the message or timer that registers it. A batch may therefore
  extend that far after its first message and after the first timer that it fires: until then all timers are known.
- ``track`` runs the timers and events of a person in input order, so a tick may share a batch with the messages around it.

A switch of guidance wakes people from the next millisecond on, sooner than the lookahead. So a source ends its batch after a message that
may be one (``state.decode.may_switch``); in a log a switch has no key.

Learned parameters change at boundaries of log time (``state/stuck/parameters.py``). So no batch extends across a boundary, and no tick
fires timers on both sides of one: items after the boundary need the parameters that were learned before it. A tick at a boundary belongs to
the time before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from state.stuck.parameters import PERIOD

_NEVER: Final = 1 << 62
ALL: Final = -1
"""Before every log time."""


def nothing() -> None:
    """Do nothing."""


class BatchAction(Enum):
    """What a source does before a message. It ``ticks``: it appends a tick at ``ticked``. It ``ends`` the batch before the message.

    These are attributes, because most sources ask for every message: to look for an ``Enum`` in a set takes a call of Python for its hash.
    """

    APPEND = False, False
    END_BATCH = False, True
    TICK = True, False
    TICK_AND_END = True, True

    def __init__(self, ticks: bool, ends: bool) -> None:
        self.ticks: Final = ticks
        self.ends: Final = ends


class PeekTimers(Protocol):
    """Returns the earliest timer of a partition that is due later than ``after``, or None."""

    def __call__(self, partition: int, after: int = ALL, /) -> int | None:
        """Return its log time in milliseconds."""
        ...


@dataclass(frozen=True)
class BatchPolicy:
    """How a source forms batches. ``peek_timers`` is called on the worker's thread."""

    peek_timers: PeekTimers | None
    """If unset (several processes share the timers), every slot may have timers."""
    lookahead: Callable[[int], int]
    """Returns the lookahead in milliseconds for a batch that begins at this log time. It changes only at boundaries of log time."""
    batch_size: int = 1_000
    while_idle: Callable[[], None] = nothing
    """Called while there is nothing to read, on the worker's thread. It must take less than a millisecond."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a batch size with which nothing would be read."""
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}; it must be at least 1")


class BatchPlanner:
    """Applies a ``BatchPolicy`` to one partition. ``ticked`` is the time of its last tick; the source keeps it in its snapshot.

    ``first`` is the log time of the first message of the batch, None while there is none.
    """

    __slots__ = ("_due", "_has_tick", "_next", "_partition", "_policy", "_safe_until", "first", "ticked")

    def __init__(self, policy: BatchPolicy, partition: int, ticked: int) -> None:
        self._policy = policy
        self._partition = partition
        self.ticked = ticked
        self._due = -math.inf  # the earliest timer before the last tick
        self.first: int | None = None
        self._safe_until = math.inf  # what the messages and timers of the batch register is due at this time or later
        self._has_tick = False
        self._next = math.inf  # the earliest timer after the last tick of the batch

    def begin_batch(self) -> None:
        """Begin an empty batch."""
        self.first, self._safe_until, self._has_tick = None, math.inf, False

    def begin_messages(self, time: int) -> None:
        """The first message of the batch has the log time ``time``."""
        self.first, self._safe_until = time, min(self._safe_until, time + self._policy.lookahead(time))

    def decide(self, start: int, time: int) -> BatchAction:
        """Return what to do before a message of log time ``time``, whose slot begins at ``start``. The source appends the tick at once.

        If a tick did not remove the earliest timer (another worker holds it), the source does not wait for it.
        """
        first = self.first
        if start >= self._safe_until:
            return BatchAction.END_BATCH
        due = self._next_due(start)
        at = min(start, _boundary(due if due > self.ticked else self._earliest(self.ticked)))
        if at < self.ticked or (self.ticked == at and due <= self._due):
            at = start
        if due > start or (self.ticked == at and due <= self._due):
            return BatchAction.APPEND if first is None or _period(first) == _period(time) else BatchAction.END_BATCH
        if first is not None and not (at == start and _period(at - 1) == _period(first)):
            return BatchAction.END_BATCH
        self._tick(at, due)
        return BatchAction.TICK if _period(at - 1) == _period(time) else BatchAction.TICK_AND_END

    def _next_due(self, start: int) -> float:
        """The first timer that may have to fire before the slot that begins at ``start``."""
        if self._has_tick:
            return self._next
        return self._earliest() if start >= self.ticked else math.inf

    def _tick(self, at: int, due: float) -> None:
        """Note a tick at ``at``, before which the timer ``due`` is the first."""
        if not self._has_tick:
            registers = due + self._policy.lookahead(int(due) - 1) if due > -math.inf else due
            self._safe_until = min(self._safe_until, registers)
        self.ticked, self._due, self._has_tick = at, due, True
        self._next = self._earliest(at)

    def pass_time(self, until: int) -> None:
        """Note a tick that the source emits without ``decide``: at ``until``, or at the first boundary up to which a timer is due.

        A timer from before the last tick may set one that is due soon, so the next boundary counts: a person came from another partition,
        or another worker did not fire it yet.
        """
        due = self._earliest()
        at = min(until, _boundary(max(due, self.ticked + 1) if due > -math.inf else due))
        self.ticked, self._due = at, self._earliest()

    def _earliest(self, after: int = ALL) -> float:
        if self._policy.peek_timers is None:
            return -math.inf
        due = self._policy.peek_timers(self._partition, after)
        return math.inf if due is None else due


def _boundary(due: float) -> int:
    """The boundary at or after ``due``; later than every slot where nothing is due, or nobody knows what is."""
    return -(-int(due) // PERIOD) * PERIOD if -math.inf < due < math.inf else _NEVER


def _period(time: int) -> int:
    return time // PERIOD
