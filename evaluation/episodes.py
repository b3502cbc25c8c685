"""Episodes of held-out people, who get no help: who was at which step, from when to when.

An *episode* is a person at a step of their present path since it became current. It ends when the step is completed, or *left*: the person
completed a later step, went on to one, or was activated. Nobody is at a step after activation.
"""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from evaluation.evidence import HOLDOUT, Evidence

KEY = ["user_id", "step_id"]


def episodes(evidence: Evidence, strict: Collection[str] = ()) -> pl.DataFrame:
    """Return the episodes of held-out people. ``strict``: paths where the order matters, so that a later step done first means nothing.

    ``user_id path_id step_id position onset completed_at left_at activated_at ended_at`` (ms; null: has not happened). Who had completed a
    later step before has left the step when it becomes current: nothing is said of them, and no alarm raised.
    """
    people = evidence.people.filter(pl.col("experiment_group") == HOLDOUT).select("user_id", "path_id", "activated_at")
    steps = evidence.progress.join(people, on=["user_id", "path_id"], maintain_order="left")
    activated, since = pl.col("activated_at"), pl.col("current_since_at")
    came = steps.filter((since > 0) & ((activated == 0) | (since < activated))).select(
        *KEY, "path_id", "position", onset=since, completed_at=_or_null("completed_at"), activated_at=_or_null("activated_at")
    )
    others = steps.select("user_id", "path_id", after="position", since="current_since_at", done="completed_at")
    onset = pl.col("onset")
    ahead = pl.when((pl.col("done") > 0) & ~pl.col("path_id").is_in(list(strict))).then(pl.max_horizontal("done", "onset"))
    moved = pl.when(pl.col("since") >= onset).then("since")
    left = (
        came.select(*KEY, "path_id", "position", "onset")
        .join(others, on=["user_id", "path_id"])
        .filter(pl.col("after") > pl.col("position"))
        .group_by(KEY)
        .agg(left_at=pl.min_horizontal(ahead, moved).min())
    )
    return (
        came.join(left, on=KEY, how="left", maintain_order="left")
        .with_columns(left_at=pl.min_horizontal("left_at", "activated_at"))
        .with_columns(ended_at=pl.min_horizontal("completed_at", "left_at"))
    )


def first_alarms(signals: pl.DataFrame) -> pl.DataFrame:
    """Return the first signal of each person and step."""
    return signals.sort("detected_at", maintain_order=True).unique(KEY, keep="first", maintain_order=True)


def _or_null(name: str) -> pl.Expr:
    return pl.when(pl.col(name) > 0).then(pl.col(name))
