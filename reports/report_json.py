"""The run report as JSON: camelCase, fractions as fractions, times in Unix ms, null where there is nothing to measure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evaluation.arrays import ratio
from evaluation.evidence import ADAPTIVE, HOLDOUT, RULES
from reports.run_report import LAST_SHARE
from reports.values import json_value, pick

if TYPE_CHECKING:
    from evaluation.bandit_value import Values
    from evaluation.effect import Lift
    from evaluation.frontier import Frontier
    from evaluation.model_value import ModelValue
    from reports.run_report import BanditReport, RunReport, StuckReport

Json = dict[str, Any]

_WORTH = {
    "meanReward": "mean",
    "observedReward": "observed",
    "uniformReward": "uniform",
    "bestFixedReward": "best_fixed",
    "bestPolicyReward": "best_policy",
    "policyValue": "policy",
    "gapClosed": "gap_closed",
}


def report_json(report: RunReport) -> Json:
    """What ClickHouse alone shows: ``verdict`` in ``onramp report --json``."""
    return {
        **_effect(report),
        "sampleRatio": json_value(report.groups),
        "shownRates": {"byArm": json_value(report.shown.rates), **pick(report.shown, "p_value", "ok")},
        "voidedWindows": pick(report.voided, "ended", "voided", "signed_in", "common", "p_value", "even"),
        "frontier": frontier_json(report.frontier),
        "holdoutStuck": {**_stuck(report.stuck), **pick(report.stuck, "recovered_alone")},
        "stoppedArms": json_value(report.learned.stops),
        "steps": json_value(report.learned.steps.drop("curve_ms", "survival")),
        "integrity": json_value(report.checks),
    }


def truth_json(report: RunReport, scenario: str) -> Json:
    """What needs the truth: ``truth`` in ``onramp demo --json``. ``report.truth`` must be there."""
    assert report.truth is not None, "only a simulated run has a truth"
    true = report.effect.true_lift
    return {
        "scenario": scenario,
        **{f"stuck{name[0].upper()}{name[1:]}": value for name, value in _stuck(report.truth.stuck).items()},
        "byTrigger": by_trigger(report.truth.stuck),
        "frontier": frontier_json(report.frontier),
        **_effect(report),
        "trueLift": None if true is None else true.lift,
        "activationRateUntreated": None if true is None else true.untreated,
        "trueLiftStandardError": None if true is None else true.standard_error,
        "bandit": _bandit(report.truth.bandit),
        "stoppedArms": json_value(report.learned.stops),
        "integrity": json_value(report.checks),
        "changedAt": report.truth.changed_at,
    }


def model_json(value: ModelValue) -> Json:
    """Model against template: ``llm`` in ``onramp report --json``. Money in dollars."""
    counts = ("decisions", "improved", "shown", "matured", "successes")
    return {
        "groups": {
            side.experiment: {**pick(side, *counts), "successRate": side.rate, "costDollars": side.cost_micros / 1e6}
            for side in value.sides
        },
        "open": value.open,
        "modelMinusTemplate": None if value.lift is None else _lift(value.lift),
        "sampleRatio": json_value(value.drawn),
        "sampleRatioShown": json_value(value.shown),
        "incrementalSuccesses": value.incremental,
        "costPerIncrementalSuccess": None if value.per_success is None else value.per_success / 1e6,
        "costPerIncrementalSuccessAtMost": None if value.per_success_at_most is None else value.per_success_at_most / 1e6,
        "whyNoCost": value.why_not or None,
    }


def frontier_json(found: Frontier) -> Json:
    """Scores of held-out people beside time alone: average precisions at each share of the horizon, and the alarms.

    ``calibration`` is that of all scores, ``calibrationError`` its error. That of the alarms alone stands beside the other figures of them.
    """
    return {
        **pick(found, "episodes", "stuck", "alarms", "right", "went_on", "precision", "recall"),
        "byStep": [{"stepId": each.step, **pick(each, "stuck", "alarms", "right", "went_on")} for each in found.by_step],
        "calibration": found.calibration and {"scores": found.calibration.alarms, "error": found.calibration.error},
        "calibrationError": None if found.calibration is None else found.calibration.error,
        "looks": [
            {
                **pick(look, "share", "people", "stuck"),
                "averagePrecision": None if look.engine is None else look.engine.average,
                "averagePrecisionOfTimeAlone": None if look.time_alone is None else look.time_alone.average,
            }
            for look in found.looks
        ],
        "belowTimeAloneAt": [look.share for look in found.below] if found.comparable else None,
    }


def by_trigger(stuck: StuckReport) -> dict[str, dict[str, float | int | None]]:
    """Trigger → precision of its alarms, and recall of the stuck episodes whose hidden cause it is named after."""
    alarms = {row["trigger"]: row for row in stuck.score.by_trigger.to_dicts()}
    causes = {f"stuck:{row['cause']}": row for row in stuck.score.by_cause.to_dicts() if row["cause"] is not None}
    return {
        trigger: {
            "precision": alarms.get(trigger, {}).get("precision"),
            "recall": causes.get(trigger, {}).get("recall"),
            "alarms": alarms.get(trigger, {}).get("alarms", 0),
            "matched": alarms.get(trigger, {}).get("matched", 0),
            "episodes": causes.get(trigger, {}).get("positives", 0),
        }
        for trigger in sorted({*alarms, *causes})
    }


def _effect(of: RunReport) -> Json:
    report = of.effect
    rates = {group.group: group for group in report.groups}
    lift = report.lift_of(ADAPTIVE, HOLDOUT)
    return {
        "activationRate": rates[ADAPTIVE].rate,
        "activationRateHoldout": rates[HOLDOUT].rate,
        "activationRateRules": rates[RULES].rate,
        "matured": {group.group: group.people for group in report.groups},
        "lift": None if lift is None else lift.lift,
        "liftInterval": None if lift is None else [lift.lower, lift.upper],
        "liftClaimed": None if lift is None else lift.claimed,
        "liftProven": None if lift is None else lift.proven,
        "groupSizesAsPromised": None if of.groups is None else of.groups.ok,
        "leftOut": report.left_out,
        "leftOutObserving": report.observing,
        "leftOutUnknown": report.unknown,
        "leftOutWithoutSignup": report.without_signup,
        "leftOutExpired": report.expired,
        "byFirstEvent": report.by_first_event,
        "beforeSignup": report.before_signup,
        "signedIn": report.signed_in,
        "existingNow": report.existing_now,
        "designs": json_value(report.designs),
        "lifts": [_lift(each) for each in report.lifts],
    }


def _lift(lift: Lift) -> Json:
    return {
        **pick(lift, "treated", "control", "lift", "level", "claimed", "claimed_after", "proven"),
        "runningEstimate": float(lift.path.estimate[-1]),
        "interval": [lift.lower, lift.upper],
        "fixedInterval": [lift.fixed_lower, lift.fixed_upper],
    }


def _stuck(stuck: StuckReport) -> Json:
    score, found = stuck.score, stuck.calibration
    return {
        **pick(score, "precision", "recall", "f1", "prevalence", "episodes", "positives", "alarms", "censored"),
        "leadMs": score.lead,
        "inSession": {
            **pick(score.in_session, "alarms", "matched", "precision"),
            "found": ratio(score.in_session.matched, score.positives),
        },
        "falseAlarms": {
            "onBots": score.false_on_bots,
            "early": score.false_early,
            "late": score.false_late,
            "elsewhere": score.false_elsewhere,
        },
        **pick(stuck.bounds, "best_timeout", "timeout_at_precision", "everyone", "ceiling", "ceiling_at_precision"),
        "calibration": found and {**pick(found, "alarms", "error", "brier", "brier_of_base_rate"), "bins": json_value(found.table)},
    }


def _bandit(bandit: BanditReport | None) -> Json:
    """Over the newest decisions (``share`` of all), the same over all of them under ``overall``."""
    reference = None if bandit is None else bandit.reference
    return {
        **_values(None if bandit is None else bandit.newest),
        "referenceValue": None if reference is None else reference.value,
        "share": LAST_SHARE,
        "overall": {
            **_values(None if bandit is None else bandit.overall),
            "referenceValue": None if reference is None else float(reference.earned.mean()),
        },
    }


def _values(values: Values | None) -> Json:
    worth = {key: None if values is None else json_value(getattr(values, name)) for key, name in _WORTH.items()}
    return {"decisions": 0 if values is None else values.decisions, **worth}
