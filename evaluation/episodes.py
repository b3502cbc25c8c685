"""Episodes of held-out people, who get no help: who was at which step, from when to when, and who was stuck there.

An *episode* is a person at a step of their present path since it became current. It ends when the step is completed, or *left*: the person
completed a later step, went on to one, or was activated. Nobody is at a step after activation, or at one that was completed before it
became current. Where a visitor came to the step who then signed in, the visitor's scores and alarms are the user's
(``reports.evidence``). *H* is the horizon of the step that was in force when the episode began. *Stuck*: neither completed nor left within
H. Without H of follow-up an episode is not judged.

The views ``path_steps`` and ``stuck_episodes`` of ClickHouse say the same.
"""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from evaluation.evidence import HOLDOUT, Evidence

KEY = ["user_id", "step_id"]


def episodes(evidence: Evidence, strict: Collection[str] = ()) -> pl.DataFrame:
    """Return the episodes of held-out people. ``strict``: paths where the order matters, so that a later step done first means nothing.

    ``user_id path_id step_id position onset completed_at left_at activated_at ended_at`` (ms; null: has not happened), ``horizon lasted``
    (ms; null: not known, has not ended) and ``stuck`` (null: not judged). ``went_on_at``: when the last of the later steps was completed.
    Who had completed a later step before has left the step when it becomes current: nothing is said of them, and no alarm raised.
    """
    people = evidence.people.filter(pl.col("experiment_group") == HOLDOUT).select("user_id", "path_id", "activated_at")
    steps = evidence.progress.join(people, on=["user_id", "path_id"], maintain_order="left")
    activated, since, done = pl.col("activated_at"), pl.col("current_since_at"), pl.col("completed_at")
    came = steps.filter((since > 0) & ((activated == 0) | (since < activated)) & ((done == 0) | (done >= since))).select(
        *KEY, "path_id", "position", onset=since, completed_at=_or_null("completed_at"), activated_at=_or_null("activated_at")
    )
    others = steps.select("user_id", "path_id", after="position", since="current_since_at", done="completed_at")
    onset = pl.col("onset")
    ahead = pl.when((pl.col("done") > 0) & ~pl.col("path_id").is_in(list(strict))).then(pl.max_horizontal("done", "onset"))
    moved = pl.when(pl.col("since") >= onset).then("since")
    followed = onset + pl.col("horizon") <= evidence.until
    left = (
        came.select(*KEY, "path_id", "position", "onset")
        .join(others, on=["user_id", "path_id"])
        .filter(pl.col("after") > pl.col("position"))
        .group_by(KEY)
        .agg(left_at=pl.min_horizontal(ahead, moved).min(), went_on_at=_or_null("done").max())
    )
    return (
        came.join(left, on=KEY, how="left", maintain_order="left")
        .with_columns(left_at=pl.min_horizontal("left_at", "activated_at"))
        .with_columns(ended_at=pl.min_horizontal("completed_at", "left_at"))
        .with_columns(lasted=pl.col("ended_at") - onset)
        .pipe(_with_horizons, evidence)
        .with_columns(stuck=pl.when(followed).then(pl.col("lasted").is_null() | (pl.col("lasted") > pl.col("horizon"))))
    )


def _with_horizons(came: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    """Add ``horizon``. The scores of an episode have it, and so has the evidence of its alarm. Who has neither was quick;
    then it is that of the statistics in force when the episode began, or of the first that were learned.
    """
    own = evidence.scores.group_by(KEY).agg(pl.col("judged_at").max(), own=pl.col("horizon_ms").last())
    in_evidence = pl.col("evidence").str.json_path_match("$.horizon").cast(pl.Float64, strict=False)
    named = first_alarms(evidence.signals).select(*KEY, named=in_evidence)
    learned = evidence.statistics.sort("learned_at").select("step_id", "learned_at", in_force="horizon_ms")
    first = learned.group_by("step_id").agg(first=pl.col("in_force").first())
    return (
        came.with_row_index("place")
        .sort("onset")
        .join_asof(
            learned, left_on="onset", right_on="learned_at", by="step_id", check_sortedness=False
        )  # both are sorted, within steps too
        .join(first, on="step_id", how="left")
        .join(own, on=KEY, how="left")
        .join(named, on=KEY, how="left")
        .sort("place")
        .select(
            *came.columns,
            horizon=pl.coalesce(pl.when(pl.col("judged_at") >= pl.col("onset")).then("own"), "named", "in_force", "first"),
        )
    )


def first_alarms(signals: pl.DataFrame) -> pl.DataFrame:
    """Return the first signal of each person and step."""
    return signals.sort("detected_at", maintain_order=True).unique(KEY, keep="first", maintain_order=True)


def _or_null(name: str) -> pl.Expr:
    return pl.when(pl.col(name) > 0).then(pl.col(name))
