"""Everything that a job has left, in one canonical form, so that two runs can be compared."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.drain import Drain
from sinks.clickhouse.inserter import ClickHouseInserter
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.spool import Spool
from sinks.redis.client import connect
from state.records.facts import FACTS, Fact, StepMetricFact
from tests.support.waiting import wait_until

State = dict[str, list[str]]
"""Name of a store or table → its sorted rows as text."""

_SHOWN: Final = 12  # differing lines of a table shown, enough to see what kind of difference it is

PLACES: Final = {
    "events": ("source_offset", "source_partition", "log_time"),
    "dead_letters": ("dead_letter_id", "topic", "source_offset", "source_partition", "log_time"),
    "dead_letter_file": ("topic", "offset", "partition", "logTime"),
}
"""Columns that say where a message stood: other where the same messages were split or named otherwise."""


def read_state(store: ClickHouse, redis_url: str, dead_letters: Path | None, summary: Mapping[str, Any]) -> State:
    """Read all stores of a job whose rows are delivered."""
    state = {kind.TABLE: _table(store, kind) for kind in FACTS}
    state["redis"] = read_records(redis_url)
    state["summary"] = _lines(_tally(summary))
    if dead_letters is not None:
        state["dead_letter_file"] = sorted(dead_letters.read_text().splitlines()) if dead_letters.exists() else []
    return state


def deliver_rest(spool: Path, store: ClickHouse) -> None:
    """Deliver what a stopped job has left in its spool: it does not wait long for ClickHouse when somebody asks it to stop.

    Nor does it wait for the last migration.
    """
    migrate(store)
    waiting = Spool(spool)
    drain = Drain(waiting, ClickHouseInserter(store))
    wait_until(lambda: not drain.drain_once(), "the delivery of the last rows")
    assert not waiting.segments("ready"), "every epoch of a job that stopped in order is delivered"
    assert not waiting.segments("pending"), "a job that stopped in order leaves no epoch in doubt"


def differences(expected: State, found: State, *, without: Mapping[str, Iterable[str]] | None = None) -> str:
    """What is not the same, for a person to read; empty where nothing is. ``without`` names columns to leave out, by table."""
    told: list[str] = []
    for table in sorted(expected.keys() | found.keys()):
        left_out = frozenset((without or {}).get(table, ()))
        before, after = (_project(state.get(table, []), left_out) for state in (expected, found))
        if before != after:
            changed = [line for line in difflib.unified_diff(before, after, n=0, lineterm="") if line[:3] not in ("---", "+++")]
            changed = [line for line in changed if not line.startswith("@@")]
            told.append(f"{table}: {len(before)} rows expected, {len(after)} found, {len(changed)} lines differ")
            told += [f"    {line[:600]}" for line in changed[:_SHOWN]]
    return "\n".join(told)


def rows(state: State, table: str) -> list[dict[str, Any]]:
    """The rows of one table as objects."""
    return [json.loads(line) for line in state[table]]


def read_records(url: str) -> list[str]:
    """The records in Redis, sorted, as JSON, each with its key."""
    client = connect(url)
    try:
        records = {bytes(key).decode(): client.get(key) for key in client.scan_iter(match="onramp:{*}:rec", count=1000)}
        return sorted(json.dumps({"key": key, **json.loads(value or b"{}")}) for key, value in records.items())
    finally:
        client.close()


def _table(store: ClickHouse, kind: type[Fact]) -> list[str]:
    what = "*"
    if kind is StepMetricFact:  # partials may be cut anywhere; their sums are the figures
        what = "tenant_id, minute, path_id, step_id, metric, label, sum(count) AS total"
    sql = f"SELECT {what} FROM {kind.TABLE} FINAL" + (
        " GROUP BY tenant_id, minute, path_id, step_id, metric, label" if kind is StepMetricFact else ""
    )
    return read_lines(store, sql)


def read_lines(store: ClickHouse, sql: str) -> list[str]:
    """The rows that a query finds, sorted, as JSON."""
    found = store.client().query(sql)
    return sorted(json.dumps(dict(zip(found.column_names, row, strict=True)), default=str) for row in found.result_rows)


def _tally(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in summary.items() if name not in ("thisRun", "notes", "wallSeconds", "eventsPerSecond")}


def _lines(tally: Mapping[str, Any]) -> list[str]:
    return [f"{name}: {json.dumps(value, sort_keys=True)}" for name, value in sorted(tally.items())]


def _project(lines: list[str], left_out: frozenset[str]) -> list[str]:
    if not left_out:
        return lines
    return sorted(json.dumps({name: value for name, value in json.loads(line).items() if name not in left_out}) for line in lines)
