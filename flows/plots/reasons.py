"""``reasons.svg``: why nothing was shown, day by day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from flows.plots.style import GREY, SERIES, canvas, label_ends, room
from state.duration import DAY

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from flows.verdict import Verdict

_MOST: Final = 6


def draw(verdict: Verdict) -> Figure | None:
    """None: everything that was considered led to a decision, or nothing was considered."""
    considered = verdict.evidence.decisions
    declined = considered.filter(pl.col("outcome") == "declined")
    if not declined.height:
        return None
    first = int(considered["decided_at"].min() or 0) // DAY  # type: ignore[arg-type]
    days = int(considered["decided_at"].max() or 0) // DAY - first + 1  # type: ignore[arg-type]
    counted = declined.with_columns(day=pl.col("decided_at") // DAY - first)
    order = counted["reason"].value_counts(sort=True)
    named: list[str] = order["reason"].to_list()[:_MOST]
    counted = counted.with_columns(reason=pl.when(pl.col("reason").is_in(named)).then("reason").otherwise(pl.lit("others")))
    names = named + (["others"] if order.height > _MOST else [])
    share = declined.height / considered.height
    note = (
        f"Non-decisions a day by reason. Of {considered.height:,} times that somebody was considered, {share:.0%} ended without a decision."
    )
    figure = canvas(title(named[0], order["count"][0] / declined.height), note)
    axes = figure.subplots()
    room(figure, right=1.5)
    ends: list[tuple[str, float, str]] = []
    top = 1
    for index, name in enumerate(names):
        by_day = dict(counted.filter(pl.col("reason") == name).group_by("day").len().iter_rows())
        line = [by_day.get(day, 0) for day in range(days)]
        colour = SERIES[index % len(SERIES)] if name != "others" else GREY
        axes.plot(range(1, days + 1), line, color=colour, marker="o" if days < 3 else None)
        ends.append((name, float(line[-1]), colour))
        top = max(top, *line)
    axes.set_ylim(0, 1.08 * top)
    axes.set_xlim(1, max(days, 2))
    axes.set_xlabel("day")
    axes.set_ylabel("non-decisions a day")
    axes.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
    label_ends(axes, max(days, 2) if days > 1 else 1, ends)
    return figure


def title(reason: str, share: float) -> str:
    """The finding in a sentence."""
    return f"The most frequent reason for showing nothing is {reason}: {share:.0%} of all"
