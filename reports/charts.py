"""Small charts in the terminal: lines with their names beside them. Plain letters where the terminal has no others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from rich.console import Console
from rich.text import Text

from reports.plain import plain
from reports.screen import lines

_WIDEST: Final = 100
_NARROWEST: Final = 40
_MARKS: Final = "*o+x.#"
_TO_ASCII: Final = str.maketrans("┌┐└┘─│┤├┬┴┼", "++++-|||---")


class Line(NamedTuple):
    """One line of a chart: what it is called and where it goes. Points that are not finite must be left out by the caller."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]


def show_chart(
    console: Console,
    drawn: Sequence[Line],
    *,
    limits: tuple[float, float],
    ticks: Sequence[float],
    value: Callable[[float], str],
    x_name: str,
    height: int = 10,
) -> None:
    """Print a chart as wide as the screen allows. ``ticks`` are heights to name with ``value``. Nothing on a screen that is too narrow."""
    utf = console.encoding.lower().replace("-", "").startswith("utf")
    names = max(len(line.name) for line in drawn) + (0 if utf else 2)
    width = min(console.width, _WIDEST) - names - 4
    if width < _NARROWEST or not any(len(line.xs) > 1 for line in drawn):
        return
    console.print()
    rows = _rows(drawn, limits, ticks, value, width, height, utf)
    beside = _beside(drawn, limits, len(rows) - 3)
    for index, row in enumerate(rows):
        name = beside.get(index - 1, "")
        mark = "" if utf or not name else f"{_MARKS[[line.name for line in drawn].index(name) % len(_MARKS)]} "
        lines(console, Text.assemble(row, (f" {mark}{plain(name)}" if name else "", "cyan")))
    lines(console, Text(f"{'':{max(0, width - len(x_name))}}{x_name}", style="dim"))


def _rows(
    drawn: Sequence[Line],
    limits: tuple[float, float],
    ticks: Sequence[float],
    value: Callable[[float], str],
    width: int,
    height: int,
    utf: bool,
) -> list[str]:
    from plotext import figure

    low, high = limits
    right = max(max(line.xs) for line in drawn if len(line.xs))
    figure.clear()
    try:
        for index, line in enumerate(drawn):
            inside = [min(max(y, low), high) for y in line.ys]
            signal = figure.signal(list(line.xs), inside, marker="braille" if utf else _MARKS[index % len(_MARKS)])
            signal.lines()
            figure.draw(signal)
        figure.plot_size(width, height)
        figure.ruler("y").lim(low, high)
        figure.ruler("y").ticks(list(ticks), [value(tick) for tick in ticks])
        figure.ruler("x").lim(0, right)
        figure.ruler("x").ticks([0, right / 2, right], ["0", f"{right / 2:,.0f}", f"{right:,.0f}"])
        picture = str(figure.build().string(colorless=True))
    finally:
        figure.clear()
    rows = picture.rstrip("\n").split("\n")
    return rows if utf else [row.translate(_TO_ASCII).encode("ascii", "replace").decode() for row in rows]


def _beside(drawn: Sequence[Line], limits: tuple[float, float], height: int) -> dict[int, str]:
    """Row of the canvas, counted from its top → the name that stands beside it; names that would share a row move apart."""
    low, high = limits
    ends = sorted(((high - min(max(line.ys[-1], low), high)) / (high - low) * (height - 1), line.name) for line in drawn if len(line.ys))
    places: dict[int, str] = {}
    for number, (place, name) in enumerate(ends):
        row = min(round(place), height - (len(ends) - number))
        while row in places:
            row += 1
        places[row] = name
    return places
