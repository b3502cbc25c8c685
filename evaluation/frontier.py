"""The frontier of stuck detection: how early, and how surely, scores tell who is stuck. Measured on held-out people, who get no help.

Episodes are those of ``evaluation.episodes``. *H*: the step's horizon as the engine knew it when the episode began. *Stuck*: neither
completed nor left within H. Episodes without H of follow-up are not judged. *Look*: a share of H, and those who still wait then. *Time
alone*: the share of stuck people among those who waited as long at this step before. An *alarm* is right if its person is stuck and it came
within half of H.

``evaluation.stuck`` judges by one horizon for a whole population instead.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from evaluation.arrays import Flags, Floats, ratio
from evaluation.calibration import Calibration, calibrate
from evaluation.episodes import KEY, episodes, first_alarms
from evaluation.evidence import Evidence

LEAST_STUCK = 20
"""With fewer stuck people, and fewer others, no comparison of scores is worth a sentence."""
_A_BIN = 40


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision and recall at each threshold of a score, the highest first; ``average`` is the average precision."""

    recall: Floats
    precision: Floats
    average: float


@dataclass(frozen=True, slots=True)
class Look:
    """What was said of the ``people`` who still waited at ``share`` of H, ``stuck`` of whom were. Curves are None where nobody was."""

    share: float
    people: int
    stuck: int
    engine: Curve | None
    time_alone: Curve | None


@dataclass(frozen=True, slots=True)
class Frontier:
    """``episodes`` were judged, ``stuck`` of them were. Of ``alarms``, ``right`` were. ``calibration`` is that of all scores, None without.

    ``by_trigger``: trigger -> ``alarms`` and their ``precision``.
    """

    episodes: int
    stuck: int
    alarms: int
    right: int
    by_trigger: Mapping[str, Mapping[str, float]]
    looks: list[Look]
    calibration: Calibration | None

    @property
    def precision(self) -> float | None:
        """Of the alarms, the share that is right; None without an alarm."""
        return ratio(self.right, self.alarms)

    @property
    def recall(self) -> float | None:
        """Of the stuck, the share with a right alarm; None where nobody is stuck."""
        return ratio(self.right, self.stuck)

    @property
    def comparable(self) -> bool:
        """Whether enough people were stuck, and enough were not, to compare scores at every look."""
        return bool(self.looks) and all(min(look.stuck, look.people - look.stuck) >= LEAST_STUCK for look in self.looks)

    @property
    def below(self) -> list[Look]:
        """The looks at which the engine's average precision is below that of time alone, to three decimals."""
        return [
            look
            for look in self.looks
            if look.engine and look.time_alone and round(look.engine.average, 3) < round(look.time_alone.average, 3)
        ]


def frontier(evidence: Evidence, strict: Collection[str] = ()) -> Frontier:
    """Judge the scores and the alarms of held-out people. ``strict``: paths where the order matters, so that nobody leaves a step."""
    came = episodes(evidence, strict)
    rows = judged(came, evidence)
    alarms = _judged_alarms(came, rows, evidence)
    whole = rows.group_by(KEY).agg(pl.col("stuck").any())
    return Frontier(
        episodes=whole.height,
        stuck=int(whole["stuck"].sum()),
        alarms=alarms.height,
        right=int(alarms["right"].sum()),
        by_trigger={
            str(trigger): {"alarms": mine.height, "precision": float(mine["right"].to_numpy().mean())}
            for (trigger,), mine in alarms.sort("trigger").group_by(["trigger"], maintain_order=True)
        },
        looks=[_look(float(share), mine) for (share,), mine in rows.sort("share").group_by(["share"], maintain_order=True)],
        calibration=calibrate(rows["score"].to_numpy(), rows["stuck"].to_numpy(), min(10, max(2, rows.height // _A_BIN))),
    )


def judged(came: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    """Return the scores of ``episodes`` whose end is known: their columns, ``share score time_alone horizon lasted stuck``.

    ``lasted`` (ms) is null for a person who still waits.
    """
    scores = evidence.scores.select(*KEY, "share", "score", "time_alone", "judged_at", horizon="horizon_ms")
    rows = came.join(scores, on=KEY, maintain_order="left")
    return rows.filter(pl.col("judged_at") >= pl.col("onset")).pipe(_with_labels, evidence.until)


def _with_labels(rows: pl.DataFrame, until: int) -> pl.DataFrame:
    """Leave out what has no horizon or no follow-up, and say who is stuck."""
    followed = rows.filter(pl.col("onset") + pl.col("horizon") <= until)
    followed = followed.with_columns(lasted=(pl.col("ended_at") - pl.col("onset")).clip(0))
    return followed.with_columns(stuck=pl.col("lasted").is_null() | (pl.col("lasted") > pl.col("horizon")))


def _judged_alarms(came: pl.DataFrame, rows: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    """The first alarm of each episode whose end is known, and whether it was ``right``. One before the first look names its horizon."""
    named = pl.col("evidence").str.json_path_match("$.horizon").cast(pl.Float64, strict=False)
    alarms = first_alarms(evidence.signals).select(*KEY, "trigger", "detected_at", named=named)
    known = rows.group_by(KEY).agg(pl.col("horizon").first())
    found = came.join(alarms, on=KEY).join(known, on=KEY, how="left").with_columns(horizon=pl.coalesce("horizon", "named"))
    since = pl.col("detected_at") - pl.col("onset")
    return _with_labels(found, evidence.until).with_columns(right=pl.col("stuck") & (since >= 0) & (since * 2 <= pl.col("horizon")))


def _look(share: float, rows: pl.DataFrame) -> Look:
    stuck = rows["stuck"].to_numpy()
    engine, time = (curve(rows[name].to_numpy(), stuck) for name in ("score", "time_alone"))
    return Look(share, rows.height, int(stuck.sum()), engine, time)


def curve(score: Floats, stuck: Flags) -> Curve | None:
    """Return the curve of ``score``; equal scores count as one group. None where nobody is stuck."""
    if not stuck.any():
        return None
    order = np.argsort(-score, kind="stable")
    ranked, hits = score[order], np.cumsum(stuck[order])
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    recall, precision = hits[last] / hits[-1], hits[last] / (last + 1)
    return Curve(recall, precision, float((np.diff(recall, prepend=0.0) * precision).sum()))
