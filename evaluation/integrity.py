"""Checks for faults that would invalidate all other figures, in the evidence and, if it is given, against the sealed truth.

Each check returns a ``Finding`` that passes in a healthy run and fails if its fault is present.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from evaluation.evidence import ADAPTIVE, HOLDOUT, Evidence
from evaluation.stuck import classify_alarms, label_by_truth, score
from evaluation.stuck_bounds import bounds
from evaluation.truth import SealedTruth
from state.duration import DAY, MINUTE
from state.quantity import count
from state.vocabulary import NO_COMPONENT

_SLACK: Final = 15 * MINUTE
"""Permitted difference between an app's times and the log's."""
_BINS: Final = 10
"""Of the sizes of propensities."""
_LEAST_CHANCE: Final = 1e-5
"""Level of the two-sided tests: about one false alarm in ten thousand runs."""
_SEALED_KEYS: Final = (
    "untreated untreatedAt untreated_at twin twinActivatedAt twin_activated_at onset onset_at onsetAt cause bot is_bot isBot"
    " horizons prior changedAt changed_at expected_reward"
).split()
_END: Final = ("success", "failure", "expired", "withdrawn", "superseded")


@dataclass(frozen=True, slots=True)
class Finding:
    """``ok`` False: do not use the figures of the run before ``detail``, a sentence, is explained."""

    name: str
    ok: bool
    detail: str


def check(evidence: Evidence, truth: SealedTruth | None = None, *, window: int = DAY, floor: float = 0.0) -> list[Finding]:
    """Run all checks. Each decision is judged by the version of the catalog that it bears (``Evidence.catalogs``).

    Where that is not known: ``window`` of attribution (ms), and ``floor``, the promised minimum propensity of an eligible arm.
    """
    findings = [
        arms_delivered(evidence, truth),
        attribution(evidence, window),
        holdout_untouched(evidence, truth),
        propensities(evidence, floor),
        choices_follow_propensities(evidence),
        one_end_each(evidence),
        nothing_sealed(evidence, truth),
    ]
    return findings if truth is None else [*findings, no_foresight(evidence, truth)]


def _decided(evidence: Evidence) -> pl.DataFrame:
    return evidence.decisions.filter(pl.col("outcome") == "decided")


def arms_delivered(evidence: Evidence, truth: SealedTruth | None = None) -> Finding:
    """Check that deliveries, outcomes and (in the truth) exposures have the arm of their decision."""
    chosen = _decided(evidence).select("decision_id", decided="arm")
    sources = [
        evidence.recommendations.filter((pl.col("ui_component") != NO_COMPONENT).fill_null(value=True)).select("decision_id", "arm"),
        evidence.outcomes.select("decision_id", "arm"),
    ]
    if truth is not None:
        exposures = truth.exposures()
        sources.append(
            pl.DataFrame(
                {"decision_id": [e.decision_id for e in exposures], "arm": [e.arm for e in exposures]},
                schema={"decision_id": pl.String(), "arm": pl.String()},
            )
        )
    delivered = pl.concat(sources)
    joined = delivered.join(chosen, on="decision_id", how="left")
    orphans = int(joined["decided"].is_null().sum())
    swapped = int((joined["decided"] != joined["arm"]).sum())
    detail = f"{swapped} of {joined.height} deliveries and outcomes name another arm than their decision, {orphans} have no decision"
    return Finding("arms delivered", swapped == 0 and orphans == 0, detail)


def attribution(evidence: Evidence, window: int = DAY) -> Finding:
    """Check that successes fall within the window after showing, failures at its end, and that both were shown."""
    outcomes = evidence.outcomes
    shown = outcomes.filter(pl.col("kind") == "shown").group_by("decision_id").agg(shown_at=pl.col("occurred_at").min())
    closed = outcomes.filter(pl.col("kind").is_in(["success", "failure"])).join(shown, on="decision_id", how="left")
    closed = closed.join(evidence.promised("attribution_window_ms", window), on="decision_id", how="left").with_columns(
        pl.col("promised").fill_null(window)
    )
    promised = pl.col("promised")
    after = pl.col("occurred_at") - pl.col("shown_at")
    success = pl.col("kind") == "success"
    counts = closed.select(
        unshown=pl.col("shown_at").is_null().sum(),
        early=(success & (after < -_SLACK)).sum(),
        late=(success & (after > promised + _SLACK)).sum(),
        off=(~success & ((after - promised).abs() > _SLACK)).sum(),
    ).row(0, named=True)
    detail = (
        f"of {count(closed.height, 'reward')} {counts['unshown']} were never shown, {counts['early']} successes came before and"
        f" {counts['late']} after the window, {counts['off']} failures not at its end"
    )
    return Finding("attribution", not any(counts.values()), detail)


def holdout_untouched(evidence: Evidence, truth: SealedTruth | None = None) -> Finding:
    """Check that held-out people have no decision, outcome or exposure."""
    held = evidence.people.filter(pl.col("experiment_group") == HOLDOUT)["user_id"].implode()
    decisions = _decided(evidence).filter((pl.col("experiment_group") == HOLDOUT) | pl.col("user_id").is_in(held)).height
    outcomes = evidence.outcomes.filter(pl.col("user_id").is_in(held)).height
    exposures = 0
    if truth is not None:
        members = set(evidence.people.filter(pl.col("experiment_group") == HOLDOUT)["user_id"])
        exposures = sum(len(person.exposures) for person in truth.people if person.user_id in members)
    detail = f"{count(decisions, 'decision')}, {count(outcomes, 'outcome')} and {count(exposures, 'exposure')} of users held out"
    return Finding("holdout untouched", decisions + outcomes + exposures == 0, detail)


def propensities(evidence: Evidence, floor: float = 0.0) -> Finding:
    """Check that propensities sum to 1, are not below the floor, and that the chosen arm was eligible with the logged propensity."""
    frame = _decided(evidence).filter(pl.col("experiment_group") == ADAPTIVE)
    flat = frame.select("decision_id", "arm", "propensity", "arms", "propensities").filter(
        pl.col("arms").list.len() == pl.col("propensities").list.len()
    )
    ragged = frame.height - flat.height
    own = (
        flat.explode("arms", "propensities", empty_as_null=True)
        .group_by("decision_id")
        .agg(
            total=pl.col("propensities").sum(),
            least=pl.col("propensities").min(),
            logged=pl.col("propensity").first(),
            own=pl.col("propensities").filter(pl.col("arms") == pl.col("arm")).first(),
        )
    )
    own = own.join(evidence.promised("exploration_floor", floor), on="decision_id", how="left")
    counts = own.select(
        unsummed=((pl.col("total") - 1).abs() > 1e-6).sum(),
        uneligible=pl.col("own").is_null().sum(),
        different=((pl.col("own") - pl.col("logged")).abs() > 1e-9).sum(),
        low=((pl.col("least") < pl.col("promised") - 1e-9) | (pl.col("own") <= 0)).sum(),
    ).row(0, named=True)
    detail = (
        f"of {count(frame.height, 'decision')} {ragged} have unequal numbers of arms and propensities,"
        f" {counts['unsummed']} do not sum to 1,"
        f" {counts['uneligible']} chose an arm that was not eligible, {counts['different']} log another propensity for it,"
        f" {counts['low']} fall below the floor"
    )
    return Finding("propensities", ragged == 0 and not any(counts.values()), detail)


def choices_follow_propensities(evidence: Evidence) -> Finding:
    """Check that arms are chosen as often as their propensities predict, by arm and by size of the propensity.

    Sums of (chosen - propensity) are martingales; each with at least five expected choices is compared with its standard deviation.
    """
    frame = _decided(evidence).filter(pl.col("experiment_group") == ADAPTIVE)
    flat = frame.select("arm", "arms", "propensities").explode("arms", "propensities").drop_nulls()
    if not flat.height:
        return Finding("choices follow propensities", ok=True, detail="there are no decisions to check")
    flat = flat.with_columns(
        hit=(pl.col("arm") == pl.col("arms")).cast(pl.Float64),
        size=(pl.col("propensities") * _BINS).floor().clip(0, _BINS - 1).cast(pl.Int64).cast(pl.String),
    )
    p = pl.col("propensities")
    sums = [pl.col("hit").sum(), p.sum().alias("expected"), (p * (1 - p)).sum().alias("variance"), (1 - p).sum().alias("against")]
    groups = pl.concat(
        [
            flat.group_by(name="arms").agg(sums).with_columns(pl.format("arm {}", "name").alias("name")),
            flat.group_by(name="size").agg(sums).with_columns(pl.format("propensity bin {}", "name").alias("name")),
        ]
    ).filter((pl.col("expected") >= 5) & (pl.col("against") >= 5))
    if not groups.height:
        return Finding("choices follow propensities", ok=True, detail="there are too few decisions to check")
    deviation = (groups["hit"] - groups["expected"]).abs().to_numpy() / np.sqrt(np.maximum(groups["variance"].to_numpy(), 1e-9))
    worst = int(deviation.argmax())
    row = groups.row(worst, named=True)
    chance = min(1.0, math.erfc(float(deviation[worst]) / math.sqrt(2.0)) * groups.height)
    detail = (
        f"largest deviation is {row['name']}: chosen {count(round(row['hit']), 'time')}, expected {row['expected']:.1f} (p = {chance:.2g})"
    )
    return Finding("choices follow propensities", chance >= _LEAST_CHANCE, detail)


def one_end_each(evidence: Evidence) -> Finding:
    """Check that each decision ends at most once and that no more decisions are rewarded than were shown."""
    outcomes = evidence.outcomes
    ends = outcomes.filter(pl.col("kind").is_in(_END)).group_by("decision_id").len()
    twice = ends.filter(pl.col("len") > 1).height
    repeated = outcomes.height - outcomes.unique(["decision_id", "kind"]).height
    rewards = outcomes.filter(pl.col("kind").is_in(["success", "failure"])).height
    shown = outcomes.filter(pl.col("kind") == "shown")["decision_id"].n_unique()
    detail = (
        f"{count(twice, 'decision')} ended more than once, {count(repeated, 'outcome is', 'outcomes are')} repeated,"
        f" {count(rewards, 'reward')} for {shown} shown"
    )
    return Finding("one end each", twice == 0 and repeated == 0 and rewards <= shown, detail)


def nothing_sealed(evidence: Evidence, truth: SealedTruth | None = None) -> Finding:
    """Check that no column and no field of a signal's evidence has a name or a number of the sealed truth.

    Numbers: the step's true horizon (a learned horizon is close, but not equal to the millisecond), and the untreated completion time
    of the step, if it differs from the actual one.
    """
    tables = (evidence.people, evidence.decisions, evidence.outcomes, evidence.signals, evidence.progress, evidence.recommendations)
    names = {name for table in tables for name in table.columns}
    text = evidence.signals.select(pl.col("evidence").unique()).to_series().drop_nulls()
    keys = text.str.extract_all(r'"[A-Za-z_]+"\s*:').explode().drop_nulls().str.extract(r'"([A-Za-z_]+)"').unique()
    found = sorted((names | set(keys)) & set(_SEALED_KEYS))
    copied = 0 if truth is None else _sealed_numbers(evidence, truth)
    detail = f"the evidence holds {', '.join(found)}, which belongs to the sealed truth" if found else "no name of the sealed truth appears"
    return Finding(
        "nothing sealed", not found and not copied, f"{detail}; {count(copied, 'signal holds', 'signals hold')} one of its numbers"
    )


def _sealed_numbers(evidence: Evidence, truth: SealedTruth) -> int:
    episodes = truth.episodes().select(
        "user_id", "step_id", sealed=pl.when(pl.col("untreated_at") != pl.col("completed_at").fill_null(0)).then(pl.col("untreated_at"))
    )
    horizon = pl.col("step_id").replace_strict(truth.world.horizons, default=None, return_dtype=pl.Int64)
    numbers = pl.col("evidence").str.extract_all(r"\d{5,}").cast(pl.List(pl.Int64), strict=False)
    signals = evidence.signals.join(episodes, on=["user_id", "step_id"], how="left").with_columns(numbers=numbers, horizon=horizon)
    return signals.filter(pl.col("numbers").list.contains(pl.col("sealed")) | pl.col("numbers").list.contains(pl.col("horizon"))).height


def no_foresight(evidence: Evidence, truth: SealedTruth) -> Finding:
    """Check that detection does not exceed its ceiling, and that alarms do not coincide with the hidden onset.

    The ceiling (``stuck_bounds.py``) knows the hidden cause of each episode. An F1 above it by more than three standard errors and two
    points needs knowledge of the future.
    """
    episodes = label_by_truth(truth, evidence.until)
    result = score(episodes, evidence.signals)
    classified = classify_alarms(episodes, evidence.signals).filter(pl.col("known") & pl.col("alarmed"))
    at_onset = classified.filter(pl.col("detected_at") == pl.col("onset")).height
    if result.f1 is None or not result.positives:
        return Finding("no foresight", ok=True, detail="there are no episodes to check")
    ceiling = bounds(episodes).ceiling.f1 or 0.0
    margin = 0.02 + 3.0 * math.sqrt(ceiling * (1.0 - ceiling) / result.positives)
    ok = result.f1 <= ceiling + margin and at_onset <= max(3, 0.02 * classified.height)
    detail = f"F1 is {result.f1:.3f} with a ceiling of {ceiling:.3f}; {at_onset} of {count(classified.height, 'alarm')} at the onset"
    return Finding("no foresight", ok, detail)
