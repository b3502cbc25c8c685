"""Where a batch ends and a tick stands, so that timers fire in the same order however the input was batched.

Log time is cut into slots. When a message enters a later slot, timers up to the start of that slot are due before it. Two facts make it
possible to know them without ending every batch at every slot:

- on one worker Bytewax asks for a batch only when the last one has drained, so that ``peek_timers`` then knows every timer;
- no timer is registered for earlier than ``lookahead_ms`` after the log time of what registers it, so that a batch may go on across slots
  up to that far without asking again.

What is learned of the steps changes at boundaries of log time (``state/stuck/parameters.py``). So no batch goes on across a boundary, and no tick
fires timers from both sides of one: what was learned before the boundary has to be known behind it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from state.stuck.parameters import PERIOD

MIN_LOOKAHEAD_MS = 60_000


class BatchAction(Enum):
    """What to do before a message that enters a later slot."""

    APPEND = "it belongs to the batch"
    END_BATCH = "the batch ends before it"
    TICK = "the next batch is one tick, at ``ticked``: the start of its slot, or a boundary before that"


@dataclass(frozen=True)
class BatchPolicy:
    """What a source must know of the flow behind it. Called on the worker's thread."""

    peek_timers: Callable[[int], int | None] | None
    """Gives the earliest timer of a partition, or None. Without it (several processes share the timers) every slot may have some."""
    lookahead_ms: int
    batch_size: int = 1_000

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for values under which timers would fire late."""
        if self.lookahead_ms < MIN_LOOKAHEAD_MS:
            raise ValueError(f"lookahead_ms is {self.lookahead_ms}; timers are at least {MIN_LOOKAHEAD_MS} ms away")
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}; it is at least 1")


class BatchPlanner:
    """Applies a ``BatchPolicy`` to one partition. ``ticked`` is the time of its last tick and belongs into a snapshot."""

    __slots__ = ("_due", "_pace", "_partition", "ticked")

    def __init__(self, policy: BatchPolicy, partition: int, ticked: int) -> None:
        self._policy = policy
        self._partition = partition
        self.ticked = ticked
        self._due = -math.inf  # the earliest timer before the last tick

    def at(self, start: int, horizon: int | None) -> BatchAction:
        """Judge a message whose slot begins at ``start``. ``horizon`` is where the batch must end (``horizon_of``), None while it is empty.

        A fired timer may register another that is due at once. Hence a tick is repeated as long as the earliest timer has moved and is
        still due; a timer that a tick did not remove (it waits on another worker) is not waited for.
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
        """Where a batch must end whose first message has the log time ``time``: after the lookahead, and at the next boundary."""
        return min(time + self._policy.lookahead_ms, (time // PERIOD + 1) * PERIOD)

    def mark(self, at: int) -> None:
        """Take note of a tick that the source sends of its own accord."""
        self.ticked, self._due = at, self._earliest()

    def _earliest(self) -> float:
        if self._policy.peek_timers is None:
            return -math.inf
        due = self._policy.peek_timers(self._partition)
        return math.inf if due is None else due
