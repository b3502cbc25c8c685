"""An inserter without a store, with knobs for failures. For tests."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import polars as pl

from sinks.clickhouse.errors import PermanentInsert, TransientInsert
from state.records.recommendation import Erase


class FakeInserter:
    """Keeps the inserted frames in ``calls``, in order.

    Knobs: the first ``failures`` inserts fail like those of a server that is down. A row whose first column is in ``poison`` makes its
    insert fail permanently. While ``gate`` is cleared, every insert blocks. ``entered`` is set when an insert begins.
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
        """All rows delivered to a table, duplicates included."""
        return [row for name, frame in self.calls if name == table for row in frame.rows()]

    def warm(self) -> None:
        """Do nothing: there is no connection."""

    def insert(self, table: str, frame: pl.DataFrame) -> None:
        """Fail, block or keep the rows, as the knobs say."""
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
        """Keep the erasures."""
        self.erased += erasures

    def close(self) -> None:
        """Do nothing: there is no connection."""
