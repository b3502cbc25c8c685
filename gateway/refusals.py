"""Counts what the server refuses before the application sees it. Anybody can cause as much of it as they like, so little is logged."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, Literal

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from state.metrics import REFUSALS

_LOG = logging.getLogger(__name__)
_EVERY_SECONDS: Final = 60.0

Reason = Literal["not_http", "headers_too_large", "unanswered", "memory", "connections", "made_room"]
"""No HTTP, a head that is too large, too many requests on one connection, too many bytes of all of them, a request beyond the limit of
connections, and a connection that was closed for a new one.
"""


class Refusals(Collector):
    """The figures of one process since its start. Used from the event loop only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing was refused yet. ``clock`` is in seconds."""
        self._clock = clock
        self._counts: Counter[Reason] = Counter()
        self._untold: Counter[Reason] = Counter()
        self._next_line = float("-inf")

    def add(self, reason: Reason) -> None:
        """Count one, and log how many there were since the last line, at most once a minute."""
        self._counts[reason] += 1
        self._untold[reason] += 1
        now = self._clock()
        if now >= self._next_line:
            self._next_line = now + _EVERY_SECONDS
            told = ", ".join(f"{each} {count:,}" for each, count in sorted(self._untold.items()))
            _LOG.warning(
                "refused before they were read, since the last such line: %s (onramp_gateway_refusals_total in docs/metrics.md)", told
            )
            self._untold.clear()

    def collect(self) -> list[CounterMetricFamily]:
        """The figures, for ``prometheus_client``."""
        refused = CounterMetricFamily(REFUSALS.name, REFUSALS.meaning, labels=REFUSALS.labels)
        for reason, count in sorted(self._counts.items()):
            refused.add_metric((reason,), count)
        return [refused]
