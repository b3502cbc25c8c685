"""Measures epochs and the pauses of snapshots, by the calls that Bytewax makes on source partitions anyway.

Bytewax asks a partition for its snapshot at the end of an epoch, and for the next batch only once that epoch is durable. It does so for
each partition separately, so one partition of each worker is measured.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from state.histogram import Histogram
from state.metrics import EPOCH, SNAPSHOT_PAUSE


class EpochClock:
    """One for each process. The workers' threads call ``snapshot`` and ``resumed``; any thread may read."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` is in seconds."""
        self.epochs = Histogram(EPOCH.buckets)
        self.pauses = Histogram(SNAPSHOT_PAUSE.buckets)
        self.paused: dict[int, float] = {}
        """Measured partition whose epoch is not durable yet → when its snapshot was taken. Call ``resumed`` only for a partition in it."""
        self._clock = clock
        self._measured: dict[int, int] = {}
        self._ended: dict[int, float] = {}
        self._lock: Final = threading.Lock()

    def snapshot(self, partition: int) -> None:
        """``partition``, which belongs to the calling thread, was asked for its snapshot."""
        if self._measured.setdefault(threading.get_ident(), partition) != partition:
            return
        now = self._clock()
        if partition in self._ended:
            with self._lock:
                self.epochs.add(now - self._ended[partition])
        self._ended[partition] = self.paused[partition] = now

    def idle_seconds(self) -> float | None:
        """Seconds since an epoch ended on the worker whose epochs ended last; None before the first."""
        ended = tuple(self._ended.values())
        return self._clock() - max(ended) if ended else None

    def resumed(self, partition: int) -> None:
        """``partition``, which is in ``paused``, was asked for a batch."""
        pause = self._clock() - self.paused.pop(partition)
        with self._lock:
            self.pauses.add(pause)
