"""Opens the ClickHouse of the settings. Commands that only read import this, and not what writes."""

from __future__ import annotations

from flows.settings import Settings
from local.clickhouse import EmbeddedClickHouse
from sinks.clickhouse.client import ClickHouse


def open_store(settings: Settings, embedded: EmbeddedClickHouse | None) -> ClickHouse:
    """Return the store of the settings, or the ``embedded`` one. It does not connect yet."""
    if settings.clickhouse_url is None:
        return ClickHouse(embedded=embedded, database=settings.clickhouse_database)
    return ClickHouse(url=settings.clickhouse_url.get_secret_value(), database=settings.database())
