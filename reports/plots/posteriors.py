"""``posteriors.svg``: what the bandit believes of every arm, by trigger, as a whole and by segment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from matplotlib.lines import Line2D

from reports.plots.style import BLUE, GREY, INK, SERIES, as_percent, canvas, panel_title, room
from reports.run_report import newest_shares

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.run_report import RunReport

_MASS: Final = 0.9
_GRID: Final = np.linspace(0.0005, 0.9995, 2000)
_SEGMENTS: Final = len(SERIES)


def draw(report: RunReport) -> Figure | None:
    """One panel a trigger. None: nothing has been learned."""
    beliefs = report.learned.posteriors
    whole = beliefs.filter(pl.col("context") == "*")
    if not whole.height:
        return None
    weights = whole.group_by("trigger").agg(pl.col("weight").sum()).sort("weight", descending=True)
    triggers: list[str] = weights["trigger"].to_list()
    arms: list[str] = whole.group_by("arm").agg(pl.col("weight").sum()).sort("weight")["arm"].to_list()
    by_segment = segments(beliefs)
    names: list[str] = by_segment.group_by("segment").agg(pl.col("weight").sum()).sort("weight", descending=True)["segment"].to_list()
    colours = dict(zip(names[:_SEGMENTS], SERIES, strict=False))
    across = min(4, len(triggers))
    down = -(-len(triggers) // across)
    height = 1.95 + down * (0.62 + 0.27 * len(arms))
    note = "Success rate within the attribution window, as believed now: mean and 90 % interval. Blue: the best of its trigger."
    figure = canvas(title(report), note, width=11.5, height=height)
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    room(figure, left=1.65, top=1.15, bottom=1.1, apart=0.12)
    figure.subplots_adjust(hspace=0.3)
    stopped = {(row["trigger"], row["arm"]): row["confidence"] for row in report.learned.stops.filter("in_force").to_dicts()}
    for axes, trigger in zip(panels.flat, triggers, strict=False):
        _panel(axes, whole.filter(pl.col("trigger") == trigger), by_segment.filter(pl.col("trigger") == trigger), arms, colours)
        for (where, arm), confidence in stopped.items():
            if where == trigger and arm in arms:
                axes.annotate(f"stopped ({confidence:.0%} sure)", (0.02, arms.index(arm) + 0.27), fontsize=7.5, color=INK)
        panel_title(axes, trigger)
    for index, axes in enumerate(panels.flat):
        axes.set_visible(index < len(triggers))
        if index >= len(triggers) - across and index < len(triggers):
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("success rate")
    _key(figure, colours)
    return figure


def title(report: RunReport) -> str:
    """The finding in a sentence."""
    stops = report.learned.stops.filter("in_force")
    if stops.height:
        named = ", ".join(dict.fromkeys(stops["arm"].to_list()))
        return f"Stopped for doing harm: {named}"
    favourites = [(share, arm, trigger) for trigger, arms in newest_shares(report.evidence).items() for arm, share in arms.items()]
    if not favourites:
        return "What the bandit believes of each arm"
    share, arm, trigger = max(favourites)
    return f"The clearest favourite so far: {arm} upon {trigger}, {share:.0%} of the newest choices"


def segments(beliefs: pl.DataFrame) -> pl.DataFrame:
    """Beliefs of each trigger, arm and segment over all steps, each step counting by the evidence for it."""
    parts = beliefs.filter(pl.col("context") != "*").with_columns(segment=pl.col("context").str.splitn("|", 2).struct.field("field_1"))
    return parts.group_by("trigger", "arm", "segment").agg(
        mean=(pl.col("mean") * pl.col("weight")).sum() / pl.col("weight").sum(), weight=pl.col("weight").sum()
    )


def credible(alpha: float, beta: float) -> tuple[float, float]:
    """The central interval of a Beta distribution that holds 0.9, to about a thousandth."""
    density = (alpha - 1) * np.log(_GRID) + (beta - 1) * np.log1p(-_GRID)
    total = np.cumsum(np.exp(density - density.max()))
    total /= total[-1]
    tail = (1 - _MASS) / 2
    low, high = np.searchsorted(total, [tail, 1 - tail])
    return float(_GRID[low]), float(_GRID[min(int(high), _GRID.size - 1)])


def _panel(axes: Axes, whole: pl.DataFrame, by_segment: pl.DataFrame, arms: list[str], colours: dict[str, str]) -> None:
    best = whole.sort("mean", descending=True)["arm"][0]
    for row in by_segment.to_dicts():
        if row["segment"] in colours and row["arm"] in arms:
            place = arms.index(row["arm"])
            axes.plot(row["mean"], place - 0.26, marker="|", markersize=6, markeredgewidth=1.6, color=colours[row["segment"]])
    for row in whole.to_dicts():
        place, colour = arms.index(row["arm"]), BLUE if row["arm"] == best else GREY
        low, high = credible(row["alpha"], row["beta"])
        axes.plot([low, high], [place, place], color=colour, linewidth=2, solid_capstyle="round", alpha=0.75)
        axes.plot(row["mean"], place, marker="o", markersize=5.5, color=colour)
    axes.set_yticks(range(len(arms)), arms)
    axes.set_ylim(-0.6, len(arms) - 0.4)
    axes.set_xlim(0, 1)
    axes.set_xticks([0.25, 0.5, 0.75])
    axes.tick_params(axis="y", length=0)
    as_percent(axes, x=True)


def _key(figure: Figure, colours: dict[str, str]) -> None:
    width, height = figure.get_size_inches()
    marks = [Line2D([], [], color=colour, marker="|", markeredgewidth=2, linestyle="none") for colour in colours.values()]
    labels = ["no segment" if name in {"", "-"} else name for name in colours]
    key = figure.legend(
        marks, labels, ncol=len(labels), frameon=False, loc="lower left", bbox_to_anchor=(0.15 / width, 0.08 / height), handletextpad=0.1,
        columnspacing=1.4, title="Segments (small marks):", title_fontsize=9, fontsize=9, alignment="left",
    )  # fmt: skip
    for text, colour in zip(key.get_texts(), colours.values(), strict=True):
        text.set_color(colour)
