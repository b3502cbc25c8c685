"""Everything that readers see: the records in Redis, every table and every view of ClickHouse, the dead letters, the counts of the summary.

Two runs are equal if all of it is. For the learner that means: the rows of ``arm_posteriors`` are the same bytes, version by version, and
so are the counted outcomes and every drawn probability. A log of one partition has one order, so nothing less is asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sinks.clickhouse.client import ClickHouse
from tests.support.job_state import State, read_state

NOT_COMPARED: Final = frozenset({"freshness", "step_metrics_1m_final"})
"""Views that compare with the present, and partial sums, which may be cut anywhere: ``read_state`` compares the sums."""
_DIGITS: Final = 10
"""Of floats in views. ClickHouse adds up in the order in which it finds the rows on disk, and the last digits depend on that."""


def what_readers_see(store: ClickHouse, redis_url: str, dead_letters: Path, summary: Mapping[str, Any]) -> State:
    """Read all of it. The job has ended, and its rows are delivered."""
    try:
        state = read_state(store, redis_url, dead_letters, summary)
        for view in views(store):
            found = store.client().query(f"SELECT * FROM {view}")
            rows = (dict(zip(found.column_names, map(_rounded, row), strict=True)) for row in found.result_rows)
            state[f"view {view}"] = sorted(json.dumps(row, default=str) for row in rows)
        return state
    finally:
        store.close()


def views(store: ClickHouse) -> list[str]:
    """The views of the store, but for ``NOT_COMPARED``."""
    sql = "SELECT name FROM system.tables WHERE database = {database:String} AND engine = 'View' ORDER BY name"
    found = store.client().query(sql, parameters={"database": store.database}).result_rows
    return [name for (name,) in found if name not in NOT_COMPARED]


def _rounded(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
