"""Break the link between cause and effect on purpose: what is left must be worth nothing.

With shuffled rewards every policy is worth the mean reward; with shuffled labels the precision of any detector is the base rate. A
statistic that still finds something finds an artefact of its own.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from evaluation.evidence import Evidence
from evaluation.logged import Logged


def shuffle_rewards(log: Logged, seed: int) -> Logged:
    """Deal the log's rewards out anew at random."""
    return log.with_rewards(np.random.default_rng(seed).permutation(log.rewards))


def shuffle_outcomes(evidence: Evidence, seed: int) -> Evidence:
    """Deal successes and failures out anew among the decisions that had one, times staying where they are."""
    closed = pl.col("kind").is_in(["success", "failure"])
    dealt = np.random.default_rng(seed).permutation(evidence.outcomes.filter(closed)["kind"].to_numpy())
    rows = evidence.outcomes.with_row_index("row")
    new = rows.filter(closed).select("row").with_columns(dealt=pl.Series(dealt, dtype=pl.String))
    outcomes = (
        rows.join(new, on="row", how="left", maintain_order="left").with_columns(kind=pl.coalesce("dealt", "kind")).drop("row", "dealt")
    )
    return Evidence(
        people=evidence.people,
        decisions=evidence.decisions,
        outcomes=outcomes,
        signals=evidence.signals,
        progress=evidence.progress,
        until=evidence.until,
        recommendations=evidence.recommendations,
    )


def shuffle_labels(episodes: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Deal the labels of episodes that count (no bots, not censored) out anew, whatever the step or the person."""
    counts = (~pl.col("bot") & ~pl.col("censored")).alias("counts")
    flags = episodes.select(counts).to_series().to_numpy()
    positive = episodes["positive"].to_numpy().copy()
    positive[flags] = np.random.default_rng(seed).permutation(positive[flags])
    return episodes.with_columns(positive=pl.Series(positive))
