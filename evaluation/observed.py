"""What a product looks like where nobody is guided: at which steps people are lost, how early it can be known, what guidance could bring.

Episodes, H and *stuck* are those of ``evaluation.episodes``. *Lost*: neither completed the step nor went past it, by the end of the log and
after H. *Called stuck*: the score says that being stuck is at least as likely as not.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from evaluation.arrays import ratio
from evaluation.episodes import episodes
from evaluation.evidence import HOLDOUT, Evidence
from evaluation.frontier import LEAST_STUCK, scored
from state.catalog.plan import SHORTEST_TIMER
from state.stuck.score import SHARES

CALLED: Final = 0.5
"""The score from which on a person is called stuck. Fixed beforehand: one chosen on the same people would flatter."""
SURE: Final = 0.75
"""The precision from which on the stuck count as known."""


@dataclass(frozen=True, slots=True)
class StepLook:
    """Of ``people`` still at the step at ``share`` of H, ``stuck`` were. ``called`` were called stuck, and ``right`` of these were."""

    share: float
    people: int
    stuck: int
    called: int
    right: int
    precision: float | None
    found: float | None
    """Of all who were stuck at this step, the share called stuck at this look."""


@dataclass(frozen=True, slots=True)
class StepLoss:
    """One step. ``began`` = ``completed`` + ``passed`` + ``lost`` + ``too_early``; ``after_horizon`` of the completed were stuck before.

    ``horizon``: the newest H, in ms. ``judged`` people still waited at a look and have a known end; ``stuck`` of them were.
    """

    step: str
    began: int
    completed: int
    after_horizon: int
    passed: int
    lost: int
    too_early: int
    lost_share: float | None
    horizon: float | None
    judged: int
    stuck: int
    looks: list[StepLook]

    @property
    def leaves_look(self) -> bool:
        """Whether ``horizon`` is long enough for a look. Scores of a shorter one are from before it was learned, and of few people."""
        return self.horizon is None or math.ceil(SHARES[-1] * self.horizon) >= SHORTEST_TIMER

    @property
    def known(self) -> StepLook | None:
        """The first look at which enough people are called stuck and enough of them are; None: at none."""
        if not self.leaves_look:
            return None
        sure = (look for look in self.looks if look.called >= LEAST_STUCK and look.precision is not None and look.precision >= SURE)
        return next(sure, None)


@dataclass(frozen=True, slots=True)
class Observed:
    """``users`` began, ``activated`` of them; for ``too_early`` of the others the end is not known yet.

    ``steps``: those where most people are lost come first.
    """

    users: int
    activated: int
    too_early: int
    at_most: int
    """How many more would activate if guidance brought everybody through: no guidance can bring more."""
    lost: int
    """Of ``at_most``, those who are lost at a step."""
    after_horizon: int
    """Completions by people who were stuck before, over all steps: no more of those after H could come sooner."""
    steps: list[StepLoss]

    @property
    def went_another_way(self) -> int:
        """Of ``at_most``, those who are lost at no step: they left the way to the activation, and wait nowhere."""
        return self.at_most - self.lost


def is_observing(evidence: Evidence) -> bool:
    """Whether the newest requests met a catalog that only observes: none was decided, or refused for the holdout, since."""
    asked = evidence.decisions
    newest = asked.filter(pl.col("reason") == "observing")["decided_at"].max()
    guided = asked.filter((pl.col("outcome") == "decided") | (pl.col("reason") == HOLDOUT))["decided_at"].max()
    return newest is not None and (guided is None or bool(newest > guided))  # type: ignore[operator]


def observed(evidence: Evidence, strict: Collection[str] = ()) -> Observed:
    """Count the people without guidance. ``strict`` as for ``evaluation.episodes``."""
    came = episodes(evidence, strict)
    rows = scored(came.filter(pl.col("stuck").is_not_null()), evidence)
    done, past = pl.col("completed_at").is_not_null(), pl.col("left_at").is_not_null()
    horizons: dict[str, float] = dict(evidence.statistics.sort("learned_at").select("step_id", "horizon_ms").iter_rows())
    ended = came.with_columns(
        end=pl.when(done)
        .then(pl.lit("completed"))
        .when(past)
        .then(pl.lit("passed"))
        .when("stuck")
        .then(pl.lit("lost"))
        .otherwise(pl.lit("too_early")),
        after_horizon=(done & (pl.col("lasted") > pl.col("horizon"))).fill_null(value=False),
    )
    whole = ended.group_by("user_id").agg(
        activated=pl.col("activated_at").is_not_null().any(),
        open=(pl.col("end") == "too_early").any(),
        lost=(pl.col("end") == "lost").any(),
    )
    users, activated = whole.height, int(whole["activated"].sum())
    others = whole.filter(~pl.col("activated"))
    open_ = int(others["open"].sum())
    lost = others.filter(~pl.col("open") & pl.col("lost")).height
    steps = [_step(str(step), mine, rows, horizons) for (step,), mine in ended.group_by(["step_id"], maintain_order=True)]
    return Observed(
        users=users,
        activated=activated,
        too_early=open_,
        at_most=users - activated - open_,
        lost=lost,
        after_horizon=sum(step.after_horizon for step in steps),
        steps=sorted(steps, key=lambda step: (-step.lost, -(step.lost_share or 0.0), -step.began, step.step)),
    )


def _step(step: str, ended: pl.DataFrame, rows: pl.DataFrame, horizons: Mapping[str, float]) -> StepLoss:
    ends: dict[str, int] = dict(ended["end"].value_counts().iter_rows())
    mine = rows.filter(pl.col("step_id") == step)
    whole = mine.group_by("user_id").agg(pl.col("stuck").any())
    stuck, lost, early = int(whole["stuck"].sum()), ends.get("lost", 0), ends.get("too_early", 0)
    looks = [_look(share, look, stuck) for (share,), look in mine.sort("share").group_by(["share"], maintain_order=True)]
    return StepLoss(
        step=step,
        began=ended.height,
        completed=ends.get("completed", 0),
        after_horizon=int(ended["after_horizon"].sum()),
        passed=ends.get("passed", 0),
        lost=lost,
        too_early=early,
        lost_share=ratio(lost, ended.height - early),
        horizon=horizons.get(step),
        judged=whole.height,
        stuck=stuck,
        looks=looks,
    )


def _look(share: Any, rows: pl.DataFrame, all_stuck: int) -> StepLook:
    called = rows.filter(pl.col("score") >= CALLED)
    right = int(called["stuck"].sum())
    return StepLook(
        share=float(share),
        people=rows.height,
        stuck=int(rows["stuck"].sum()),
        called=called.height,
        right=right,
        precision=ratio(right, called.height),
        found=ratio(right, all_stuck),
    )
