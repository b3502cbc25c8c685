"""``stuck.svg``: the frontier of stuck detection, how well scores tell who is stuck at each share of the horizon, beside time alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from reports.plots.style import BLUE, GREY, ORANGE, as_percent, canvas, label_ends, panel_title, room
from reports.report_json import by_trigger
from state.quantity import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from evaluation.calibration import Calibration
    from evaluation.frontier import Frontier, Look
    from reports.run_report import RunReport


def draw(report: RunReport) -> Figure | None:
    """Above, precision against recall at each look; below, the looks beside each other, calibration, and the alarms by sign.

    None: no score was judged.
    """
    found = report.frontier
    if not found.looks:
        return None
    note = (
        f"{count(found.episodes, 'time')} a user without guidance was at a step, {count(found.stuck, 'time')} stuck there: the step was "
        "neither completed nor left within H, the time within which nine of ten complete it. Blue: the engine's scores of those still "
        "there at a share of H. Grey: time alone, the share of stuck people among those who waited as long before. Orange: the alarms, "
        "right if the user is stuck and half of H is not over."
    )
    figure = canvas(title(found), note, width=11.5, height=7.0)
    room(figure, top=1.5, left=0.7, right=0.25)
    rows = figure.add_gridspec(2, 1, height_ratios=[1, 1.05], hspace=0.46)
    across = len(found.looks)
    panels = rows[0].subgridspec(1, across, wspace=0.2).subplots(sharey=True, squeeze=False)[0]
    for axes, look in zip(panels, found.looks, strict=True):
        _plane(axes, look, found, last=look is found.looks[-1])
    panels[0].set_ylabel("precision")
    looks, scores, signs = rows[1].subgridspec(1, 3, wspace=0.42).subplots(squeeze=False)[0]
    _looks(looks, found)
    _calibration(scores, found.calibration)
    if report.truth is not None:
        _triggers(signs, "All alarms by sign: ● precision  ○ recall", by_trigger(report.truth.stuck))
    else:
        _triggers(signs, "Alarms by sign: ● precision", found.by_trigger)
    return figure


def title(found: Frontier) -> str:
    """The finding in a sentence."""
    if not found.comparable:
        return f"Too few users without guidance to compare scores with time alone: they were stuck {count(found.stuck, 'time')}"
    if not found.below:
        return "At no share of the horizon are the engine's scores below time alone"
    where = ", ".join(f"{look.share:g}" for look in found.below)
    return f"The engine's scores are below time alone at {where} of the horizon"


def _plane(axes: Axes, look: Look, found: Frontier, *, last: bool) -> None:
    """One look. The alarms, which come at any of them, are drawn at the last one."""
    panel_title(axes, f"after {look.share:g} H: {look.people:,} left")
    for curve, colour, width in ((look.time_alone, GREY, 1.5), (look.engine, BLUE, 2.2)):
        if curve is not None:
            axes.step([0.0, *curve.recall], [curve.precision[0], *curve.precision], where="pre", color=colour, linewidth=width)
    for name, curve, height, colour in (("engine", look.engine, 0.16, BLUE), ("time", look.time_alone, 0.05, GREY)):
        if curve is not None:
            weight = "bold" if colour == BLUE else "normal"
            axes.annotate(f"{name} {curve.average:.2f}", (0.05, height), color=colour, weight=weight, fontsize=8.5)
    if last and found.precision is not None and found.recall is not None:
        axes.plot(found.recall, found.precision, "o", color=ORANGE, markersize=8, zorder=4)
        axes.annotate(
            "alarms", (found.recall, found.precision), xytext=(0, -14), textcoords="offset points", color=ORANGE, fontsize=8.5, ha="center"
        )
    axes.set_xlim(0, 1.03)
    axes.set_ylim(0, 1.03)
    axes.set_xticks([0, 0.5, 1])
    axes.set_xlabel("recall")
    as_percent(axes, x=True, y=True)


def _looks(axes: Axes, found: Frontier) -> None:
    panel_title(axes, "Average precision at each look")
    shares = [look.share for look in found.looks]
    everybody = [look.stuck / look.people for look in found.looks]
    axes.plot(shares, everybody, ":", color=GREY, linewidth=1.3)
    ends = [("all who are left", everybody[-1], GREY)]
    rows = [(look.share, look.engine.average, look.time_alone.average) for look in found.looks if look.engine and look.time_alone]
    for place, colour, name, width in ((2, GREY, "time alone", 1.5), (1, BLUE, "engine", 2.2)):
        values = [row[place] for row in rows]
        axes.plot([share for share, *_ in rows], values, "o-", color=colour, markersize=5, linewidth=width)
        ends += [(name, value, colour) for value in values[-1:]]
    axes.set_ylim(0, 1.03)
    axes.set_xlim(0.05, 0.8)
    label_ends(axes, shares[-1], ends, gap=0.075, size=8.5)
    axes.set_xticks(shares)
    axes.set_xlabel("share of H waited")
    as_percent(axes, y=True)


def _calibration(axes: Axes, found: Calibration | None) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    axes.set_xlim(0, 1.03)
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("score")
    axes.set_ylabel("share that was stuck")
    as_percent(axes, x=True, y=True)
    if found is None:
        panel_title(axes, "Calibration: there is no score")
        return
    panel_title(axes, f"Calibration of all scores: off by {100 * found.error:.1f} points")
    most = max(found.table["alarms"].to_list())
    for row in found.table.to_dicts():
        reach = 1.96 * math.sqrt(max(row["happened"] * (1 - row["happened"]), 0.01) / row["alarms"])
        low, high = max(0.0, row["happened"] - reach), min(1.0, row["happened"] + reach)
        axes.plot([row["scored"]] * 2, [low, high], color=BLUE, linewidth=1, alpha=0.5)
        axes.plot(row["scored"], row["happened"], "o", color=BLUE, markersize=4 + 6 * (row["alarms"] / most) ** 0.5)
    axes.annotate("cautious", (0.06, 0.93), color=GREY, fontsize=8.5)
    axes.annotate("overconfident", (0.99, 0.05), color=GREY, fontsize=8.5, ha="right")


def _triggers(axes: Axes, name_of_panel: str, rows: Mapping[str, Mapping[str, float | int | None]]) -> None:
    """With the truth, the alarms of everybody; else those of users without guidance, and there is no cause to find."""
    axes.set_visible(bool(rows))
    panel_title(axes, name_of_panel)
    names = sorted(rows, key=lambda name: rows[name]["alarms"] or 0)
    for place, name in enumerate(names):
        precision, recall = rows[name]["precision"], rows[name].get("recall")
        values = [value for value in (precision, recall) if value is not None]
        if len(values) == 2:
            axes.plot(values, [place, place], color=GREY, linewidth=1, zorder=1)
        if precision is not None:
            axes.plot(precision, place, "o", color=BLUE, markersize=8, zorder=3)
        if recall is not None:
            axes.plot(recall, place, "o", markerfacecolor="white", markeredgecolor=ORANGE, markeredgewidth=1.8, markersize=8, zorder=2)
    axes.set_yticks(range(len(names)), [f"{name.removeprefix('stuck:')}\n{rows[name]['alarms']:,}" for name in names])
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 1.03)
    axes.set_ylim(-0.6, max(len(names), 1) - 0.4)
    axes.set_xlabel("share (numbers: alarms)")
    as_percent(axes, x=True)
