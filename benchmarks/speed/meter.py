"""Counts and times one contender, and prints its result as one line of JSON. Only the standard library is imported."""

from __future__ import annotations

import json
import sys
import time
import zlib
from pathlib import Path
from typing import Any


class Meter:
    """Events are counted as they are read, outputs as they leave. The first ``warm`` events are not timed.

    ``digest`` is the sum of the checksums of all outputs, so it does not depend on their order.
    """

    def __init__(self, events: int, warm: int) -> None:
        """``events``: how many there are to read, warm-up included."""
        self.events, self.warm = events, warm
        self.seen = self.outputs = self.digest = 0
        self._begun = self._ended = 0.0
        self._cpu_begun = self._cpu_ended = 0.0
        self._timed_from = 0

    def read(self, count: int = 1) -> None:
        """Count events that were read. The clock starts when all events of the warm-up were read before."""
        if not self._begun and self.seen >= self.warm:
            self._begun, self._cpu_begun, self._timed_from = time.perf_counter(), time.process_time(), self.seen
        self.seen += count

    def out(self, user: str, change: tuple[str, Any]) -> None:
        """Count one output."""
        self.outputs += 1
        self.digest = (self.digest + zlib.crc32(f"{user} {change[0]} {change[1]}".encode())) % 2**32

    def processed(self) -> None:
        """Note that all events read so far have been processed."""
        self._ended, self._cpu_ended = time.perf_counter(), time.process_time()

    def measured(self, **more: Any) -> dict[str, Any]:
        """Return the result. Raises ``SystemExit`` if events are missing, or if the warm-up was all."""
        if self.seen != self.events or not self._begun:
            sys.exit(f"read {self.seen} events of {self.events}, of which {self.warm} are warm-up")
        seconds, timed = self._ended - self._begun, self.events - self._timed_from
        return {
            "eventsPerSecond": timed / seconds,
            "cpuPerEvent": (self._cpu_ended - self._cpu_begun) / timed,
            "seconds": seconds,
            "events": self.events,
            "outputs": self.outputs,
            "digest": self.digest,
            "peakMb": peak_mb(),
            **more,
        }

    def print(self, **more: Any) -> None:
        """Print the result as a line of JSON."""
        print(json.dumps(self.measured(**more)), flush=True)


def peak_mb() -> float | None:
    """Return the most memory that this process has had in RAM; None where the system does not tell.

    ``ru_maxrss`` would be that of the process that started this one, if it is larger.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), None)
