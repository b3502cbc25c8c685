"""Reads ClickHouse for reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sinks.clickhouse.read_only_query import query, query_values

if TYPE_CHECKING:
    import polars as pl

    from sinks.clickhouse.client import ClickHouse
    from sinks.clickhouse.result_table import ResultTable


class Facts:
    """The tables and views of one store, read-only."""

    def __init__(self, store: ClickHouse) -> None:
        """``store`` must stay open for as long as this is used."""
        self._store = store

    def biggest_tenant(self) -> str:
        """Return the tenant with most users; ``default`` where there is none. Raises ``StoreError``."""
        found = self.rows("SELECT tenant_id FROM activation ORDER BY people DESC, tenant_id LIMIT 1")
        return next((str(row["tenant_id"]) for row in found), "default")

    def frame(self, sql: str, **parameters: Any) -> pl.DataFrame:
        """Return the rows of one read; ``parameters`` fill ``{name:Type}`` places. Raises ``StoreError``."""
        return query(self._store, sql, parameters)

    def table(self, sql: str, **parameters: Any) -> ResultTable:
        """Return the rows of one read, with every type of ClickHouse as the value that it means."""
        return query_values(self._store, sql, parameters)

    def rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return the rows of one read as dictionaries."""
        return self.frame(sql, **parameters).to_dicts()
