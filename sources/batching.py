"""Decides where a batch ends and where a tick stands. Timers fire in the same order for every division of the input into batches.

Log time is divided into slots. When a message enters a later slot, the timers up to the start of that slot are due before it: a tick stands
between them. Four facts allow batches of many messages, with a tick among them:

- On one worker Bytewax asks for a batch only after the last one was processed completely. ``peek_timers`` then knows every timer.
- No timer is registered for earlier than ``lookahead`` after the log time of the item that registers it. A batch may therefore extend
  that far across slots without another look at the timers.
- ``track`` runs the timers and events of a person in input order, so a tick may share a batch with the messages around it.
- What a tick registers is due after it, maybe soon. So after a tick the batch may go on within its slot, and no further.

A switch of guidance wakes people from the next millisecond on, sooner than the lookahead. So a source ends its batch after a message that
may be one (``state.events.may_switch``); in a log a switch has no key.

Learned parameters change at boundaries of log time (``state/stuck/parameters.py``). So no batch extends across a boundary, and no tick
fires timers on both sides of one: items after the boundary need the parameters that were learned before it. A tick at a boundary belongs to
the time before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from state.stuck.parameters import PERIOD


def nothing() -> None:
    """Do nothing."""


class BatchAction(Enum):
    """What a source does before a message that enters a later slot."""

    APPEND = "append the message to the batch"
    END_BATCH = "end the batch before the message"
    TICK = "append a tick at ``ticked``, then the message"
    TICK_AND_END = "append a tick at ``ticked``, and end the batch before the message"


TICKS: Final = frozenset({BatchAction.TICK, BatchAction.TICK_AND_END})
"""The actions with which the source appends a tick."""
ENDS: Final = frozenset({BatchAction.END_BATCH, BatchAction.TICK_AND_END})
"""The actions with which the batch ends before the message."""


@dataclass(frozen=True)
class BatchPolicy:
    """How a source forms batches. ``peek_timers`` is called on the worker's thread."""

    peek_timers: Callable[[int], int | None] | None
    """Returns the earliest timer of a partition, or None. If unset (several processes share the timers), every slot may have timers."""
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

    __slots__ = ("_due", "_has_tick", "_partition", "_policy", "_safe_until", "first", "ticked")

    def __init__(self, policy: BatchPolicy, partition: int, ticked: int) -> None:
        self._policy = policy
        self._partition = partition
        self.ticked = ticked
        self._due = -math.inf  # the earliest timer before the last tick
        self.first: int | None = None
        self._safe_until = math.inf  # what the messages of the batch register is due at this time or later
        self._has_tick = False

    def begin_batch(self) -> None:
        """Begin an empty batch."""
        self.first, self._safe_until, self._has_tick = None, math.inf, False

    def begin_messages(self, time: int) -> None:
        """The first message of the batch has the log time ``time``."""
        self.first, self._safe_until = time, time + self._policy.lookahead(time)

    def decide(self, start: int, time: int) -> BatchAction:
        """Return what to do before a message of log time ``time``, whose slot begins at ``start``. The source appends the tick at once.

        If a tick did not remove the earliest timer (another worker holds it), the source does not wait for it.
        """
        first = self.first
        if self._has_tick or start >= self._safe_until:
            return BatchAction.END_BATCH
        due = self._earliest() if start >= self.ticked else math.inf
        at = start if due in (-math.inf, math.inf) else min(start, -(-int(due) // PERIOD) * PERIOD)
        if at < self.ticked or (self.ticked == at and due <= self._due):
            at = start
        if due > start or (self.ticked == at and due <= self._due):
            return BatchAction.APPEND if first is None or _period(first) == _period(time) else BatchAction.END_BATCH
        if first is not None and not (at == start and _period(at - 1) == _period(first)):
            return BatchAction.END_BATCH
        self.ticked, self._due, self._has_tick = at, due, True
        return BatchAction.TICK if _period(at - 1) == _period(time) else BatchAction.TICK_AND_END

    def record_tick(self, at: int) -> None:
        """Record a tick that the source emits without ``decide``."""
        self.ticked, self._due = at, self._earliest()

    def _earliest(self) -> float:
        if self._policy.peek_timers is None:
            return -math.inf
        due = self._policy.peek_timers(self._partition)
        return math.inf if due is None else due


def _period(time: int) -> int:
    return time // PERIOD
