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

    def tenants(self) -> list[str]:
        """Return the tenants that have users, the one with most of them first. Raises ``StoreError``."""
        people = "SELECT tenant_id FROM people_final WHERE experiment_group != 'merged' GROUP BY tenant_id ORDER BY count() DESC, tenant_id"
        return [str(row["tenant_id"]) for row in self.rows(people)]

    def frame(self, sql: str, **parameters: Any) -> pl.DataFrame:
        """Return the rows of one read; ``parameters`` fill ``{name:Type}`` places. Raises ``StoreError``."""
        return query(self._store, sql, parameters)

    def table(self, sql: str, **parameters: Any) -> ResultTable:
        """Return the rows of one read, with every type of ClickHouse as the value that it means."""
        return query_values(self._store, sql, parameters)

    def rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return the rows of one read as dictionaries."""
        return self.frame(sql, **parameters).to_dicts()
