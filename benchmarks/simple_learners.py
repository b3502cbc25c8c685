"""Learners to be better than: Thompson sampling on Beta cells, either one cell an arm or one for each arm in each context.

On the same contexts in the same order as the engine's decisions; rewards are drawn from the truth's expected ones with a seed and come in
when the attribution window closes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evaluation.bandit_value import Exposed

Cell = Callable[[tuple[str, str, str]], tuple[str, ...]]

PRIOR = (1.5, 3.5)
"""Of each cell: the catalog's ``prior_rate`` of 0.3, worth five observations."""


def global_arms(_context: tuple[str, str, str]) -> tuple[str, ...]:
    """One belief an arm, whatever the context."""
    return ()


def independent_cells(context: tuple[str, str, str]) -> tuple[str, ...]:
    """One belief for each arm in each (trigger, step, segment)."""
    return context


def earned(shown: Exposed, cell: Cell, *, window: int, seed: int, share: float = 0.2) -> float:
    """Mean expected reward of the newest ``share`` of the decisions. ``window``: ms until a reward is known."""
    rng = np.random.default_rng([seed, 11])
    place: dict[tuple[str, ...], int] = {}
    of_context = [place.setdefault(cell(context), len(place)) for context in shown.log.contexts]
    arms = len(shown.log.arms)
    won, lost = np.full((len(place), arms), PRIOR[0]), np.full((len(place), arms), PRIOR[1])
    waiting: list[tuple[int, int, int, bool]] = []
    told, got = 0, np.zeros(len(shown.log))
    for row, at in enumerate(shown.shown_at):
        while told < len(waiting) and waiting[told][0] + window <= at:
            _, where, arm, good = waiting[told]
            (won if good else lost)[where, arm] += 1.0
            told += 1
        where = of_context[shown.log.context[row]]
        drawn = np.where(shown.log.eligible[row], rng.beta(won[where], lost[where]), -1.0)
        arm = int(drawn.argmax())
        got[row] = shown.expected[row, arm]
        waiting.append((int(at), where, arm, bool(rng.random() < got[row])))
    return float(got[-max(1, round(share * len(got))) :].mean())
