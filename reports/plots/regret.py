"""``regret.svg``: what the bandit gave away against the best policy in hindsight, beside others who chose for the same people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evaluation.bandit_value import regret_curves
from reports.plots.style import AMBER, BLUE, GREEN, GREY, INK, canvas, label_ends, room

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from reports.run_report import BanditReport, RunReport


def draw(report: RunReport) -> Figure | None:
    """None: there is no truth, or nothing was shown."""
    truth = report.truth
    if truth is None or truth.bandit is None:
        return None
    card = truth.bandit
    note = (
        "Cumulative regret: expected successes given away against the best arm of each context (trigger, step, segment), known in "
        "hindsight only. Lower is better; flat is a learner that has learned."
    )
    figure = canvas(title(card), note)
    axes = figure.subplots()
    room(figure, right=1.85, top=1.1)
    lines = regret_curves(card.shown, card.regret, None if card.reference is None else card.reference.earned)
    count = np.arange(1, len(card.shown.log) + 1)
    colours = {"random choice": GREY, "best single arm": AMBER, "knows the prior": GREEN, "this engine": BLUE}
    for name, regret in lines.items():
        own = name == "this engine"
        axes.plot(count, regret, color=colours[name], linewidth=2.6 if own else 1.6, zorder=3 if own else 2)
    axes.set_xlim(0, count[-1])
    axes.set_ylim(
        min([0.0, *(float(each.min()) for each in lines.values())]), 1.06 * max([1.0, *(float(each.max()) for each in lines.values())])
    )
    label_ends(axes, count[-1], [(f"{name} {float(each[-1]):.0f}", float(each[-1]), colours[name]) for name, each in lines.items()])
    axes.set_xlabel("recommendations shown, in order of time")
    axes.set_ylabel("expected successes given away")
    if truth.changed_at is not None:
        moment = int(np.searchsorted(card.shown.shown_at, truth.changed_at))
        axes.axvline(moment, color=INK, linewidth=0.8, linestyle=":")
        axes.annotate("the world changes", (moment, axes.get_ylim()[1]), xytext=(4, -10), textcoords="offset points", fontsize=8.5)
    return figure


def title(card: BanditReport) -> str:
    """The finding in a sentence."""
    gain = -float(card.regret.against_uniform[-1])
    closed = card.newest.gap_closed
    if gain < 0.5:
        return (
            "The bandit has not beaten random choice yet" if gain > -0.5 else f"The bandit lost {-gain:.0f} successes against random choice"
        )
    won = f"The bandit won {gain:.0f} {'success' if round(gain) == 1 else 'successes'} against random choice"
    return f"{won} and goes {100 * closed:.0f} % of the way to the best policy" if closed is not None and closed > 0 else won
