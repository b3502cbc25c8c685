"""A verdict as JSON: camelCase, fractions as fractions, times in Unix ms, null where there is nothing to measure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import polars as pl

from evaluation.bandit_value import Values
from evaluation.effect import EffectReport, Lift
from evaluation.evidence import ADAPTIVE, HOLDOUT, RULES
from reports.run_report import LAST_SHARE

if TYPE_CHECKING:
    from evaluation.balance import GroupBalance
    from evaluation.calibration import Calibration
    from evaluation.model_value import ModelValue
    from evaluation.stuck_bounds import Rule
    from reports.run_report import BanditCard, RunReport, StuckCard


def seen_json(verdict: RunReport) -> dict[str, Any]:
    """What the tables alone tell, as under ``verdict`` in ``onramp report --json``."""
    groups, shown = verdict.groups, verdict.shown
    found: dict[str, Any] = {
        **_effect(verdict.effect),
        "sampleRatio": _balance(groups),
        "shownRates": {"byArm": _records(shown.rates), "pValue": shown.p_value, "ok": shown.ok},
        "holdoutStuck": {**_stuck(verdict.stuck), "recoveredAlone": verdict.stuck.alone},
        "stoppedArms": _records(verdict.learned.stops),
        "steps": _records(verdict.learned.steps.drop("curve_ms", "survival")),
        "integrity": [{"name": each.name, "ok": each.ok, "detail": each.detail} for each in verdict.findings],
    }
    whole: dict[str, Any] = finite(found)
    return whole


def truth_json(verdict: RunReport, scenario: str) -> dict[str, Any]:
    """What ``onramp demo --json`` has under ``truth``. ``verdict.hidden`` must be there."""
    hidden = verdict.hidden
    assert hidden is not None, "asked for only where there is a truth"
    score = hidden.stuck.score
    effect = _effect(verdict.effect)
    found = {
        "scenario": scenario,
        "stuckPrecision": score.precision,
        "stuckRecall": score.recall,
        **{
            f"stuck{name[0].upper()}{name[1:]}": value
            for name, value in _stuck(hidden.stuck).items()
            if name not in {"precision", "recall"}
        },
        "byTrigger": by_trigger(hidden.stuck),
        **effect,
        **_true_lift(verdict.effect),
        "bandit": _bandit(hidden.bandit),
        "stoppedArms": _records(verdict.learned.stops),
        "integrity": [{"name": each.name, "ok": each.ok, "detail": each.detail} for each in verdict.findings],
        "changedAt": hidden.changed_at,
    }
    whole: dict[str, Any] = finite(found)
    return whole


def model_json(value: ModelValue) -> dict[str, Any]:
    """Model against template, as under ``llm`` in ``onramp report --json``. Money in dollars."""
    found = {
        "groups": {
            side.experiment: {
                "decisions": side.decisions,
                "improved": side.improved,
                "shown": side.shown,
                "matured": side.matured,
                "successes": side.successes,
                "successRate": side.rate,
                "costDollars": side.cost_micros / 1e6,
            }
            for side in value.sides
        },
        "open": value.open,
        "modelMinusTemplate": None if value.lift is None else _lift(value.lift),
        "sampleRatio": _balance(value.drawn),
        "sampleRatioShown": _balance(value.shown),
        "incrementalSuccesses": value.incremental,
        "costPerIncrementalSuccess": None if value.per_success is None else value.per_success / 1e6,
        "costPerIncrementalSuccessAtMost": None if value.per_success_at_most is None else value.per_success_at_most / 1e6,
        "whyNoCost": value.why_not or None,
    }
    whole: dict[str, Any] = finite(found)
    return whole


def by_trigger(card: StuckCard) -> dict[str, dict[str, float | int | None]]:
    """Trigger → precision of its alarms, and recall of the stuck episodes whose hidden cause it is named after."""
    alarms = {row["trigger"]: row for row in card.score.by_trigger.to_dicts()}
    causes = {f"stuck:{row['cause']}": row for row in card.score.by_cause.to_dicts() if row["cause"] is not None}
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


def _effect(report: EffectReport) -> dict[str, Any]:
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
        "lifts": [_lift(each) for each in report.lifts],
    }


def _balance(balance: GroupBalance | None) -> dict[str, Any] | None:
    if balance is None:
        return None
    return {"counts": balance.counts, "shares": balance.shares, "pValue": balance.p_value, "ok": balance.ok}


def _lift(lift: Lift) -> dict[str, Any]:
    return {
        "treated": lift.treated,
        "control": lift.control,
        "lift": lift.lift,
        "interval": [lift.lower, lift.upper],
        "fixedInterval": [lift.fixed_lower, lift.fixed_upper],
        "claimed": lift.claimed,
        "claimedAfter": lift.claimed_after,
    }


def _true_lift(report: EffectReport) -> dict[str, Any]:
    true = report.true_lift
    if true is None:
        return {"trueLift": None, "activationRateUntreated": None, "trueLiftStandardError": None}
    return {"trueLift": true.lift, "activationRateUntreated": true.untreated, "trueLiftStandardError": true.standard_error}


def _stuck(card: StuckCard) -> dict[str, Any]:
    score, bounds = card.score, card.bounds
    return {
        "precision": score.precision,
        "recall": score.recall,
        "f1": score.f1,
        "prevalence": score.prevalence,
        "episodes": score.episodes,
        "positives": score.positives,
        "alarms": score.alarms,
        "censored": score.censored,
        "leadMs": score.lead,
        "falseAlarms": {
            "onBots": score.false_on_bots,
            "early": score.false_early,
            "late": score.false_late,
            "elsewhere": score.false_elsewhere,
        },
        "bestTimeout": _rule(bounds.best_timeout),
        "timeoutAtPrecision": _rule(bounds.timeout_at_precision),
        "everyone": _rule(bounds.everyone),
        "ceiling": _rule(bounds.ceiling),
        "ceilingAtPrecision": _rule(bounds.ceiling_at_precision),
        "calibration": _calibration(card.calibration),
    }


def _rule(rule: Rule | None) -> dict[str, Any] | None:
    if rule is None:
        return None
    return {"kind": rule.kind, "delay": rule.delay, "precision": rule.precision, "recall": rule.recall, "f1": rule.f1}


def _calibration(found: Calibration | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "alarms": found.alarms,
        "error": found.error,
        "brier": found.brier,
        "brierOfBaseRate": found.brier_of_base_rate,
        "bins": _records(found.table),
    }


def _bandit(card: BanditCard | None) -> dict[str, Any]:
    """Over the newest decisions (``share`` of all), the same over all of them under ``overall``."""
    values = _values(None if card is None else card.newest)
    return {
        **values,
        "referenceValue": None if card is None or card.reference is None else card.reference.value,
        "share": LAST_SHARE,
        "overall": {
            **_values(None if card is None else card.overall),
            "referenceValue": None if card is None or card.reference is None else float(card.reference.earned.mean()),
        },
    }


def _values(values: Values | None) -> dict[str, Any]:
    return {
        "decisions": 0 if values is None else values.decisions,
        "meanReward": None if values is None else values.mean,
        "observedReward": None if values is None else values.observed,
        "uniformReward": None if values is None else values.uniform,
        "bestFixedReward": None if values is None else values.best_fixed,
        "bestPolicyReward": None if values is None else values.best_policy,
        "policyValue": None if values is None else values.policy,
        "gapClosed": None if values is None else values.gap_closed,
    }


def _records(frame: pl.DataFrame) -> list[dict[str, Any]]:
    first_word = {name: name.split("_")[0] for name in frame.columns}
    names = {name: first_word[name] + "".join(word.capitalize() for word in name.split("_")[1:]) for name in frame.columns}
    return frame.rename(names).to_dicts()


def finite(value: Any) -> Any:
    """``value`` with null for every number that is none: NaN and infinity are not JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return value
