"""The run report: what the engine achieved for one tenant at one moment. Tables, plots and JSON all read this structure.

Most of it comes from ClickHouse alone, as on a live system. ``truth`` adds what only a simulated run can know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import polars as pl

from evaluation.balance import GroupBalance, ShownBalance, VoidedBalance, people_balance, shown_balance, voided_balance
from evaluation.bandit_value import Curves, Exposed, Values, curves, exposed, last, values
from evaluation.calibration import Calibration, calibrate_signals
from evaluation.effect import EffectReport, effect, without_proof
from evaluation.evidence import ADAPTIVE, HOLDOUT, Evidence
from evaluation.frontier import Frontier, frontier
from evaluation.integrity import Finding, check
from evaluation.model_value import ModelValue, model_value
from evaluation.observed import Observed, is_observing, observed
from evaluation.prior import prior_for
from evaluation.reference import Reference, reference
from evaluation.stopped_arms import with_in_force
from evaluation.stuck import StuckScore, holdout_signals, label_by_holdout, label_by_truth, recovered_alone, score
from evaluation.stuck_bounds import Bounds, bounds
from evaluation.survival import Survival, kaplan_meier
from evaluation.truth import SealedTruth
from state.duration import DAY

if TYPE_CHECKING:
    from reports.evidence import Query

_MOST_BINS: Final = 10
_ALARMS_A_BIN: Final = 40
_LEAST_CHOICES: Final = 50
_DETECTOR: Final = "*"  # the row of the step statistics that is about no step

LAST_SHARE: Final = 0.2
"""Of the decisions, the newest: where a learner should have learned. The bandit's values are over these."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What the engine believes now of a tenant: its rows of the views named below."""

    posteriors: pl.DataFrame
    stops: pl.DataFrame
    """In order of time; in a ``RunReport`` with ``in_force``."""
    steps: pl.DataFrame
    alarms: pl.DataFrame
    """One row of the view ``stuck_scorecard``, or none."""


@dataclass(frozen=True, slots=True)
class StuckReport:
    """Stuck detection against labelled episodes. ``recovered_alone``: share of alarms after which people completed the step without help
    (holdout only).
    """

    score: StuckScore
    bounds: Bounds
    calibration: Calibration | None
    recovered_alone: float | None = None


@dataclass(frozen=True, slots=True)
class BanditReport:
    """The worth of the bandit's choices over all decisions shown, over the newest of them, and as regret after each decision."""

    overall: Values
    newest: Values
    shown: Exposed
    regret: Curves
    reference: Reference | None


@dataclass(frozen=True, slots=True)
class StepCurve:
    """How long held-out people took for one step (ms), ``people`` of whom ``completed`` did. ``horizon``: the true H, or the newest."""

    step: str
    people: int
    completed: int
    observed: Survival
    horizon: float | None


@dataclass(frozen=True, slots=True)
class TruthReport:
    """What needs the sealed truth of a simulated run. ``bandit`` None: nothing was shown."""

    stuck: StuckReport
    bandit: BanditReport | None
    horizons: Mapping[str, int]
    changed_at: int | None


@dataclass(frozen=True, slots=True)
class RunReport:
    """One tenant at one moment. ``groups`` None: nobody's promised shares are known; ``model`` None: no model was ever considered.

    Where the sizes of the groups are not as promised (``groups.ok``), ``effect`` proves nothing.

    ``observed`` None: the newest catalog guides people.
    """

    evidence: Evidence
    learned: Learned
    effect: EffectReport
    groups: GroupBalance | None
    shown: ShownBalance
    voided: VoidedBalance
    stuck: StuckReport
    frontier: Frontier
    observed: Observed | None
    steps: list[StepCurve]
    checks: list[Finding]
    truth: TruthReport | None = None
    model: ModelValue | None = None

    @property
    def failed_checks(self) -> list[Finding]:
        """The failed checks: to be explained before any figure is believed."""
        return [each for each in self.checks if not each.ok]


def read_learned(query: Query, tenant: str) -> Learned:
    """Read what is believed. ``query`` as for ``reports.evidence.load``."""

    def rows(columns: str, view: str, order: str) -> pl.DataFrame:
        return query(f"SELECT {columns} FROM {view} WHERE tenant_id = {{tenant:String}} ORDER BY {order}", tenant=tenant)  # noqa: S608

    return Learned(
        posteriors=rows(
            "toString(trigger) AS trigger, context, toString(arm) AS arm, alpha, beta, mean, weight",
            "arm_posteriors_latest",
            "trigger, context, arm",
        ),
        stops=rows(
            "toString(trigger) AS trigger, toString(arm) AS arm, toString(arm_version) AS arm_version, confidence, margin, rate,"
            " others_rate, outcomes, toUnixTimestamp64Milli(stopped_at) AS stopped_at, version",
            "arm_stops_final",
            "stopped_at, version, trigger, arm",
        ),
        steps=rows(
            "toString(step_id) AS step_id, parameters_version, horizon_ms, median_ms, completion_share, episodes, curve_ms, survival",
            "step_statistics_latest",
            "step_id",
        ).filter(pl.col("step_id") != _DETECTOR),
        alarms=rows("asked_precision, precision, recall, reachable, threshold, episodes", "stuck_scorecard", "learned_at"),
    )


def newest_shares(evidence: Evidence) -> dict[str, dict[str, float]]:
    """Trigger → arm → share of its newest choices for the adaptive group, the most considered trigger first."""
    decided = evidence.decisions.filter((pl.col("outcome") == "decided") & (pl.col("experiment_group") == ADAPTIVE))
    turn = pl.int_range(pl.len()).over("trigger")
    most = pl.max_horizontal((LAST_SHARE * pl.len()).ceil().over("trigger"), pl.lit(_LEAST_CHOICES))
    newest = decided.sort("decided_at", "decision_id", descending=True).filter(turn < most)
    counts = newest.group_by("trigger", "arm").len().with_columns(share=pl.col("len") / pl.col("len").sum().over("trigger"))
    order: list[str] = decided["trigger"].value_counts(sort=True).sort("count", "trigger", descending=[True, False])["trigger"].to_list()
    return {trigger: dict(counts.filter(pl.col("trigger") == trigger).sort("arm").select("arm", "share").iter_rows()) for trigger in order}


def build_report(evidence: Evidence, learned: Learned, truth: SealedTruth | None = None) -> RunReport:
    """Compute everything. Takes a second or two for some thousand people."""
    strict = frozenset(evidence.in_force().get("strict_paths") or ())
    groups, compared = people_balance(evidence), effect(evidence, truth)
    known = truth.world.horizons if truth is not None else dict(learned.steps.select("step_id", "horizon_ms").iter_rows())
    return RunReport(
        evidence=evidence,
        learned=replace(learned, stops=with_in_force(learned.stops, evidence)),
        effect=compared if groups is None or groups.ok else without_proof(compared),
        groups=groups,
        shown=shown_balance(evidence),
        voided=voided_balance(evidence),
        stuck=_stuck_report(label_by_holdout(evidence, strict), evidence, held_out=True),
        frontier=frontier(evidence, strict),
        observed=observed(evidence, strict) if is_observing(evidence) else None,
        steps=_step_curves(evidence, known),
        checks=check(evidence, truth),
        truth=_truth_report(evidence, truth) if truth is not None else None,
        model=model_value(evidence) if evidence.llm_calls.height else None,
    )


def _stuck_report(episodes: pl.DataFrame, evidence: Evidence, *, held_out: bool) -> StuckReport:
    signals = evidence.signals
    if held_out:
        signals = holdout_signals(evidence, episodes)
    found = score(episodes, signals)
    bins = min(_MOST_BINS, max(2, found.alarms // _ALARMS_A_BIN))
    return StuckReport(
        score=found,
        bounds=bounds(episodes),
        calibration=calibrate_signals(episodes, signals, bins),
        recovered_alone=recovered_alone(episodes, signals) if held_out else None,
    )


def _truth_report(evidence: Evidence, truth: SealedTruth) -> TruthReport:
    return TruthReport(
        stuck=_stuck_report(label_by_truth(truth, evidence.until), evidence, held_out=False),
        bandit=_bandit_report(exposed(evidence, truth), truth, evidence.in_force().get("attribution_window_ms", DAY)),
        horizons=truth.world.horizons,
        changed_at=truth.world.changed_at,
    )


def _bandit_report(shown: Exposed, truth: SealedTruth, window: int) -> BanditReport | None:
    overall, newest = values(shown), values(last(shown, LAST_SHARE))
    if overall is None or newest is None:
        return None
    yardstick = reference(shown, prior_for(truth.world.prior, shown), window=window, share=LAST_SHARE)
    return BanditReport(overall, newest, shown, curves(shown), yardstick)


def _step_curves(evidence: Evidence, horizons: Mapping[str, float]) -> list[StepCurve]:
    """The steps that held-out people reached, the most frequent first. Activation ends them; those after it do not count."""
    people = evidence.people.filter(pl.col("experiment_group") == HOLDOUT).select("user_id", "path_id", "activated_at")
    came = evidence.progress.filter(pl.col("current_since_at") > 0).join(people, on=["user_id", "path_id"])
    since, done, activated = pl.col("current_since_at"), pl.col("completed_at"), pl.col("activated_at")
    until = pl.when(activated > 0).then(activated).otherwise(evidence.until)
    over = (done > 0) & ((activated == 0) | (done <= activated))
    came = came.filter((activated == 0) | (since < activated), (done == 0) | (done >= since)).select(
        "step_id", over=over, lasted=(pl.when(over).then(done).otherwise(until) - since).clip(0)
    )
    found: list[StepCurve] = []
    for (step,), rows in came.group_by(["step_id"], maintain_order=True):
        observed = kaplan_meier(rows["lasted"].to_numpy(), rows["over"].to_numpy())
        found.append(StepCurve(str(step), rows.height, int(rows["over"].sum()), observed, horizons.get(str(step))))
    return sorted(found, key=lambda curve: (-curve.people, curve.step))
