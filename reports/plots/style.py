"""The style of all plots: one palette, titles that state the finding, labels at the lines instead of legends.

Colours are those of Okabe and Ito (2008), which people with any colour vision can distinguish.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE: Final = "#0072B2"
ORANGE: Final = "#D55E00"
GREEN: Final = "#009E73"
PINK: Final = "#CC79A7"
AMBER: Final = "#B07D00"
SKY: Final = "#56B4E9"
GREY: Final = "#8A8F98"
INK: Final = "#22262B"
FAINT: Final = "#E3E6EA"
SERIES: Final = (BLUE, ORANGE, GREEN, PINK, AMBER, SKY, GREY)

_LOOK: Final = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial", "sans-serif"],
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": "#555B63",
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "xtick.color": "#555B63",
    "ytick.color": "#555B63",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "lines.linewidth": 1.9,
    "svg.fonttype": "none",  # text stays text: small files that can be searched and read aloud
    "svg.hashsalt": "onramp",  # the same figures give the same file
}


_LETTERS: Final = 8.1  # of a title of 13 points, an inch


@contextmanager
def look() -> Iterator[None]:
    """For the block, everything is drawn in the house's way."""
    with mpl.rc_context(_LOOK):  # type: ignore[arg-type]
        yield


def canvas(title: str, note: str, *, width: float = 8.4, height: float = 4.7) -> Figure:
    """An empty figure (inches) with its finding on top, made smaller where it is long; ``room`` then makes place for axes."""
    figure = Figure(figsize=(width, height))
    FigureCanvasSVG(figure)
    size = min(13.0, 13.0 * width * _LETTERS / max(1, len(title)))
    figure.text(0.25 / width, 1 - 0.17 / height, title, fontsize=size, fontweight="bold", va="top", ha="left")
    wrapped = fill(note, round(width * 14.4))
    figure.text(0.25 / width, 1 - 0.47 / height, wrapped, fontsize=9, color="#555B63", va="top", ha="left", linespacing=1.35)
    return figure


def title_of(figure: Figure) -> str:
    """Return the finding on top of a figure that ``canvas`` made."""
    return figure.texts[0].get_text()


def room(figure: Figure, *, left: float = 0.75, right: float = 0.3, bottom: float = 0.6, top: float = 1.0, apart: float = 0.3) -> None:
    """Leave margins (inches) around the axes; ``apart`` is the gap between panels, as a share of their size."""
    width, height = figure.get_size_inches()
    figure.subplots_adjust(
        left=left / width, right=1 - right / width, bottom=bottom / height, top=1 - top / height, wspace=apart, hspace=apart
    )


def panel_title(axes: Axes, text: str) -> None:
    """Name one of several panels."""
    axes.set_title(text, loc="left", fontsize=9.5, color=INK, pad=6)


def as_percent(axes: Axes, *, x: bool = False, y: bool = False) -> None:
    """Show fractions as percentages."""
    for wanted, axis in ((x, axes.xaxis), (y, axes.yaxis)):
        if wanted:
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))


def label_ends(axes: Axes, x: float, ends: Sequence[tuple[str, float, str]], *, gap: float = 0.062, size: float = 9) -> None:
    """Write (label, y, colour) beside the line ends at ``x``, moved apart so that none covers another. Set the limits first."""
    bottom, top = axes.get_ylim()
    least = gap * (top - bottom)
    ordered = sorted(ends, key=lambda end: end[1])
    places: list[float] = []
    for _, y, _ in ordered:
        places.append(max(y, places[-1] + least) if places else y)
    # Pushed over the top, all come down together as far as they must.
    over = max(0.0, places[-1] - (top - 0.3 * least)) if places else 0.0
    for index in range(len(places) - 1, -1, -1):
        ceiling = places[index + 1] - least if index + 1 < len(places) else places[index] - over
        places[index] = min(places[index], ceiling)
    for (label, _, colour), place in zip(ordered, places, strict=True):
        axes.annotate(
            label, (x, place), xytext=(6, 0), textcoords="offset points", color=colour, fontsize=size, va="center", annotation_clip=False
        )


def save(figure: Figure, path: Path) -> Path:
    """Write the figure as SVG; the same figure gives the same bytes."""
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": "onramp"})
    return path
