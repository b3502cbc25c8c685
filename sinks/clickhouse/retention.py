"""How long rows are kept: ``ONRAMP_CLICKHOUSE_RETENTION_DAYS`` and ``ONRAMP_LLM_KEEP_DAYS`` become the TTL of tables."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Final

from clickhouse_connect.driver.exceptions import DatabaseError

from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.migrate import refusal
from sinks.clickhouse.row_ages import AGE_OF, KEPT_CALLS
from state.quantity import count

logger = logging.getLogger(__name__)

_OURS: Final = re.compile(r"TTL toDateTime\((\w+)\) \+ toIntervalDay\((\d+)\)(?: WHERE \w+ > toDateTime64\(0, 3, 'UTC'\))?(?= SETTINGS|$)")


def apply_retention(store: ClickHouse, days: Mapping[str, int]) -> list[str]:
    """Give each table of ``days`` its TTL, and take from the other tables the one that this function gave. Returns the changed tables.

    Call it after ``migrate``. It changes nothing where all is as it should be, so every process may call it at each start. ClickHouse
    deletes the rows in the background, some hours later. A TTL of another form, which an operator set, stays, unless ``days`` names the
    table; that of ``KEPT_CALLS`` stays too, so that calls which were kept still go when their days are over. Raises like ``migrate``.
    """
    client = store.connect(database=store.database)
    changed = []
    try:
        found = client.query("SELECT name, engine_full FROM system.tables WHERE database = {d:String}", {"d": store.database}).result_rows
        engines = {str(name): str(engine) for name, engine in found}
        for table, column in AGE_OF.items():
            ours = _OURS.search(engines.get(table, ""))  # an operator may have dropped one
            now = int(ours[2]) if ours is not None and ours[1] == column else None
            wanted = days.get(table)
            if now == wanted or (wanted is None and table == KEPT_CALLS):
                continue
            if wanted is None:
                client.command(f"ALTER TABLE {table} REMOVE TTL")
            else:
                # The time 0 is that of a message whose time nobody knows.
                known = f"{column} > toDateTime64(0, 3, 'UTC')"
                client.command(f"ALTER TABLE {table} MODIFY TTL toDateTime({column}) + toIntervalDay({wanted}) DELETE WHERE {known}")
            logger.info("rows of %s are kept %s", table, "for ever" if wanted is None else f"for {count(wanted, 'day')}")
            changed.append(table)
    except DatabaseError as error:
        raise refusal(f"ClickHouse at {store.where} refused to change how long rows are kept", error) from None
    else:
        return changed
    finally:
        client.close()
