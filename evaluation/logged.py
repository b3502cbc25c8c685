"""A policy's log as arrays: contexts, eligible arms with their propensities, the chosen arm and its reward.

Only shown decisions of the adaptive group whose window has closed count: success is 1, failure 0. Decisions that were not shown are left
out. That causes no bias: the arms of one decision share a surface, and being shown does not depend on the arm (``balance.py`` tests this).

Shown ones whose window was voided are left out too. Where that follows from what the person did before they saw anything, or from a
deletion, it causes no bias either. Where a visitor signed in it does: what the user did is not known of the visitor, so guidance that makes
visitors sign in loses its successes and keeps its failures. ``balance.py`` counts such windows, and tests whether the arm decides what is
voided.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from evaluation.arrays import Flags, Floats, Integers
from evaluation.evidence import ADAPTIVE, Evidence, ends
from state.duration import DAY

CONTEXT = ("trigger", "step_id", "segment")


@dataclass(frozen=True, slots=True)
class Logged:
    """``n`` decisions in order of time over ``k`` arms.

    ``propensities`` is n × k, 0 for an arm that was not eligible or could not be chosen.
    """

    arms: tuple[str, ...]
    contexts: tuple[tuple[str, str, str], ...]
    """Context number -> (trigger, step, segment)."""
    context: Integers
    chosen: Integers
    eligible: Flags
    propensities: Floats
    rewards: Floats

    def __len__(self) -> int:
        return int(self.rewards.size)

    @property
    def segments(self) -> set[str]:
        """Return the segments of the decisions."""
        return {segment for _, _, segment in self.contexts}

    @property
    def chosen_propensity(self) -> Floats:
        """Return the propensity of the chosen arm of each decision."""
        return np.asarray(self.propensities[np.arange(len(self)), self.chosen])

    def part(self, start: int, stop: int) -> Logged:
        """Return decisions ``start`` to ``stop`` (exclusive)."""
        rows = slice(start, stop)
        return Logged(
            self.arms,
            self.contexts,
            self.context[rows],
            self.chosen[rows],
            self.eligible[rows],
            self.propensities[rows],
            self.rewards[rows],
        )


def logged(evidence: Evidence) -> Logged:
    """Read the adaptive group's shown decisions whose attribution window has closed, in order of time.

    The window is that of the decision's catalog; a day where it is not known. A success is known when it happens, a failure only when the
    window closes. Among the newest decisions only successes have ended, and counting them would bias every value upwards. So a decision
    counts only after its window has closed.
    """
    return from_frame(logged_frame(evidence))


def logged_frame(evidence: Evidence) -> pl.DataFrame:
    """Return the decisions that ``logged`` reads as a table, each with its ``reward``."""
    return shown_and_over(evidence).join(ends(evidence.outcomes), on="decision_id").sort("decided_at", "decision_id", maintain_order=True)


def shown_and_over(evidence: Evidence) -> pl.DataFrame:
    """Return the adaptive group's decisions that were shown so long ago that their attribution window is over."""
    decided = evidence.decisions.filter((pl.col("outcome") == "decided") & (pl.col("experiment_group") == ADAPTIVE))
    windows = evidence.promised("attribution_window_ms", DAY)
    shown = evidence.outcomes.filter(pl.col("kind") == "shown").join(windows, on="decision_id")
    return decided.join(shown.filter(pl.col("occurred_at") + pl.col("promised") <= evidence.until), on="decision_id", how="semi")


def from_frame(frame: pl.DataFrame) -> Logged:
    """Build the arrays from decisions with their ``reward``."""
    if not frame.height:
        none, nowhere = np.zeros(0, dtype=np.int64), np.zeros((0, 0))
        return Logged((), (), none, none, nowhere.astype(np.bool_), nowhere, np.zeros(0))
    flat = frame.select("arms", "propensities").with_row_index("row").explode("arms", "propensities").drop_nulls("arms")
    arms = tuple(sorted({*flat["arms"].unique().to_list(), *frame["arm"].unique().to_list()}))
    number = {arm: index for index, arm in enumerate(arms)}
    eligible = np.zeros((frame.height, len(arms)), dtype=np.bool_)
    propensities = np.zeros((frame.height, len(arms)))
    rows = flat["row"].to_numpy()
    columns = flat["arms"].replace_strict(number, return_dtype=pl.Int64).to_numpy()
    eligible[rows, columns] = True
    propensities[rows, columns] = flat["propensities"].to_numpy()
    keys = frame.select(CONTEXT)
    distinct = keys.unique(maintain_order=True)
    contexts = tuple((str(a), str(b), str(c)) for a, b, c in distinct.iter_rows())
    place = keys.join(distinct.with_row_index("place"), on=list(CONTEXT), how="left", maintain_order="left")["place"]
    return Logged(
        arms=arms,
        contexts=contexts,
        context=place.cast(pl.Int64).to_numpy(),
        chosen=frame["arm"].replace_strict(number, return_dtype=pl.Int64).to_numpy(),
        eligible=eligible,
        propensities=propensities,
        rewards=frame["reward"].cast(pl.Float64).to_numpy(),
    )
