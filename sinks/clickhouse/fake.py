"""An inserter without a store, with knobs for failures. For tests."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import polars as pl

from sinks.clickhouse.errors import PermanentInsert, TransientInsert
from state.records.recommendation import Erase


class FakeInserter:
    """Keeps the inserted frames in ``calls``, in order.

    Knobs: the first ``failures`` inserts fail like those of a server that is down, and so do the first ``refused_erasures``. A row with a
    text in ``poison`` makes its insert fail permanently. While ``gate`` is cleared, every insert blocks. ``entered`` is set when an insert
    begins.
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
        self.refused_erasures = 0
        self._left: list[tuple[str, dict[str, Any]]] = []

    def rows(self, table: str) -> list[tuple[object, ...]]:
        """All rows delivered to a table, duplicates included."""
        return [row for name, frame in self.calls if name == table for row in frame.rows()]

    def left(self, table: str, column: str) -> set[str]:
        """The values of a column in all rows that were delivered to a table and not erased afterwards."""
        return {row[column] for name, row in self._left if name == table}

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
        if any(self.poison.intersection(texts) for texts in frame.select(pl.col(pl.String))):
            raise PermanentInsert("the fake store refuses this row")
        self.calls.append((table, frame))
        self._left += [(table, row) for row in frame.to_dicts()]

    def erase(self, erasures: Sequence[Erase]) -> None:
        """Fail, or keep the erasures and forget the rows, as the knobs say."""
        if self.refused_erasures > 0:
            self.refused_erasures -= 1
            raise TransientInsert("the fake store erases nothing")
        self.erased += erasures
        self._left = [(table, row) for table, row in self._left if not any(is_erased(row, each) for each in erasures)]

    def close(self) -> None:
        """Do nothing: there is no connection."""


def is_erased(row: dict[str, Any], erasure: Erase) -> bool:
    """Return whether ClickHouse would delete a row."""
    if "user_ids" in row:
        return erasure.user_id in row["user_ids"] and (not row["tenant_ids"] or erasure.tenant_id in row["tenant_ids"])
    return (row.get("tenant_id"), row.get("user_id")) == (erasure.tenant_id, erasure.user_id) and row["version"] < erasure.version
