"""Measures the time from the cause of a recommendation until Redis has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Lock
from typing import Final

from state.histogram import Histogram
from state.metrics import LATENCY
from state.records.recommendation import Effect, Publish
from state.vocabulary import NO_COMPONENT, TRIGGERS


class WriteLatency:
    """``by_trigger``: trigger → seconds. ``now`` returns wall-clock milliseconds. For live jobs: events of a file happened long ago.

    One serves all partitions of a sink, so several threads may call ``written``, and any thread may read.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        """Nothing was written yet."""
        self.by_trigger = {str(trigger): Histogram(LATENCY.buckets) for trigger in TRIGGERS}
        self._now = now
        self._lock: Final = Lock()

    def written(self, effects: Sequence[Effect]) -> None:
        """Count ``effects``, which Redis has now. Records that take guidance back do not count."""
        now = self._now() / 1000
        with self._lock:
            for effect in effects:
                if isinstance(effect, Publish) and effect.recommendation.ui_component != NO_COMPONENT:
                    record = effect.recommendation
                    caused = datetime.fromisoformat(record.created_at).timestamp()
                    self.by_trigger[record.trigger].add(max(0.0, now - caused))
