"""Times every business view on many rows: ``python -m benchmarks.clickhouse_views [--rows N] [--dir DIR] [--tries N] [--json]``.

Rows of all tables, shaped like those of a live job, are made in ClickHouse itself and inserted once: interleaved users, so that the parts
of a table overlap, one row in a hundred twice, four tenants of which one has seven tenths of the rows, a quarter of a year. With ``--dir``
the database is kept there and used again.

A view that is about one user or a range of time is asked like that (``ASKED``), every other one as a whole, for all tenants. A view is read
three times, unless ``--tries`` says otherwise. ``seconds`` is the fastest, on the wall; ``cpu`` is the CPU time of the engine meanwhile,
which says more on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from local.clickhouse import EmbeddedClickHouse
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.errors import QueryFailed
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.read_only_query import query
from state.records.facts import FACTS

AT_ONCE: Final = 500_000
"""Rows of one insert."""
LIMIT_SECONDS: Final = 1.0

_USER = "concat('u-', lower(hex(cityHash64(u))))"
_TENANT = "if(u % 10 < 7, 'main', concat('tenant-', toString(u % 10)))"
_START = "toDateTime64('2026-01-01 00:00:00', 3, 'UTC') + toIntervalMinute(cityHash64(u, 's') % 86400)"
_TRIGGER = "['signup', 'step_completed', 'stuck:inactive', 'stuck:errors', 'stuck:slow_step'][1 + cityHash64(u, i, 't') % 5]"
_ARM = "['moderate_tooltip', 'passive_sidebar', 'aggressive_modal', 'moderate_modal'][1 + cityHash64(u, i, 'a') % 4]"
_GROUP = "if(u % 20 < 2, 'holdout', if(u % 20 < 4, 'rules', 'adaptive'))"
_DECISION = "lower(hex(cityHash64(u, i, 'd')))"
_STEP = "concat('step-', toString(i % 6 + 1))"


def _at(hours: int) -> str:
    return f"({_START} + toIntervalMinute(i * {hours * 60} + cityHash64(u, i) % 50))"


class Shape(NamedTuple):
    """How the rows of a table are made: how many a user has, and the columns from the user's number ``u`` and the row's number ``i``."""

    a_user: int
    columns: dict[str, str]


SHAPES: Final = {
    "events": Shape(
        55,
        {
            "user_id": _USER,
            "event_id": "lower(hex(cityHash64(u, i, 'e')))",
            "session_id": "lower(hex(cityHash64(u, intDiv(i, 8))))",
            "event_type": "if(i % 25 = 24, 'recommendation_shown', ['page_view', 'button_click', 'form_submit', 'track'][1 + i % 4])",
            "name": "if(i % 4 = 3, concat('did_', toString(i % 12)), '')",
            "payload": "if(i % 25 = 24, concat('{\"recommendationId\":\"', lower(hex(cityHash64(u, intDiv(i, 25), 'r'))), '\"}'),"
            " concat('{\"path\":\"/dashboards/', toString(i), '\",\"elapsedMs\":', toString(cityHash64(u, i) % 9000), '}'))",
            "status": "if(cityHash64(u, i) % 200 = 0, 'late', 'applied')",
            "timestamp": _at(5),
            "log_time": f"{_at(5)} + toIntervalSecond(1)",
            "source_partition": "u % 6",
            "source_offset": "number",
            "version": "i + 1",
        },
    ),
    "step_metrics_1m": Shape(
        15,
        {
            "minute": f"toStartOfMinute({_at(16)})",
            "path_id": "'analyst'",
            "step_id": _STEP,
            "metric": "'event'",
            "label": "'page_view'",
            "count": "1",
            "partial_id": "toString(number)",
        },
    ),
    "step_progress": Shape(
        8,
        {
            "user_id": _USER,
            "path_id": "if(u % 3 = 0, 'analyst', 'admin')",
            "step_id": "concat('step-', toString(i % 6 + 1))",
            "position": "i % 6 + 1",
            "status": "if(i % 6 < u % 7, 'completed', if(i % 6 = u % 7, 'current', 'locked'))",
            "attempts": "2",
            "first_seen_at": f"if(i % 6 <= u % 7, {_START} + toIntervalHour(i % 6), toDateTime64(0, 3, 'UTC'))",
            "current_since_at": f"if(i % 6 <= u % 7, {_START} + toIntervalHour(i % 6), toDateTime64(0, 3, 'UTC'))",
            "completed_at": f"if(i % 6 < u % 7, {_START} + toIntervalHour(i % 6 + 1), toDateTime64(0, 3, 'UTC'))",
            "updated_at": f"{_START} + toIntervalHour(i)",
            "version": "i + 1",
        },
    ),
    "decisions": Shape(
        8,
        {
            "decision_id": _DECISION,
            "user_id": _USER,
            "trigger": _TRIGGER,
            "path_id": "if(u % 3 = 0, 'analyst', 'admin')",
            "step_id": _STEP,
            "segment": "if(u % 3 = 0, 'analyst', 'admin')",
            "outcome": "if(i < 3, 'decided', 'declined')",
            "reason": "if(i < 3, '', ['cooldown', 'daily_cap', 'holdout'][1 + i % 3])",
            "arm": f"if(i < 3, {_ARM}, '')",
            "propensity": "0.25",
            "arms": "['moderate_tooltip', 'passive_sidebar', 'aggressive_modal', 'moderate_modal']",
            "propensities": "[0.25, 0.25, 0.25, 0.25]",
            "decided_at": _at(20),
            "version": "i + 1",
            "experiment_group": _GROUP,
        },
    ),
    "outcomes": Shape(
        6,
        {
            "decision_id": "lower(hex(cityHash64(u, i % 3, 'd')))",
            "user_id": _USER,
            "kind": "if(i < 3, 'shown', if(cityHash64(u, i) % 3 = 0, 'success', 'failure'))",
            "trigger": _TRIGGER,
            "arm": _ARM,
            "occurred_at": _at(22),
            "version": "i + 1",
        },
    ),
    "recommendations": Shape(
        3,
        {
            "user_id": _USER,
            "decision_id": _DECISION,
            "recommendation_id": "lower(hex(cityHash64(u, i, 'r')))",
            "trigger": _TRIGGER,
            "arm": _ARM,
            "message": "'Connect a source to see your first chart in a minute.'",
            "ui_component": "'tooltip'",
            "source": "'template'",
            "created_at": _at(20),
            "expires_at": f"{_at(20)} + toIntervalDay(1)",
            "version": "i + 1",
        },
    ),
    "llm_calls": Shape(
        2,
        {
            "decision_id": _DECISION,
            "user_id": _USER,
            "trigger": _TRIGGER,
            "arm": _ARM,
            "status": "if(cityHash64(u) % 20 = 0, 'kept', 'improved')",
            "source": "if(cityHash64(u, i) % 9 = 0, 'call', 'cache')",
            "scope": "'shared'",
            "experiment": "if(u % 10 = 0, 'template', 'model')",
            "cache_key": "toString(cityHash64(u, i) % 5000)",
            "prompt_version": "concat('nudge-', toString(1 + u % 2))",
            "model": "'m'",
            "cost_micros": "if(cityHash64(u, i) % 9 = 0, 400, 0)",
            "latency_ms": "cityHash64(u, i) % 3000",
            "attempts": "1",
            "checks": 'if(cityHash64(u) % 20 = 0, \'[["slots",""],["length","too_long"]]\', \'[["slots",""],["length",""]]\')',
            "asked_at": _at(20),
            "version": "i + 1",
        },
    ),
    "stuck_signals": Shape(
        1,
        {
            "signal_id": "lower(hex(cityHash64(u, i, 'g')))",
            "user_id": _USER,
            "trigger": "['stuck:inactive', 'stuck:errors'][1 + u % 2]",
            "path_id": "if(u % 3 = 0, 'analyst', 'admin')",
            "step_id": "concat('step-', toString(u % 6 + 1))",
            "evidence": "'{}'",
            "detected_at": _at(30),
            "version": "1",
            "score": "0.9",
        },
    ),
    "people": Shape(
        1,
        {
            "user_id": _USER,
            "path_id": "if(u % 3 = 0, 'analyst', 'admin')",
            "experiment_group": _GROUP,
            "user_persona": "if(u % 3 = 0, 'analyst', 'admin')",
            "guidance": "true",
            "steps_completed": "u % 7",
            "steps_total": "6",
            "session_count": "7",
            "first_seen_at": _START,
            "signup_at": _START,
            "last_active_at": f"{_START} + toIntervalHour(275)",
            "activated_at": f"if(u % 7 = 6, {_START} + toIntervalHour(9), toDateTime64(0, 3, 'UTC'))",
            "version": "55",
        },
    ),
}
_A_USER: Final = sum(shape.a_user for shape in SHAPES.values())

ASKED: Final = {
    "person_timeline": f"SELECT * FROM person_timeline WHERE tenant_id = 'main' AND user_id = (SELECT {_USER} FROM (SELECT 12 AS u))",
    "features": f"SELECT * FROM features WHERE tenant_id = 'main' AND user_id = (SELECT {_USER} FROM (SELECT 12 AS u))",
    "step_metrics": "SELECT * FROM step_metrics WHERE minute >= '2026-02-01' AND minute < '2026-02-02'",
    "stuck_episodes": "SELECT count() FROM stuck_episodes",
    "counted_people": "SELECT count() FROM counted_people",
    "llm_asked": "SELECT count() FROM llm_asked",
    "decision_results": "SELECT count() FROM decision_results WHERE result != ''",
}
"""Views with a row for each user, decision, call, episode or minute: what is asked of them."""


class Timing(NamedTuple):
    """How long one view took; ``rows`` is -1 where ClickHouse refused it (too slow, or too much memory)."""

    view: str
    seconds: float
    cpu: float
    rows: int


def load(store: ClickHouse, rows: int) -> int:
    """Migrate and fill the database of ``store``. Returns the number of rows."""
    migrate(store)
    users = max(1, rows // _A_USER)
    written = 0
    for table, shape in SHAPES.items():
        total = users * shape.a_user
        for first in range(0, total, AT_ONCE):
            written += _insert(store, table, shape, users, first, min(AT_ONCE, total - first))
        written += _insert(store, table, shape, users, 0, max(1, total // 100))  # delivered twice
        _say(f"{table}: {total:,} rows")
    store.client().command(
        "INSERT INTO step_statistics (tenant_id, step_id, parameters_version, horizon_ms, learned_at, version)"
        f" SELECT {_TENANT}, concat('step-', toString(s)), 1, 7200000, now64(3), 1"
        " FROM (SELECT arrayJoin(range(10)) AS u) AS u CROSS JOIN (SELECT arrayJoin(range(1, 7)) AS s) AS s"
    )
    return written


def _insert(store: ClickHouse, table: str, shape: Shape, users: int, first: int, count: int) -> int:
    columns = {"tenant_id": _TENANT, **shape.columns}
    store.client().command(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(columns.values())}"
        f" FROM (SELECT number, number % {users} AS u, intDiv(number, {users}) AS i FROM numbers({first}, {count}))",
        settings={"throw_on_max_partitions_per_insert_block": 0},
    )
    return count


def views(store: ClickHouse) -> list[str]:
    """The business views: all but those that show the newest rows of a table."""
    found = query(
        store, "SELECT name FROM system.tables WHERE database = {d:String} AND engine = 'View' ORDER BY name", {"d": store.database}
    )["name"]
    tables = {f"{kind.TABLE}_final" for kind in FACTS}
    return [name for name in found if name not in tables]


def measure(store: ClickHouse, view: str, engine: int, tries: int) -> Timing:
    """Read ``view`` so often. ``engine`` is the id of ClickHouse's process."""
    asked = ASKED.get(view, f"SELECT * FROM {view}")
    best, cpu, rows = float("inf"), float("inf"), 0
    for _ in range(tries):
        began, used = time.perf_counter(), _cpu_seconds(engine)
        try:
            rows = query(store, asked).height
        except QueryFailed as error:
            _say(f"{view}: {error}")
            rows = -1
        best, cpu = min(best, time.perf_counter() - began), min(cpu, _cpu_seconds(engine) - used)
        if rows < 0:
            break
    _say(f"{view}: {best:.2f} s, cpu {cpu:.2f} s")
    return Timing(view, round(best, 3), round(cpu, 3), rows)


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _store(directory: Path | None) -> Iterator[tuple[ClickHouse, int]]:
    with tempfile.TemporaryDirectory() as made:
        where = directory or Path(made)
        where.mkdir(parents=True, exist_ok=True)
        store = ClickHouse(embedded=EmbeddedClickHouse(where), database="size")
        try:
            store.connect(database=None).close()
            yield store, int((where / "server" / "server.lock").read_text(encoding="ascii"))
        finally:
            store.close()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main() -> None:
    """Load, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000, help="rows of all tables together")
    parser.add_argument("--dir", type=Path, help="keep the database here, and use it again")
    parser.add_argument("--views", nargs="*", help="only these views")
    parser.add_argument("--tries", type=int, default=3, help="how often each view is read")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with _store(asked.dir) as (store, engine):
        if store.connect(database=None).command("EXISTS DATABASE size") != 1:
            began = time.perf_counter()
            rows = load(store, asked.rows)
            _say(f"{rows:,} rows in {time.perf_counter() - began:.0f} s")
        else:
            migrate(store)
        timings = [measure(store, view, engine, asked.tries) for view in (asked.views or views(store))]
        parts = query(store, "SELECT count() AS parts, sum(rows) AS rows FROM system.parts WHERE active AND database = 'size'").row(0)
    if asked.json:
        sys.stdout.write(json.dumps({"rows": parts[1], "parts": parts[0], "views": [each._asdict() for each in timings]}) + "\n")
        return
    sys.stdout.write(f"{parts[1]:,} rows in {parts[0]} parts\n\n| view | seconds | cpu | rows |\n|---|---|---|---|\n")
    for each in sorted(timings, key=lambda timing: -timing.seconds):
        sys.stdout.write(f"| `{each.view}` | {each.seconds:.2f} | {each.cpu:.2f} | {each.rows:,} |\n")
    slow = sum(each.seconds > LIMIT_SECONDS for each in timings)
    sys.stdout.write(f"\n{len(timings) - slow} of {len(timings)} views are under {LIMIT_SECONDS:g} s.\n")


if __name__ == "__main__":
    main()
