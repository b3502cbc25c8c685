"""Calibration of scores: of the alarms with score 0.7, 70 % should concern people who would have stayed stuck.

Sources: reliability tables and the expected calibration error, Naeini, Cooper and Hauskrecht 2015; the score of Brier 1950.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from evaluation.stuck import classify_alarms


@dataclass(frozen=True, slots=True)
class Calibration:
    """``table``: ``scored`` (mean score), ``happened`` (share of positives), ``alarms`` per bin, bins of equal numbers of alarms.

    ``brier``: mean squared error (0 best); ``brier_of_base_rate``: that of the constant base rate. ``error``: the expected
    calibration error, mean |scored - happened| weighted by alarms.
    """

    alarms: int
    base_rate: float
    brier: float
    brier_of_base_rate: float
    error: float
    table: pl.DataFrame


def calibrate(scores: ArrayLike, happened: ArrayLike, bins: int = 10) -> Calibration | None:
    """Compare scores in 0..1 with outcomes (True/False). None without scores."""
    score = np.asarray(scores, dtype=np.float64)
    truth = np.asarray(happened, dtype=np.float64)
    if not score.size:
        return None
    if score.min() < 0 or score.max() > 1:
        raise ValueError(f"scores must be probabilities; these range from {score.min():g} to {score.max():g}")
    # Equal scores stay in one bin, so that a detector with few score levels gets one row per level.
    edges = np.unique(np.quantile(score, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf"))
    bin_of = np.searchsorted(edges, score, side="left")
    table = (
        pl.DataFrame({"bin": bin_of, "score": score, "truth": truth})
        .group_by("bin")
        .agg(scored=pl.col("score").mean(), happened=pl.col("truth").mean(), alarms=pl.len())
        .sort("bin")
        .drop("bin")
    )
    weight = table["alarms"].to_numpy() / score.size
    gap = np.abs(table["scored"].to_numpy() - table["happened"].to_numpy())
    base = float(truth.mean())
    return Calibration(
        alarms=score.size,
        base_rate=base,
        brier=float(np.square(score - truth).mean()),
        brier_of_base_rate=base * (1.0 - base),
        error=float((weight * gap).sum()),
        table=table,
    )


def calibrate_signals(episodes: pl.DataFrame, signals: pl.DataFrame, bins: int = 10) -> Calibration | None:
    """Compare the scores of first alarms with the episodes' labels (by truth or by holdout); bots count as not stuck.

    The label says whether the person would have stayed stuck, not whether the alarm was in time. None: no alarm has a score.
    """
    alarms = classify_alarms(episodes, signals).filter(pl.col("known") & pl.col("alarmed") & pl.col("score").is_not_null())
    return calibrate(alarms["score"].to_numpy(), alarms["positive"].to_numpy(), bins)
