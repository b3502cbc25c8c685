"""``onramp sql``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.support.options import DataDirOption, JsonOption
from state.quantity import count

if TYPE_CHECKING:
    from sinks.clickhouse.result_table import ResultTable

_MAX_ROWS: Final = 500  # on the screen; --csv and --json print all


def sql(
    statement: Annotated[str, typer.Argument(metavar="SQL", help="One read: SELECT, WITH, SHOW, DESCRIBE, EXPLAIN or EXISTS.")],
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")] = False,
    data_dir: DataDirOption = None,
) -> None:
    """Query ClickHouse, read-only. `SHOW TABLES` lists tables and views.

    \b
    Example:  onramp sql "SELECT * FROM funnel_by_step"
              onramp sql "SELECT reason, count() AS n FROM decisions_final GROUP BY reason" --json
    """
    if as_json and as_csv:
        raise typer.BadParameter("give either --json or --csv.", param_hint="'--csv'")
    from cli.support.demo_dir import for_reading
    from cli.support.options import load
    from cli.support.stores import open_facts
    from sinks.clickhouse.check_is_read import check_is_read

    check_is_read(statement)  # before anything is opened
    with open_facts(for_reading(load(data_dir=data_dir))) as facts:
        from reports.render import print_json
        from reports.values import csv_value, json_value

        found = facts.table(statement)
    if as_json:
        rows = [{name: json_value(value) for name, value in row.items()} for row in found.records()]
        print_json({"columns": found.distinct_names, "rows": rows})
        return
    if as_csv:
        import csv

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(found.names)
        writer.writerows([csv_value(value) for value in row] for row in found.rows)
        return
    _show(found)


def _show(found: ResultTable) -> None:
    """Print a table if it fits the screen, else one record below the other. A pipe always gets a table, as wide as necessary."""
    from rich.cells import cell_len
    from rich.text import Text

    from reports.render import out, record, table
    from reports.values import cell
    from state.plain_text import plain

    console = out()
    rows = [[plain(cell(value)) for value in row] for row in found.rows[:_MAX_ROWS]]
    names = [plain(name) for name in found.names]
    width = 2 + sum(2 + max(map(cell_len, [name, *(row[index] for row in rows)])) for index, name in enumerate(names))
    if not console.is_terminal:
        console.width = max(console.width, width)
    if width <= console.width:
        columns = [f">{name}" if found.is_number(column) else name for column, name in enumerate(names)]
        console.print(table(columns, rows))
    else:
        for index, row in enumerate(rows):
            console.print(Text(f"Row {index + 1}", style="bold"))
            console.print(record(zip(names, row, strict=True)))
    more = f"; the first {len(rows):,} are shown, --csv and --json print all" if len(found.rows) > len(rows) else ""
    console.print(Text(f"  {count(len(found.rows), 'row')}{more}", style="dim"))
