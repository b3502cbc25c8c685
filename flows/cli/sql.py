"""``onramp sql``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from flows.cli.options import DataDirOption, JsonOption


def sql(
    statement: Annotated[str, typer.Argument(metavar="SQL", help="One read: SELECT, WITH, SHOW, DESCRIBE, EXPLAIN or EXISTS.")],
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")] = False,
    data_dir: DataDirOption = None,
) -> None:
    """Ask ClickHouse, read-only. `SHOW TABLES` lists tables and views.

    \b
    Example:  onramp sql "SELECT * FROM funnel_by_step"
              onramp sql "SELECT reason, count() AS n FROM decisions_final GROUP BY reason" --json
    """
    if as_json and as_csv:
        raise typer.BadParameter("give either --json or --csv.", param_hint="--csv")
    from rich.text import Text

    from flows.cli.cells import cell, json_value
    from flows.cli.demo_dir import for_reading
    from flows.cli.options import load
    from flows.cli.screen import out, print_json, table
    from flows.cli.stores import open_facts
    from sinks.clickhouse.query import check_is_read

    check_is_read(statement)  # before anything is opened
    with open_facts(for_reading(load(data_dir=data_dir)), "onramp sql") as facts:
        frame = facts.frame(statement)
    if as_json:
        rows = [{name: json_value(value) for name, value in row.items()} for row in frame.to_dicts()]
        print_json({"columns": frame.columns, "rows": rows})
        return
    if as_csv:
        import csv

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(frame.columns)
        writer.writerows([json_value(value) if value is not None else "" for value in row] for row in frame.iter_rows())
        return
    console = out()
    numeric = [kind.is_numeric() for kind in frame.dtypes]
    columns = [f">{name}" if right else name for name, right in zip(frame.columns, numeric, strict=True)]
    if columns:
        console.print(table(columns, ([cell(value) for value in row] for row in frame.iter_rows())))
    count = frame.height
    console.print(Text(f"  {count:,} {'row' if count == 1 else 'rows'}", style="dim"))
