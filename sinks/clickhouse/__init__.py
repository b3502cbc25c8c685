"""Writes facts to ClickHouse for analysts, through a durable spool on disk.

Read in this order: ``sink`` (why each row enters the spool once), ``spool`` (files and stages), ``drain`` (delivery), ``migrate`` (schema
and views), ``query`` (read-only SQL).
"""

from __future__ import annotations

from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.delivery import DeliveryResult, FactDelivery
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.read_only_query import query

__all__ = ["ClickHouse", "DeliveryResult", "FactDelivery", "migrate", "query"]
