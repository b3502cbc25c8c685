"""Decides where a batch ends and where a tick stands. Timers fire in the same order for every division of the input into batches.

Log time is divided into slots. When a message enters a later slot, the timers up to the start of that slot are due before it. Two facts
make them known without ending a batch at every slot:

- On one worker Bytewax asks for a batch only after the last one was processed completely. ``peek_timers`` then knows every timer.
- No timer is registered for earlier than ``lookahead`` after the log time of the item that registers it. A batch may therefore extend
  that far across slots without another look at the timers.

A switch of guidance wakes people from the next millisecond on, sooner than the lookahead. So a source ends its batch after a message that
may be one (``state.events.may_switch``); in a log a switch has no key.

Learned parameters change at boundaries of log time (``state/stuck/parameters.py``). So no batch extends across a boundary, and no tick
fires timers on both sides of one: items after the boundary need the parameters that were learned before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from state.stuck.parameters import PERIOD


class BatchAction(Enum):
    """What a source does before a message that enters a later slot."""

    APPEND = "append the message to the batch"
    END_BATCH = "end the batch before the message"
    TICK = "emit a batch of one tick at ``ticked``: the start of the message's slot, or a boundary before it"


@dataclass(frozen=True)
class BatchPolicy:
    """How a source forms batches. ``peek_timers`` is called on the worker's thread."""

    peek_timers: Callable[[int], int | None] | None
    """Returns the earliest timer of a partition, or None. If unset (several processes share the timers), every slot may have timers."""
    lookahead: Callable[[int], int]
    """Returns the lookahead in milliseconds for a batch that begins at this log time. It changes only at boundaries of log time."""
    batch_size: int = 1_000

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a batch size with which nothing would be read."""
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}; it must be at least 1")


class BatchPlanner:
    """Applies a ``BatchPolicy`` to one partition. ``ticked`` is the time of its last tick; the source keeps it in its snapshot."""

    __slots__ = ("_due", "_partition", "_policy", "ticked")

    def __init__(self, policy: BatchPolicy, partition: int, ticked: int) -> None:
        self._policy = policy
        self._partition = partition
        self.ticked = ticked
        self._due = -math.inf  # the earliest timer before the last tick

    def decide(self, start: int, horizon: int | None) -> BatchAction:
        """Return what to do before a message whose slot begins at ``start``. ``horizon`` is that of the batch, None while it is empty.

        A fired timer may register another one that is due at once. So a tick is repeated while the earliest timer has changed and is still
        due. If a tick did not remove the earliest timer (another worker holds it), the source does not wait for it.
        """
        due = self._earliest()
        if horizon is not None:
            return BatchAction.END_BATCH if due <= start or start >= horizon else BatchAction.APPEND
        if due > start:
            return BatchAction.APPEND
        at = start if due == -math.inf else min(start, -(-int(due) // PERIOD) * PERIOD)
        if at < self.ticked or (self.ticked == at and due <= self._due):
            at = start
        if self.ticked == at and due <= self._due:
            return BatchAction.APPEND
        self.ticked, self._due = at, due
        return BatchAction.TICK

    def horizon_of(self, time: int) -> int:
        """Return where a batch ends whose first message has the log time ``time``: after the lookahead or at the next boundary."""
        return min(time + self._policy.lookahead(time), (time // PERIOD + 1) * PERIOD)

    def record_tick(self, at: int) -> None:
        """Record a tick that the source emits without ``decide``."""
        self.ticked, self._due = at, self._earliest()

    def _earliest(self) -> float:
        if self._policy.peek_timers is None:
            return -math.inf
        due = self._policy.peek_timers(self._partition)
        return math.inf if due is None else due
