"""``reasons.svg``: why nothing was shown, day by day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from reports.plots.style import BLUE, GREY, INK, canvas, room
from state.duration import DAY
from state.vocabulary import REASONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.run_report import RunReport

_MOST: Final = 7
_DAYS: Final = 120  # the newest; more bars than that are a grey wall


def draw(report: RunReport) -> Figure | None:
    """One row of bars a reason. None: everything that was considered led to a decision, or nothing was considered."""
    considered = report.evidence.decisions.with_columns(day=pl.col("decided_at") // DAY)
    declined = considered.filter(pl.col("outcome") == "declined")
    if not declined.height:
        return None
    end = int(considered.select(pl.col("day").max()).item())
    begin = max(int(considered.select(pl.col("day").min()).item()), end - _DAYS + 1)
    order = declined["reason"].value_counts(sort=True).sort("count", "reason", descending=[True, False])
    shown = order.head(_MOST).to_dicts()
    share = declined.height / considered.height
    note = f"Non-decisions a day, by reason. Of {considered.height:,} considerations {share:.0%} ended without a decision."
    figure = canvas(title(shown[0]["reason"], shown[0]["count"] / declined.height), note, height=1.55 + 0.72 * len(shown))
    panels = figure.subplots(len(shown), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    room(figure, left=2.0, top=1.05, apart=0.75)
    for axes, row in zip(panels, shown, strict=True):
        by_day = dict(declined.filter(pl.col("reason") == row["reason"]).group_by("day").len().iter_rows())
        _row(axes, str(row["reason"]), int(row["count"]), [by_day.get(day, 0) for day in range(begin, end + 1)])
    panels[-1].set_xlabel("day")
    panels[-1].tick_params(labelbottom=True)
    return figure


def _row(axes: Axes, reason: str, count: int, days: list[int]) -> None:
    axes.bar(range(1, len(days) + 1), days, color=BLUE, width=0.8)
    axes.set_xlim(0.4, max(len(days), 5) + 0.6)
    axes.locator_params(axis="y", nbins=2)
    axes.locator_params(axis="x", integer=True)
    axes.grid(visible=False, axis="x")
    axes.tick_params(axis="y", labelsize=7.5)
    axes.annotate(reason, (0, 0.5), xytext=(-128, 4), xycoords="axes fraction", textcoords="offset points", color=INK, fontsize=9.5)
    axes.annotate(f"{count:,}", (0, 0.5), xytext=(-128, -9), xycoords="axes fraction", textcoords="offset points", color=GREY, fontsize=9)
    axes.annotate(
        REASONS.get(reason, ""), (0, 1), xytext=(2, 4), xycoords="axes fraction", textcoords="offset points", color=GREY, fontsize=8
    )


def title(reason: str, share: float) -> str:
    """The finding in a sentence."""
    return f"The most frequent reason for showing nothing is {reason}: {share:.0%} of all"
