"""Cumulative regret of those who chose, or could have chosen, for the same people: for the plot and for the terminal's chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from evaluation.arrays import Floats
    from reports.run_report import BanditCard


def regrets(card: BanditCard) -> dict[str, Floats]:
    """Who chose → expected successes given away against the best policy, after each decision."""
    best = card.regret.against_best_policy
    lines = {
        "random choice": np.asarray(best - card.regret.against_uniform),
        "best single arm": np.asarray(best - card.regret.against_best_fixed),
        "this engine": np.asarray(best),
    }
    if card.reference is not None:
        own = (card.shown.log.propensities * card.shown.expected).sum(axis=1)
        lines["knows the prior"] = np.asarray(best + np.cumsum(own - card.reference.earned))
    return lines
