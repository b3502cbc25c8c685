"""Log time of one partition of a log: from the append times of its messages, and from the wall clock while it is read to its end.

``log_time`` is the largest append time so far. Ticks lie on a grid of one second and stay ``LAG_MS`` behind it, so that on several workers
a timer does not overtake an event. A batch ends before a message that would pass a due timer (``sources/batching.py``), so catching up on
a backlog gives the same results as a live run. No batch extends across a boundary at which learned parameters change. While a partition is
idle and was read to its end, the wall clock minus ``IDLE_MARGIN_MS`` advances log time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from sources.alignment import NEVER
from sources.batching import BatchAction, BatchPlanner, BatchPolicy
from state.messages import Tick
from state.times import YEAR_2000

GRID_MS: Final = 1_000
LAG_MS: Final = 1_000
IDLE_MARGIN_MS: Final = 2_000
"""More than the difference between the clocks of writer and job, plus the transport time of a message."""
MAX_AHEAD_MS: Final = 300_000
"""A timestamp further than this past the job's clock comes from a writer with a wrong clock. It does not advance log time."""
MIN_TIME: Final = YEAR_2000
_APPEND: Final = BatchAction.APPEND
"""By its class a member of an ``Enum`` takes ten times as long to find, and nearly every message is appended."""


class TimeState(NamedTuple):
    """What a source keeps in its snapshot. ``seq`` is that of the last message, ``ticked`` the time of the last tick."""

    log_time: int = MIN_TIME
    seq: int = 0
    ticked: int = MIN_TIME


BEGINNING: Final = TimeState()
"""Before the first message."""


class LogTime:
    """The log time of one partition, and where its batches end and its ticks stand. The source calls it for every message, in order."""

    __slots__ = ("_now", "_partition", "_planner", "_run_end", "_slot_end", "_trusted_until", "_until", "idle_time", "log_time", "seq")

    def __init__(self, policy: BatchPolicy, partition: int, state: TimeState = BEGINNING, *, now: Callable[[], int]) -> None:
        """Resume at ``state``. ``now`` returns wall-clock milliseconds."""
        self.log_time, self.seq, ticked = state
        self.idle_time = MIN_TIME
        """What the wall clock says. ``commit_idle_time`` makes it ``log_time`` with the next snapshot."""
        self._planner = BatchPlanner(policy, partition, ticked)
        self._partition = partition
        self._now = now
        self._trusted_until = 0
        self._slot_end = 0
        self._run_end = 0  # what is appended before this time follows the last message of the batch
        self._until = NEVER

    @property
    def state(self) -> TimeState:
        """What a snapshot keeps."""
        return TimeState(self.log_time, self.seq, self._planner.ticked)

    def tick(self) -> Tick:
        """Return the last tick."""
        return Tick(self._partition, self._planner.ticked, self.seq + 1)

    @property
    def has_tick(self) -> bool:
        """Whether log time has passed a tick that was not emitted yet."""
        return self.log_time // GRID_MS * GRID_MS - LAG_MS > self._planner.ticked

    def passed_tick(self) -> Tick | None:
        """Return the first tick that log time has passed and that was not emitted yet, None without one.

        Call it before each batch, and emit the tick alone: after long idle time further ones follow, as it fires no timers on both sides of
        a boundary.
        """
        at = self.log_time // GRID_MS * GRID_MS - LAG_MS
        if at <= self._planner.ticked:
            return None
        self._planner.pass_time(at)
        return self.tick()

    def begin_batch(self, until: int = NEVER) -> None:
        """Begin an empty batch. It ends before a message of the log time ``until`` or later (``sources/alignment.py``)."""
        self._planner.begin_batch()
        self._slot_end = self.log_time // GRID_MS * GRID_MS + GRID_MS
        self._run_end = 0
        self._until = until

    def expected(self, stamp: int | None) -> int:
        """Return the log time that a message appended at ``stamp`` (ms) will have; without one the least that it can have."""
        return self.log_time if stamp is None else max(self.log_time, self._trusted(stamp))

    def take_next(self, stamp: int) -> int:
        """Do what ``admit`` and ``append`` do, where the message follows another one of the batch in the same slot: most messages.

        Return its seq; its log time is ``stamp``. Elsewhere do nothing and return 0.
        """
        if not self.log_time <= stamp < self._run_end:
            return 0
        self.log_time = stamp
        self.seq = seq = self.seq + 2
        return seq

    def admit(self, stamp: int | None) -> tuple[int, BatchAction]:
        """Return the log time of a message appended at ``stamp`` (ms), or now without one, and what to do before the message.

        A ``stamp`` too far ahead moves nothing. The tick to append is ``tick()``.
        """
        at = stamp if stamp is not None and self.log_time <= stamp <= self._trusted_until else max(self.log_time, self._trusted(stamp))
        if at >= self._until and stamp is not None:
            return at, BatchAction.END_BATCH
        if at < self._slot_end:
            return at, _APPEND
        start = at // GRID_MS * GRID_MS - LAG_MS
        action = self._planner.decide(start, at)
        if not action.ends:
            self._slot_end = start + LAG_MS + GRID_MS
        return at, action

    def append(self, at: int) -> int:
        """Take the admitted message of log time ``at`` into the batch, and return its seq."""
        if self._planner.first is None:
            self._planner.begin_messages(at)
        self.log_time = at
        self._run_end = min(self._slot_end, self._trusted_until + 1, self._until)
        self.seq += 2
        return self.seq

    def advance_idle(self, read_until: int) -> None:
        """Advance idle time by the wall clock. Everything that was appended up to ``read_until`` (ms) was read.

        No message carries this time. If its tick were emitted at once, a crash could undo it after an app had read the results, and the
        messages of the next run would come before it. So the snapshot stores the time first, and the tick is emitted once it is durable.
        """
        self.advance_idle_to(read_until - IDLE_MARGIN_MS)

    def advance_idle_to(self, at: int) -> None:
        """Advance idle time to ``at`` (ms). No message before it will come."""
        at = at // GRID_MS * GRID_MS
        if at > self._planner.ticked and at >= self.log_time:
            self.idle_time = max(self.idle_time, at)

    def commit_idle_time(self) -> None:
        """Advance log time to idle time. Call it when a snapshot is taken, before its values are read."""
        self.log_time = max(self.log_time, self.idle_time)

    def _trusted(self, stamp: int | None) -> int:
        """Return ``stamp``; the job's clock if there is none; 0 if it lies too far in the future."""
        if stamp is None:
            return self._now()
        if stamp > self._trusted_until:
            self._trusted_until = self._now() + MAX_AHEAD_MS
            if stamp > self._trusted_until:
                return 0
        return stamp
