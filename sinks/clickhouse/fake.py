"""An inserter without a store, with knobs to fail: for tests of whatever depends on delivery."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import polars as pl

from sinks.clickhouse.errors import PermanentInsert, TransientInsert
from state.records.recommendation import Erase


class FakeInserter:
    """Keeps what it is given in ``calls``, in order.

    Knobs: ``failures`` calls fail first as a server that is down would; a row whose first column is in ``poison`` makes its insert
    fail for good; while ``gate`` is cleared, every insert hangs. ``entered`` is set when an insert begins.
    """

    def __init__(self, *, failures: int = 0, poison: frozenset[str] = frozenset()) -> None:
        self.failures = failures
        self.poison = poison
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.calls: list[tuple[str, pl.DataFrame]] = []
        self.erased: list[Erase] = []
        self.attempts = 0

    def rows(self, table: str) -> list[tuple[object, ...]]:
        """All rows delivered to a table, doubles included."""
        return [row for name, frame in self.calls if name == table for row in frame.rows()]

    def warm(self) -> None:
        """Nothing to connect to."""

    def insert(self, table: str, frame: pl.DataFrame) -> None:
        """Fail, hang or keep the rows, as told."""
        self.entered.set()
        self.gate.wait()
        self.attempts += 1
        if self.failures > 0:
            self.failures -= 1
            raise TransientInsert("the fake store is down")
        if self.poison & set(frame.to_series(0).cast(pl.String)):
            raise PermanentInsert("the fake store refuses this row")
        self.calls.append((table, frame))

    def erase(self, erasures: Sequence[Erase]) -> None:
        """Remember who was erased."""
        self.erased += erasures

    def close(self) -> None:
        """Nothing to let go of."""
