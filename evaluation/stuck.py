"""Precision and recall of stuck detection.

*Episode*: one person at one step, from becoming current to completion; without the truth as in ``evaluation.episodes``, where it may be
left, too. *Positive*: without guidance it does not end within ``H_s`` of the onset. *Match*: the first alarm of that person and step falls
within [onset, onset + H_s/2]. Only the first alarm of an episode counts. Any other alarm (negative episode, before the onset, too late, no
such episode, a bot) is a false positive; a positive without a match is a false negative. An episode whose ``onset + H_s`` is after the end
of the log is censored: its alarms do not count, except a bot's.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from evaluation.arrays import ratio
from evaluation.episodes import KEY, episodes, first_alarms
from evaluation.evidence import Evidence
from evaluation.truth import SealedTruth

LABELS = [*KEY, "bot", "onset", "ended_at", "cause", "horizon", "positive", "censored"]
"""Columns of labelled episodes. Rows of bots are neither positive nor censored; their alarms are false positives."""


class InSession(NamedTuple):
    """Alarms that came while the person was still there, and how many of them were right."""

    alarms: int
    matched: int

    @property
    def precision(self) -> float | None:
        """The share of these alarms that were right."""
        return ratio(self.matched, self.alarms)


@dataclass(frozen=True, slots=True)
class StuckScore:
    """Counts and rates; a rate is None without data. Times in ms.

    ``lead``: median time from the match to ``onset + H_s``, the end of the horizon. The tables have one row per trigger (``alarms
    matched precision lead``), hidden cause (``episodes positives matched recall alarms``) and step (all counts and rates).
    """

    episodes: int
    censored: int
    positives: int
    alarms: int
    true_positives: int
    false_positives: int
    false_negatives: int
    precision: float | None
    recall: float | None
    f1: float | None
    prevalence: float | None
    lead: float | None
    false_on_bots: int
    false_early: int
    false_late: int
    false_elsewhere: int
    in_session: InSession
    by_trigger: pl.DataFrame
    by_cause: pl.DataFrame
    by_step: pl.DataFrame


def label_by_truth(truth: SealedTruth, until: int) -> pl.DataFrame:
    """Return all episodes with their labels (``LABELS``). Episodes of a step without a horizon are censored."""
    horizons = pl.DataFrame(
        {"step_id": list(truth.world.horizons), "horizon": list(truth.world.horizons.values())},
        schema={"step_id": pl.String(), "horizon": pl.Int64()},
    )
    ends_at = pl.col("onset") + pl.col("horizon")
    stays = (pl.col("untreated_at").is_null() | (pl.col("untreated_at") > ends_at)).fill_null(value=False)
    return (
        truth.episodes()
        .join(horizons, on="step_id", how="left", maintain_order="left")
        .with_columns(
            ended_at=pl.col("completed_at"),
            positive=stays & ~pl.col("bot") & pl.col("horizon").is_not_null(),
            censored=(ends_at > until).fill_null(value=True) & ~pl.col("bot"),
        )
        .select(LABELS)
    )


def holdout_signals(evidence: Evidence, labelled: pl.DataFrame) -> pl.DataFrame:
    """Return the signals at the episodes of ``label_by_holdout``. Use them to score these."""
    return evidence.signals.join(labelled, on=KEY, how="semi")


def label_by_holdout(evidence: Evidence, strict: Collection[str] = ()) -> pl.DataFrame:
    """Label the episodes of held-out people, who are untreated, so that no sealed truth is needed. Onset: becoming current.

    Score them with ``holdout_signals``. Each is judged by its own horizon; without one, or without the time to see its end, it is censored.
    ``strict`` as for ``episodes``.
    """
    return (
        episodes(evidence, strict)
        .with_columns(
            bot=pl.lit(value=False),
            cause=pl.lit(None, dtype=pl.String),
            positive=pl.col("stuck").fill_null(value=False),
            censored=pl.col("stuck").is_null(),
        )
        .select(LABELS)
    )


def classify_alarms(episodes: pl.DataFrame, signals: pl.DataFrame) -> pl.DataFrame:
    """Join episodes and first alarms; ``alarm_class``: ``matched missed quiet early late wrong elsewhere bot censored``.

    ``wrong``: an alarm in time for a negative episode. ``quiet``: a negative episode without an alarm.
    """
    alarms = first_alarms(signals).select(*KEY, "trigger", "detected_at", "score", "evidence")
    joined = episodes.with_columns(known=pl.lit(value=True)).join(alarms, on=KEY, how="full", coalesce=True, maintain_order="left_right")
    at, onset = pl.col("detected_at"), pl.col("onset")
    alarmed = at.is_not_null()
    alarm_class = (
        pl.when(pl.col("known").is_null())
        .then(pl.lit("elsewhere"))
        .when(pl.col("bot"))
        .then(pl.when(alarmed).then(pl.lit("bot")).otherwise(pl.lit("none")))
        .when(pl.col("censored"))
        .then(pl.lit("censored"))
        .when(~alarmed)
        .then(pl.when(pl.col("positive")).then(pl.lit("missed")).otherwise(pl.lit("quiet")))
        .when(at < onset)
        .then(pl.lit("early"))
        .when(~pl.col("positive"))
        .then(pl.lit("wrong"))
        .when((at - onset) * 2 <= pl.col("horizon"))
        .then(pl.lit("matched"))
        .otherwise(pl.lit("late"))
    )
    return joined.with_columns(alarm_class=alarm_class).with_columns(
        matched=pl.col("alarm_class") == "matched",
        counted=pl.col("alarm_class").is_in(["matched", "missed", "quiet", "early", "late", "wrong"]),
        alarmed=pl.col("alarm_class").is_in(["matched", "early", "late", "wrong", "elsewhere", "bot"]),
        lead=onset + pl.col("horizon") - at,
    )


def score(episodes: pl.DataFrame, signals: pl.DataFrame) -> StuckScore:
    """Score the alarms against labelled episodes (``label_by_truth``, ``label_by_holdout``)."""
    classified = classify_alarms(episodes, signals)
    total = _rates(classified).row(0, named=True)
    alarm_class = classified["alarm_class"]
    bots = classified.filter(pl.col("alarm_class") == "bot").height
    there = classified.filter("alarmed", pl.col("evidence").str.json_path_match("$.inSession") == "true")
    by_trigger = (
        classified.filter("alarmed")
        .group_by("trigger")
        .agg(
            alarms=pl.len(),
            matched=pl.col("matched").sum(),
            precision=pl.col("matched").mean(),
            lead=pl.col("lead").filter(pl.col("matched")).median(),
        )
        .sort("trigger")
    )
    by_cause = (
        classified.filter("counted")
        .group_by("cause")
        .agg(
            episodes=pl.len(),
            positives=pl.col("positive").sum(),
            matched=pl.col("matched").sum(),
            recall=pl.when(pl.col("positive").any()).then(pl.col("matched").sum() / pl.col("positive").sum()),
            alarms=pl.col("alarmed").sum(),
        )
        .sort("cause", nulls_last=True)
    )
    return StuckScore(
        episodes=total["episodes"],
        censored=int((alarm_class == "censored").sum()),
        positives=total["positives"],
        alarms=total["alarms"],
        true_positives=total["matched"],
        false_positives=total["alarms"] - total["matched"],
        false_negatives=total["positives"] - total["matched"],
        precision=total["precision"],
        recall=total["recall"],
        f1=total["f1"],
        prevalence=ratio(total["positives"], total["episodes"]),
        lead=total["lead"],
        false_on_bots=bots,
        false_early=int((alarm_class == "early").sum()),
        false_late=int((alarm_class == "late").sum()),
        false_elsewhere=int((alarm_class == "elsewhere").sum()),
        in_session=InSession(there.height, int(there["matched"].sum())),
        by_trigger=by_trigger,
        by_cause=by_cause,
        by_step=_rates(classified, "step_id"),
    )


def _rates(classified: pl.DataFrame, by: str | None = None) -> pl.DataFrame:
    figures = [
        pl.col("counted").sum().alias("episodes"),
        (pl.col("positive") & pl.col("counted")).sum().alias("positives"),
        pl.col("alarmed").sum().alias("alarms"),
        pl.col("matched").sum().alias("matched"),
        pl.col("lead").filter(pl.col("matched")).median().alias("lead"),
    ]
    counts = classified.group_by(by).agg(figures).sort(by) if by else classified.select(figures)
    matched, alarms, positives = pl.col("matched"), pl.col("alarms"), pl.col("positives")
    return counts.with_columns(
        precision=pl.when(alarms > 0).then(matched / alarms),
        recall=pl.when(positives > 0).then(matched / positives),
        f1=pl.when(alarms + positives > 0).then(2 * matched / (alarms + positives)),
    )


def recovered_alone(episodes: pl.DataFrame, signals: pl.DataFrame) -> float | None:
    """Return the share of held-out alarms after which the episode ended within H_s of the onset. Episodes by ``label_by_holdout``.

    These are the false positives that can be measured without the sealed truth.
    """
    alarmed = classify_alarms(episodes, signals).filter(pl.col("known") & pl.col("alarmed"))
    return ratio(alarmed.filter(~pl.col("positive") & (pl.col("ended_at") >= pl.col("detected_at"))).height, alarmed.height)
