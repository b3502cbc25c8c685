"""Compares decisions with an earlier commit: ``python -m benchmarks.same_results --base COMMIT [--seed N] [--scenario NAME …]``.

The commit is checked out into a temporary work tree. With ``--compiled`` the engine of this tree is compiled first, in a copy; without
``--base`` that copy is compared with this tree as it is. In both trees the demo runs for every scenario of the population, and the job on
the file that ``benchmarks.generate`` makes (scenario ``file``: it has visitors who sign in later). Then every table of ClickHouse is
compared row by row and column by column, and what ``onramp recommend`` prints for some people (table ``records``). Values must be equal to
the last bit; ``DELIBERATE`` declares what may differ. Prints one line a table, with its first differences, and exits with 1 when there are
any.

Example: ``python -m benchmarks.same_results --base 3f9f2d7 --scenario baseline file --users 100 --days 5``
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from benchmarks.generate import write_input
from benchmarks.table_diff import Deliberate, Difference, Table, compare
from benchmarks.trees import checked_out, cli, python, this_tree

DELIBERATE: Final = Deliberate(
    tables={},
    columns={},
    values={},
    ignored=frozenset({"schema_migrations"}),
    summed={"step_metrics_1m": ("partial_id", "count")},
    tolerances={},
)
"""The intended differences between the base and this tree; add a reason to each entry.

``step_metrics_1m``: a minute's figure is the sum over its partial rows; their number depends on where batches end, also within one tree.
``schema_migrations`` holds no facts, only the applied files and their times. No column needs a tolerance so far.
"""

SCENARIOS: Final = ("baseline", "no_effect", "drift", "new_arm", "harmful_arm", "bots", "messy", "cold", "misspecified")
FILE: Final = "file"
SECRET: Final = "the same in both trees"
TIMEOUT: Final = 600.0
"""Seconds for one command. A demo of 300 people takes 20 on a quiet core."""

_READ: Final = """
import contextlib, fcntl, json, sys
import clickhouse_connect
with contextlib.suppress(FileNotFoundError), open(sys.argv[1] + "/status", "r+") as status:
    fcntl.flock(status, fcntl.LOCK_EX)  # the process that serves a directory ends some seconds after its last user, and removes the file
client = clickhouse_connect.get_client(interface="chdb", path=sys.argv[1], database="onramp")
names = client.query("SELECT name FROM system.tables WHERE database = 'onramp' AND engine LIKE '%MergeTree' ORDER BY name").result_rows
for (name,) in names:
    final = client.query(f"SELECT * FROM {name} FINAL")
    print(json.dumps({"name": name, "columns": final.column_names, "rows": final.result_rows}, default=str))
"""


def run(tree: Path, scenario: str, data: Path, *, seed: int, users: int, days: int, source: Path) -> list[Table]:
    """Run one scenario in ``tree`` with its data in ``data``; return the tables it wrote."""
    module = cli(tree)
    if scenario == FILE:
        command = ["run", "--input", str(source)]
    else:
        command = ["demo", "--scenario", scenario, "--seed", str(seed), "--users", str(users), "--days", str(days)]
    python(tree, ["-m", module, *command, "--json", "--data-dir", str(data)], timeout=TIMEOUT, ONRAMP_SECRET=SECRET)
    own = data / "demo" if scenario != FILE else data
    printed = python(tree, ["-c", _READ, str(own / "clickhouse")], timeout=TIMEOUT)
    return [Table(each["name"], each["columns"], each["rows"]) for each in map(json.loads, printed.splitlines())]


def records(tree: Path, data: Path, users: Sequence[str]) -> Table:
    """Return the records that an app would read from Redis for ``users``."""
    rows = []
    for user in users:
        command = ["-m", cli(tree), "recommend", user, "--json", "--data-dir", str(data)]
        record = json.loads(python(tree, command, timeout=TIMEOUT, ONRAMP_SECRET=SECRET))
        rows.append([user, json.dumps(record, sort_keys=True)])
    return Table("records", ["user_id", "record"], rows)


def some_users(tables: Sequence[Table], number: int) -> list[str]:
    """Return ``number`` people with recommendations, spread over the alphabet."""
    for table in tables:
        if table.name == "recommendations":
            place = list(table.columns).index("user_id")
            users = sorted({str(row[place]) for row in table.rows})
            return users[:: max(1, len(users) // max(1, number))][:number]
    return []


def describe(scenario: str, counts: Mapping[str, tuple[int, int]], found: Sequence[Difference]) -> str:
    """Format one line per table, with its first differences below it."""
    lines = []
    for name in sorted(counts.keys() | {each.table for each in found}):
        base, new = counts.get(name, (0, 0))
        own = [each for each in found if each.table == name]
        rows = f"{base:,}" if base == new else f"{base:,} / {new:,}"
        lines.append(f"{scenario:13} {name:18} {rows:>16} rows   {f'{len(own):,} differences' if own else 'equal'}")
        lines += [f"    {each.text}" for each in own[:3]]
    return "\n".join(lines)


def main() -> None:
    """Run the comparison, print it, and exit with 1 if there is a difference."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.same_results",
        description="Check that two trees, or two builds of one, decide alike.",
    )
    parser.add_argument("--base", metavar="COMMIT", help="commit to compare with; with --compiled this tree without it")
    parser.add_argument("--compiled", action="store_true", help="compile a copy of this tree and compare that")
    parser.add_argument("--seed", type=int, default=1, help="seed of the people (default: 1)")
    parser.add_argument("--scenario", nargs="+", choices=[*SCENARIOS, FILE], default=[*SCENARIOS, FILE], help="(default: all)")
    parser.add_argument("--users", type=int, default=300, help="people of a demo (default: 300)")
    parser.add_argument("--days", type=int, default=10, help="days of a demo (default: 10)")
    parser.add_argument("--events", type=int, default=15_000, help="lines of the file (default: 15000)")
    parser.add_argument("--records", type=int, default=3, help="people whose record in Redis is compared (default: 3)")
    given = parser.parse_args()
    if given.base is None and not given.compiled:
        parser.error("--base COMMIT is missing, or --compiled")
    different = 0
    with (
        tempfile.TemporaryDirectory() as directory,
        this_tree(compiled=False) if given.base is None else checked_out(given.base) as base,
        this_tree(compiled=given.compiled) as new,
        ThreadPoolExecutor(2) as both,
    ):
        source = Path(directory) / "events.jsonl"
        write_input(source, events=given.events, seed=given.seed)
        for scenario in given.scenario:
            began = time.perf_counter()
            trees = [(tree, Path(directory) / f"{scenario}-{name}") for name, tree in (("base", base), ("new", new))]
            asked = {"seed": given.seed, "users": given.users, "days": given.days, "source": source}
            first, second = both.map(lambda each, s=scenario, a=asked: run(each[0], s, each[1], **a), trees)
            users = some_users(first, given.records)
            kept = list(both.map(lambda each, u=users: records(each[0], each[1], u), trees))
            counts, found = compare([*first, kept[0]], [*second, kept[1]], DELIBERATE)
            different += len(found)
            print(describe(scenario, counts, found), flush=True)
            print(f"{scenario}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    print("equal" if not different else f"{different:,} differences")
    if different:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
