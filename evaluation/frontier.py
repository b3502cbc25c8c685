"""The frontier of stuck detection: how early, and how surely, scores tell who is stuck. Measured on held-out people, who get no help.

Episodes, H and *stuck* are those of ``evaluation.episodes``. *Look*: a share of H, and those who still wait then. *Time alone*: the share
of stuck people among those who waited as long at this step before. An *alarm* is right if its person is stuck and it came within half of H.
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
class StepAlarms:
    """One step: its judged episodes that were ``stuck``, its ``alarms``, how many of these were ``right``, and after how many of the right
    ones the user ``went_on``: completed a later step of the path without help.
    """

    step: str
    stuck: int
    alarms: int
    right: int
    went_on: int

    @property
    def mostly_went_on(self) -> bool:
        """Whether most users of the right alarms went on, and they are enough to say so."""
        return self.right >= LEAST_STUCK and 2 * self.went_on > self.right


@dataclass(frozen=True, slots=True)
class Frontier:
    """``episodes`` were judged, ``stuck`` of them were. Of ``alarms``, ``right`` were. ``calibration`` is that of all scores, None without.
    ``looks`` are of those who had a score.

    ``by_trigger``: trigger -> ``alarms`` and their ``precision``. ``by_step``: steps where somebody was stuck or had an alarm, the most
    alarms first.
    """

    episodes: int
    stuck: int
    alarms: int
    right: int
    by_trigger: Mapping[str, Mapping[str, float]]
    looks: list[Look]
    calibration: Calibration | None
    by_step: list[StepAlarms]

    @property
    def precision(self) -> float | None:
        """Of the alarms, the share that is right; None without an alarm."""
        return ratio(self.right, self.alarms)

    @property
    def recall(self) -> float | None:
        """Of the stuck, the share with a right alarm; None where nobody is stuck."""
        return ratio(self.right, self.stuck)

    @property
    def went_on(self) -> int:
        """Of the right alarms, those after which the user completed a later step without help."""
        return sum(step.went_on for step in self.by_step)

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
    came = episodes(evidence, strict).filter(pl.col("stuck").is_not_null())
    rows = scored(came, evidence)
    alarms = _judged_alarms(came, evidence)
    return Frontier(
        episodes=came.height,
        stuck=int(came["stuck"].sum()),
        alarms=alarms.height,
        right=int(alarms["right"].sum()),
        by_trigger={
            str(trigger): {"alarms": mine.height, "precision": float(mine["right"].to_numpy().mean())}
            for (trigger,), mine in alarms.sort("trigger").group_by(["trigger"], maintain_order=True)
        },
        looks=[_look(float(share), mine) for (share,), mine in rows.sort("share").group_by(["share"], maintain_order=True)],
        calibration=calibrate(rows["score"].to_numpy(), rows["stuck"].to_numpy(), min(10, max(2, rows.height // _A_BIN))),
        by_step=_by_step(came, alarms),
    )


def _by_step(came: pl.DataFrame, alarms: pl.DataFrame) -> list[StepAlarms]:
    stuck = came.group_by("step_id").agg(stuck=pl.col("stuck").sum())
    raised = alarms.group_by("step_id").agg(alarms=pl.len(), right=pl.col("right").sum(), went_on=pl.col("went_on").sum())
    rows = stuck.join(raised, on="step_id", how="left").fill_null(0).filter((pl.col("stuck") > 0) | (pl.col("alarms") > 0))
    return [StepAlarms(*row) for row in rows.sort("alarms", "stuck", "step_id", descending=[True, True, False]).iter_rows()]


def scored(came: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    """Return the scores of ``episodes``: their columns, ``share score time_alone``."""
    rows = came.join(evidence.scores.select(*KEY, "share", "score", "time_alone", "judged_at"), on=KEY, maintain_order="left")
    return rows.filter(pl.col("judged_at") >= pl.col("onset"))


def _judged_alarms(came: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    """The first alarm of each episode, whether it was ``right``, and whether the user of a right one ``went_on``."""
    since = pl.col("detected_at") - pl.col("onset")
    found = came.join(first_alarms(evidence.signals).select(*KEY, "trigger", "detected_at"), on=KEY)
    right = pl.col("stuck") & (since >= 0) & (since * 2 <= pl.col("horizon"))
    return found.with_columns(right=right, went_on=right & (pl.col("went_on_at") >= pl.col("detected_at")).fill_null(value=False))


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
