"""Facts into ClickHouse, for analysts: a durable spool, a drain, migrations and views, and read-only queries.

Read in this order: ``sink`` (why each row enters the spool once), ``spool`` (files and stages), ``drain`` (delivery), ``migrate``.
"""

from __future__ import annotations

from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.delivery import FactDelivery, DeliveryResult
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.query import query

__all__ = ["ClickHouse", "FactDelivery", "Settled", "migrate", "query"]
