"""Lower and upper comparisons for a stuck detector: fixed timeouts, and a ceiling that knows the hidden cause.

Both need only labelled episodes (``evaluation.stuck.label_by_truth``). A rule alarms at ``onset + delay`` if the episode has not ended by
then. Matches are defined as in ``stuck.score``, so a delay beyond H_s/2 matches nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from evaluation.arrays import Flags, Floats, ratio
from state.duration import HOUR, MINUTE

FRACTIONS = tuple(round(0.02 * k, 2) for k in range(26))
"""Delays as shares of H_s: 0 to 0.5."""
DURATIONS = tuple(m * MINUTE for m in (1, 2, 5, 10, 15, 20, 30, 45)) + tuple(h * HOUR for h in (1, 2, 3, 4, 6, 8, 12, 18, 24, 36, 48, 72))
"""Delays in ms, the same for all steps."""
_PRECISION: Final = 0.9
"""The precision that rules of ``Bounds.timeout_at_precision`` and ``ceiling_at_precision`` have at least."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Precision and recall of a rule. ``delay`` is a share of H_s (``kind`` = ``fraction`` or ``ceiling``) or ms (``duration``)."""

    kind: str
    delay: float
    alarms: int
    matched: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class Bounds:
    """``everyone`` alarms at every onset. ``…_at_precision``: the best recall among rules with a precision of at least 0.9."""

    everyone: Rule
    best_timeout: Rule
    timeout_at_precision: Rule | None
    ceiling: Rule
    ceiling_at_precision: Rule | None


def bounds(episodes: pl.DataFrame) -> Bounds:
    """Compute lower bounds and ceiling. Bots cause false alarms here as for the detector."""
    timeouts = timeouts_table(episodes)
    informed = [rule for delay in FRACTIONS for rule in _informed(episodes, delay)]
    return Bounds(
        everyone=timeouts[0],
        best_timeout=_best_f1(timeouts),
        timeout_at_precision=_best_recall(timeouts),
        ceiling=_best_f1([*informed, *timeouts]),
        ceiling_at_precision=_best_recall([*informed, *timeouts]),
    )


def timeouts_table(episodes: pl.DataFrame) -> list[Rule]:
    """Score every fixed timeout of the grids; the first has delay 0: an alarm at every onset."""
    counted = episodes.filter(~pl.col("censored"))
    rules = [_timeout(counted, "fraction", fraction) for fraction in FRACTIONS]
    return rules + [_timeout(counted, "duration", float(duration)) for duration in DURATIONS]


def _fires(counted: pl.DataFrame, kind: str, delay: float) -> tuple[Flags, Flags]:
    """Return for each episode whether the rule alarms and whether that alarm matches."""
    horizon = counted["horizon"].cast(pl.Float64).to_numpy()
    wait = delay * horizon if kind == "fraction" else np.full(horizon.shape, delay)
    took = (counted["ended_at"] - counted["onset"]).cast(pl.Float64).to_numpy()
    fires = ~(took <= wait) & ~np.isnan(wait)
    return fires, fires & counted["positive"].to_numpy() & (wait <= horizon / 2)


def _timeout(counted: pl.DataFrame, kind: str, delay: float) -> Rule:
    fires, matches = _fires(counted, kind, delay)
    return _rule(kind, delay, int(fires.sum()), int(matches.sum()), int(counted["positive"].sum()))


def _rule(kind: str, delay: float, alarms: int, matched: int, positives: int) -> Rule:
    return Rule(kind, delay, alarms, matched, ratio(matched, alarms), ratio(matched, positives), ratio(2 * matched, alarms + positives))


def _informed(episodes: pl.DataFrame, delay: float) -> Sequence[Rule]:
    """Score a rule that knows step and hidden cause: it waits ``delay`` · H_s and alarms in the most precise cells first.

    The cells are chosen on the episodes they are scored on, so the ceiling is slightly optimistic with few episodes per cell.
    """
    counted = episodes.filter(~pl.col("censored") & ~pl.col("bot"))
    fires, matches = _fires(counted, "fraction", delay)
    cells = (
        counted.with_columns(fires=pl.Series(fires), matches=pl.Series(matches))
        .group_by("step_id", "cause")
        .agg(pl.col("fires").sum(), pl.col("matches").sum())
        .filter(pl.col("fires") > 0)
        .sort(pl.col("matches") / pl.col("fires"), descending=True)
    )
    positives = int(counted["positive"].sum())
    alarms: Floats = np.cumsum(cells["fires"].to_numpy()).astype(np.float64)
    matched: Floats = np.cumsum(cells["matches"].to_numpy()).astype(np.float64)
    return [_rule("ceiling", delay, int(a), int(m), positives) for a, m in zip(alarms, matched, strict=True)]


def _best_f1(rules: Sequence[Rule]) -> Rule:
    return max(rules, key=lambda rule: -1.0 if rule.f1 is None else rule.f1)


def _best_recall(rules: Sequence[Rule]) -> Rule | None:
    good = [rule for rule in rules if rule.precision is not None and rule.precision >= _PRECISION and rule.matched]
    return max(good, key=lambda rule: rule.recall or 0.0) if good else None
