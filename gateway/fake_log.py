"""An event log in memory for tests, with knobs for failure. It keeps nothing: never serve from it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from gateway.log import Record


class FakeLogError(Exception):
    """What ``failure`` makes the log raise."""


class FakeLog:
    """Takes records like ``EventLog``. ``failure``: raise this sentence. ``gate``: while it is clear, a commit does not end."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.commits: list[int] = []
        self.failure: str | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def append(self, records: Sequence[Record]) -> None:
        """Keep the records in memory. Blocks while ``gate`` is clear, a minute at most."""
        self.entered.set()
        self.gate.wait(60)
        if self.failure is not None:
            raise FakeLogError(self.failure)
        self.records += records
        self.commits.append(len(records))

    def close(self) -> None:
        """Do nothing; what was appended can still be looked at."""
