"""``lift.svg``: what guidance does to activation, with an interval that is valid at every look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evaluation.evidence import ADAPTIVE, HOLDOUT
from reports.effect import DOUBT, doubt, outcome, validity
from reports.plots.style import BLUE, GREY, INK, ORANGE, canvas, label_ends, panel_title, room
from reports.render import points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from evaluation.effect import Lift
    from reports.run_report import RunReport

_SHOWN_FROM = 10  # people: before, the band is the whole range
_AROUND = (
    "An interval (shaded) surrounds the running estimate (line), not the measured difference (dot); while little is known the two differ."
)


def draw(report: RunReport) -> Figure | None:
    """One panel a comparison of two groups. None: no two groups can be compared."""
    lifts = report.effect.lifts
    if not lifts:
        return None
    holds = doubt(report.groups) or validity(report.effect)
    note = f"Difference of {outcome(report.effect).lower()}, by intention to treat. {holds} {_AROUND}"
    figure = canvas(title(report), note, width=8.4 if len(lifts) < 2 else 11.5)
    panels = figure.subplots(1, len(lifts), sharey=True, squeeze=False)[0]
    room(figure, top=1.4, right=1.0, apart=0.36)
    reach = max([0.12, *(1.6 * max(abs(each.lower), abs(each.upper)) for each in lifts)])
    true = report.effect.true_lift
    for axes, lift in zip(panels, lifts, strict=True):
        known = None if true is None or (lift.treated, lift.control) != (ADAPTIVE, HOLDOUT) else true.lift
        _panel(axes, lift, min(1.0, reach), known)
        panel_title(axes, f"{lift.treated} − {lift.control}: {_claim(lift)}")
    panels[0].set_ylabel("lift (percentage points)")
    return figure


def title(report: RunReport) -> str:
    """The finding in a sentence."""
    lift = report.effect.lift_of(ADAPTIVE, HOLDOUT)
    if lift is None:
        return "Adaptive guidance cannot be compared with a holdout yet"
    if report.groups is not None and not report.groups.ok:
        return DOUBT
    between = f"({points(lift.lower)} to {points(lift.upper)})"
    if not report.effect.designs:
        return f"No effect of guidance is proven, because the shares of the groups are not known: {points(lift.lift)} points {between}"
    if lift.proven == "better":
        return f"Adaptive guidance lifts activation by {points(lift.lift).removeprefix('+')} points {between}"
    if lift.proven == "worse":
        return f"Adaptive guidance lowers activation by {points(lift.lift).removeprefix('−')} points {between}"
    if lift.claimed:
        return f"Adaptive guidance was shown to lift activation; now {points(lift.lift)} points {between}"
    return f"No effect of guidance is proven yet: {points(lift.lift)} points {between}"


def _claim(lift: Lift) -> str:
    return f"{points(lift.lift)} ({points(lift.lower)} to {points(lift.upper)})"


def _panel(axes: Axes, lift: Lift, reach: float, true: float | None) -> None:
    path = lift.path
    shown = path.seen >= _SHOWN_FROM
    seen, estimate = path.seen[shown], path.estimate[shown]
    lower, upper = np.clip(path.lower[shown], -1, 1), np.clip(path.upper[shown], -1, 1)
    end, running = int(path.seen[-1]), float(path.estimate[-1])
    axes.axhline(0, color=GREY, linewidth=1)
    axes.fill_between(seen, lower, upper, color=BLUE, alpha=0.16, linewidth=0)
    axes.plot(seen, estimate, color=BLUE)
    axes.plot(end, lift.lift, "o", color=INK, markersize=5, clip_on=False, zorder=4)
    axes.set_ylim(-reach, reach)
    axes.set_xlim(0, max(2, end))
    axes.yaxis.set_major_formatter(lambda value, _: points(value).removesuffix(".0") if abs(value) > 1e-9 else "0")
    axes.set_xlabel("users whose 7 days have passed")
    ends = [("running\n" + points(running), running, BLUE), ("measured\n" + points(lift.lift), lift.lift, INK)]
    if true is not None:
        axes.axhline(true, color=ORANGE, linewidth=1.5, linestyle=(0, (4, 2)))
        ends.append(("true lift\n" + points(true), true, ORANGE))
    label_ends(axes, end, ends, gap=0.13)
    if lift.claimed_after is not None:
        early = lift.claimed_after < end / 2
        once = "" if lift.proven == "better" else "once "
        axes.axvline(lift.claimed_after, color=INK, linewidth=0.8, linestyle=":")
        axes.annotate(
            f"{once}proven after {lift.claimed_after:,}", (lift.claimed_after, -reach), xytext=(4 if early else -4, 6),
            textcoords="offset points", fontsize=8.5, ha="left" if early else "right",
        )  # fmt: skip
