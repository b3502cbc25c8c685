"""How long rows are kept: ``ONRAMP_CLICKHOUSE_RETENTION_DAYS`` becomes the TTL of tables."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from clickhouse_connect.driver.exceptions import DatabaseError

from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.migrate import refusal
from state.quantity import count

logger = logging.getLogger(__name__)

AGE_OF: Final = {
    "events": "log_time",
    "decisions": "decided_at",
    "recommendations": "created_at",
    "llm_calls": "asked_at",
    "outcomes": "occurred_at",
    "stuck_signals": "detected_at",
    "stuck_scores": "judged_at",
    "dead_letters": "log_time",
    "step_metrics_1m": "minute",
}
"""Table → the column by which its rows grow old. The other tables hold what is true now, however old it is."""

_LONGEST: Final = 36_500
_OURS: Final = re.compile(r"TTL toDateTime\((\w+)\) \+ toIntervalDay\((\d+)\)(?: WHERE \w+ > toDateTime64\(0, 3, 'UTC'\))?(?= SETTINGS|$)")


def parse_retention(text: Any) -> Any:
    """Return table → days from ``events=90,dead_letters=30``. A value that is not text is returned unchanged. Raises ``ValueError``."""
    if not isinstance(text, str):
        return text
    days: dict[str, int] = {}
    for pair in filter(None, re.split(r"[,\s]+", text.strip())):
        table, _, number = pair.partition("=")
        if table not in AGE_OF:
            raise ValueError(f"rows are kept by table=days, and the tables whose rows grow old are {', '.join(AGE_OF)}")
        if table in days:
            raise ValueError(f"{table} is there twice; name each table once")
        if not (re.fullmatch("[0-9]{1,5}", number) and 1 <= int(number) <= _LONGEST):
            raise ValueError(f"the days of {table} must be a whole number from 1 to {_LONGEST}")
        days[table] = int(number)
    return days


def apply_retention(store: ClickHouse, days: Mapping[str, int]) -> list[str]:
    """Give each table of ``days`` its TTL, and take from the other tables the one that this function gave. Returns the changed tables.

    Call it after ``migrate``. It changes nothing where all is as it should be, so every process may call it at each start. ClickHouse
    deletes the rows in the background, some hours later. A TTL of another form, which an operator set, stays, unless ``days`` names the
    table. Raises like ``migrate``.
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
            if now == wanted:
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
