"""Placebos: data in which cause and effect are independent.

With shuffled rewards every policy has the mean reward as its value; with shuffled labels the precision of any detector is the base rate. A
statistic that still finds an effect is biased.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl

from evaluation.evidence import Evidence
from evaluation.logged import Logged


def shuffle_rewards(log: Logged, seed: int) -> Logged:
    """Shuffle the log's rewards."""
    return dataclasses.replace(log, rewards=np.random.default_rng(seed).permutation(log.rewards))


def shuffle_outcomes(evidence: Evidence, seed: int) -> Evidence:
    """Shuffle successes and failures among the decisions with an outcome, without changing times."""
    closed = pl.col("kind").is_in(["success", "failure"])
    shuffled = np.random.default_rng(seed).permutation(evidence.outcomes.filter(closed)["kind"].to_numpy())
    rows = evidence.outcomes.with_row_index("row")
    new = rows.filter(closed).select("row").with_columns(shuffled=pl.Series(shuffled, dtype=pl.String))
    outcomes = (
        rows.join(new, on="row", how="left", maintain_order="left")
        .with_columns(kind=pl.coalesce("shuffled", "kind"))
        .drop("row", "shuffled")
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
    """Shuffle the labels of all episodes that count (no bots, not censored)."""
    counts = (~pl.col("bot") & ~pl.col("censored")).alias("counts")
    flags = episodes.select(counts).to_series().to_numpy()
    positive = episodes["positive"].to_numpy().copy()
    positive[flags] = np.random.default_rng(seed).permutation(positive[flags])
    return episodes.with_columns(positive=pl.Series(positive))
