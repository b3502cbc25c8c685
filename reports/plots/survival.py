"""``survival.svg``: how long each step takes people alone, beside what the engine has learned of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from reports.plots.style import BLUE, GREY, INK, ORANGE, as_percent, canvas, panel_title, room
from reports.render import hours
from state.duration import DAY, HOUR, MINUTE, SECOND
from state.quantity import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.run_report import RunReport, StepCurve

MOST: Final = 8
_TICKS: Final = {
    SECOND: "1 s",
    10 * SECOND: "10 s",
    MINUTE: "1 min",
    10 * MINUTE: "10 min",
    HOUR: "1 h",
    6 * HOUR: "6 h",
    DAY: "1 d",
    7 * DAY: "7 d",
    30 * DAY: "30 d",
    180 * DAY: "180 d",
    730 * DAY: "2 y",
}
_MOST_TICKS: Final = 6


def draw(report: RunReport) -> Figure | None:
    """One panel a step, those that most people without guidance came to. None: nobody was without."""
    curves = report.steps[:MOST]
    if not curves:
        return None
    learned = {row["step_id"]: row for row in report.learned.steps.to_dicts()}
    across = min(4, len(curves))
    down = -(-len(curves) // across)
    note = (
        "Share of users who have not completed the step so long after it became current. Blue: observed among users without "
        "guidance (Kaplan–Meier)"
        + (", shaded: 95 %. Orange: what the engine has learned. " if learned else ", shaded: 95 %. ")
        + ("Dotted: H, within which nine of ten of those who complete the step alone do so." if report.truth else "Dotted: the newest H.")
    )
    figure = canvas(title(report), note, width=11.5, height=1.6 + 1.95 * down)
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    room(figure, top=1.35, apart=0.12)
    figure.subplots_adjust(hspace=0.32)
    limits = scale(curves)
    for axes, curve in zip(panels.flat, curves, strict=False):
        _panel(axes, curve, learned.get(curve.step), limits)
    for index, axes in enumerate(panels.flat):
        axes.set_visible(index < len(curves))
        if len(curves) - across <= index < len(curves):
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("time at the step")
    for row in panels:
        row[0].set_ylabel("not completed yet")
    return figure


def title(report: RunReport) -> str:
    """The finding in a sentence."""
    gaps = [gap for curve in report.steps[:MOST] if (gap := _gap(report, curve)) is not None]
    if not gaps:
        return "How long each step takes users who get no guidance"
    off = f"{100 * float(np.median(gaps)):.0f} points"
    return f"What the engine learned of each step is within {off} of what users without guidance do (median)"


def _gap(report: RunReport, curve: StepCurve) -> float | None:
    """The largest vertical distance between observed and learned, None where there is no learned curve."""
    rows = [row for row in report.learned.steps.to_dicts() if row["step_id"] == curve.step and row["curve_ms"]]
    if not rows or not curve.observed.times.size:
        return None
    return max(
        abs(curve.observed.at(float(time)) - float(share)) for time, share in zip(rows[0]["curve_ms"], rows[0]["survival"], strict=True)
    )


def scale(curves: Sequence[StepCurve]) -> tuple[float, float]:
    """Return where the axis of time begins and ends (ms): around nine in ten completions of each step, and every H."""
    ends = [curve.observed.quantile_among_completers(share) for curve in curves for share in (0.05, 0.95)]
    known = [each for each in (*ends, *(curve.horizon for curve in curves)) if each]
    if not known:
        return MINUTE / 2, 16 * DAY
    return max(SECOND / 2, min(known) / 2), max(10 * SECOND, 2 * max(known))


def _panel(axes: Axes, curve: StepCurve, learned: dict[str, Any] | None, limits: tuple[float, float]) -> None:
    observed, (begin, end) = curve.observed, limits
    times = np.concatenate([[begin / 5], np.maximum(observed.times, begin / 5), [max([end, *observed.times])]])
    last = observed.surviving[-1] if observed.surviving.size else 1.0
    share = np.concatenate([[1.0], observed.surviving, [last]])
    error = np.concatenate([[0.0], observed.standard_error, [observed.standard_error[-1] if observed.standard_error.size else 0.0]])
    axes.fill_between(
        times, np.clip(share - 1.96 * error, 0, 1), np.clip(share + 1.96 * error, 0, 1), step="post", color=BLUE, alpha=0.15, linewidth=0
    )
    axes.step(times, share, where="post", color=BLUE, linewidth=1.6)
    if learned is not None and learned["curve_ms"]:
        axes.plot(np.maximum(learned["curve_ms"], begin / 5), learned["survival"], color=ORANGE, linewidth=1.6)
    if curve.horizon is not None:
        axes.axvline(curve.horizon, color=INK, linewidth=1, linestyle=":")
        axes.annotate(
            f"H {hours(curve.horizon / HOUR)}",
            (curve.horizon, 1.0),
            xytext=(3, -3),
            textcoords="offset points",
            fontsize=8,
            va="top",
            color=INK,
        )
    axes.set_xscale("log")
    axes.set_xlim(begin, end)
    axes.set_ylim(0, 1.05)
    ticks = [each for each in _TICKS if begin <= each <= end]
    ticks = ticks[:: -(-len(ticks) // _MOST_TICKS) or 1]
    axes.set_xticks(ticks, [_TICKS[each] for each in ticks])
    axes.minorticks_off()
    axes.tick_params(axis="x", labelsize=7.5)
    as_percent(axes, y=True)
    panel_title(axes, curve.step)
    axes.annotate(count(curve.people, "user"), (0.03, 0.05), xycoords="axes fraction", fontsize=8, color=GREY)
