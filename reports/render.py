"""The parts that all printed reports share: consoles, headings, tables, bars, numbers. JSON for machines too."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from reports.values import json_value
from state.plain_text import plain

WIDEST: Final = 120
NARROWEST: Final = 20
"""In fewer columns nothing can be laid out; lines are then longer than the screen."""
BAR: Final = "█"
_BLANKS: Final = re.compile(r"[ \t]+(?=\n)")


class _Console(Console):
    @override
    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 -- it is called while the error is handled

    @override
    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        """Without blanks at the ends of lines, which the library adds up to the width; a file or a pipe would keep them."""
        text = super()._render_buffer(buffer)
        return text if self.is_terminal else _BLANKS.sub("", text)


def out() -> Console:
    """Standard output, for results."""
    return _console(stderr=False)


def err() -> Console:
    """Standard error, for progress."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    console = _Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _width_of_the_terminal()
    console.width = max(NARROWEST, min(console.width, WIDEST))
    return console


def _width_of_the_terminal() -> int:
    """Of the one that a person pages or filters our output on; wide where there is none."""
    for stream in (sys.__stderr__, sys.__stdin__):
        try:
            return os.get_terminal_size(stream.fileno()).columns if stream is not None else WIDEST
        except (OSError, ValueError):
            continue
    return WIDEST


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on standard output. ASCII only: no terminal and no locale can garble it."""
    out().out(json.dumps(json_value(value), allow_nan=False), highlight=False)


def heading(console: Console, title: str, note: str = "") -> None:
    """Begin a section."""
    console.print()
    console.print(Text.assemble((title, "bold"), (f"  {note}" if note else "", "dim")))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Padding:
    """Lay out rows. A column whose name begins with ``>`` is aligned right, with ``~`` may fold, the others never do."""
    grid = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        right, folds = column.startswith(">"), column.startswith("~")
        grid.add_column(column.lstrip(">~"), justify="right" if right else "left", no_wrap=not folds, overflow="ellipsis")
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else Text(plain(cell)) for cell in row))
    return Padding(grid, (0, 0, 0, 2), expand=False)


def record(fields: Iterable[tuple[str, object]]) -> Padding:
    """Lay out one thing, a line a field; long values fold."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in fields:
        grid.add_row(Text(plain(name)), Text(plain(value)))
    return Padding(grid, (0, 0, 0, 2), expand=False)


def lines(console: Console, *items: RenderableType) -> None:
    """Print indented lines."""
    for item in items:
        console.print(Padding(item, (0, 0, 0, 2), expand=False))


def number(value: float | None) -> str:
    """``12,345``, or a dash for nothing."""
    return "–" if value is None else f"{value:,.0f}"


def percent(value: float | None) -> str:
    """``53.7 %`` of a fraction, or a dash for nothing to measure."""
    return "–" if value is None else f"{100 * value:.1f} %"


def decimal(value: float | None) -> str:
    """``0.54``, or a dash."""
    return "–" if value is None else f"{value:.2f}"


def hours(value: float | None) -> str:
    """A duration in the unit that reads best: ``30 s``, ``4 min``, ``7.4 h``, ``3.1 d``."""
    if value is None:
        return "–"
    if value < 2 / 60:
        return f"{value * 3600:.0f} s"
    if value < 1:
        return f"{value * 60:.0f} min"
    return f"{value:.1f} h" if value < 48 else f"{value / 24:.1f} d"


def points(value: float | None) -> str:
    """A difference of rates in percentage points: ``+3.9``, or a dash."""
    return "–" if value is None else f"{100 * value:+.1f}".replace("-", "−")


def dollars(value: float | None) -> str:
    """``$1.25``, ``$0.0004``: small amounts keep enough digits to differ from nothing; a dash for nothing to measure."""
    if value is None:
        return "–"
    if value == 0 or abs(value) >= 0.995:
        return f"${value:,.2f}"
    return f"${value:.{4 if abs(value) >= 0.001 else 6}f}"


def bar(share: float, width: int) -> Text:
    """A share as a bar of at most ``width`` cells; anything above nothing shows."""
    cells = round(max(0.0, min(1.0, share)) * width)
    return Text(BAR * max(cells, 1 if share > 0 else 0), style="cyan")


def interval(low: float, estimate: float, high: float, *, reach: float, width: int = 21) -> Text:
    """An interval on a line from ``-reach`` to ``reach``: ``│`` at zero, ``●`` at the estimate."""

    def place(value: float) -> int:
        return round((max(-reach, min(reach, value)) + reach) / (2 * reach) * (width - 1))

    cells = ["─" if place(low) <= index <= place(high) else " " for index in range(width)]
    cells[width // 2] = "│"
    cells[place(estimate)] = "●"
    return Text("".join(cells), style="cyan")
