"""``stuck.svg``: how good the alarms are, beside rules without skill, and whether their scores mean what they say."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reports.plots.style import BLUE, GREEN, GREY, INK, ORANGE, as_percent, canvas, panel_title, room
from reports.report_json import by_trigger
from state.quantity import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from evaluation.calibration import Calibration
    from evaluation.stuck_bounds import Rule
    from reports.run_report import RunReport, StuckReport


def draw(report: RunReport) -> Figure | None:
    """Three panels: against timeouts, by trigger, calibration. None: there are no episodes to judge by."""
    card = report.stuck if report.truth is None else report.truth.stuck
    if not card.score.episodes:
        return None
    judged = "by the sealed truth" if report.truth is not None else "by held-out users, who get no help"
    share = card.score.prevalence or 0.0
    note = (
        f"{count(card.score.alarms, 'alarm')} judged {judged}. Stuck: the step is not completed unaided within the time that nine of ten "
        f"need, which happens in {share:.0%} of {count(card.score.episodes, 'episode')}. In time: within half of that time."
    )
    figure = canvas(title(card), note, width=11.5, height=4.9)
    plane, triggers, scores = figure.subplots(1, 3, width_ratios=[1.15, 1, 1])
    room(figure, top=1.5, left=0.7, apart=0.42)
    _plane(plane, card)
    _triggers(triggers, card)
    _calibration(scores, card.calibration)
    return figure


def title(card: StuckReport) -> str:
    """The finding in a sentence."""
    score = card.score
    if score.precision is None or score.recall is None:
        return "No alarm was raised" if not score.alarms else "No user was stuck"
    return f"{score.precision:.0%} of the alarms are right, and {score.recall:.0%} of the users who are stuck are found in time"


def _plane(axes: Axes, card: StuckReport) -> None:
    panel_title(axes, "Against rules without skill")
    timeouts = sorted(
        (rule for rule in card.timeouts if rule.kind == "fraction" and rule.precision is not None), key=lambda rule: rule.delay
    )
    axes.plot([rule.recall or 0.0 for rule in timeouts], [rule.precision or 0.0 for rule in timeouts], color=GREY, linewidth=1.5)
    _mark(axes, card.bounds.ceiling, "ceiling: knows the cause", GREEN, "^", (-6, 8), "right")
    _mark(axes, card.bounds.best_timeout, "best fixed timeout", INK, "s", (-8, -42), "right")
    _mark(axes, card.bounds.everyone, "alarm at every start", GREY, "s", (-8, -3), "right")
    score = card.score
    if score.precision is not None and score.recall is not None:
        axes.plot(score.recall, score.precision, "o", color=BLUE, markersize=10, zorder=4)
        shift, side = ((9, -3), "left") if score.recall < 0.5 else ((-9, -18), "right")
        place = (score.recall, score.precision)
        axes.annotate("this engine", place, xytext=shift, textcoords="offset points", color=BLUE, weight="bold", ha=side)
    axes.set_xlim(0, 1.03)
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("recall: found of those stuck")
    axes.set_ylabel("precision: right of the alarms")
    as_percent(axes, x=True, y=True)


def _mark(axes: Axes, rule: Rule, label: str, colour: str, marker: str, shift: tuple[int, int], side: str) -> None:
    if rule.precision is None or rule.recall is None:
        return
    axes.plot(rule.recall, rule.precision, marker, color=colour, markersize=6, zorder=3)
    axes.annotate(label, (rule.recall, rule.precision), xytext=shift, textcoords="offset points", color=colour, ha=side, fontsize=8.5)


def _triggers(axes: Axes, card: StuckReport) -> None:
    panel_title(axes, "By sign: ● precision  ○ recall of that cause")
    rows = by_trigger(card)
    names = sorted(rows, key=lambda name: rows[name]["alarms"] or 0)
    for place, name in enumerate(names):
        precision, recall = rows[name]["precision"], rows[name]["recall"]
        found = [value for value in (precision, recall) if value is not None]
        if len(found) == 2:
            axes.plot(found, [place, place], color=GREY, linewidth=1, zorder=1)
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


def _calibration(axes: Axes, found: Calibration | None) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    axes.set_xlim(0, 1.03)
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("score of the alarm")
    axes.set_ylabel("share that would have stayed stuck")
    as_percent(axes, x=True, y=True)
    if found is None:
        panel_title(axes, "Calibration: no alarm has a score")
        return
    panel_title(axes, f"Calibration: off by {100 * found.error:.1f} points")
    most = max(found.table["alarms"].to_list())
    for row in found.table.to_dicts():
        reach = 1.96 * math.sqrt(max(row["happened"] * (1 - row["happened"]), 0.01) / row["alarms"])
        low, high = max(0.0, row["happened"] - reach), min(1.0, row["happened"] + reach)
        axes.plot([row["scored"]] * 2, [low, high], color=BLUE, linewidth=1, alpha=0.5)
        axes.plot(row["scored"], row["happened"], "o", color=BLUE, markersize=4 + 6 * (row["alarms"] / most) ** 0.5)
    axes.annotate("cautious", (0.06, 0.93), color=GREY, fontsize=8.5)
    axes.annotate("overconfident", (0.99, 0.05), color=GREY, fontsize=8.5, ha="right")
