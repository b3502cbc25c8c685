"""All checks pass in a healthy run; each planted fault makes its own check fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import polars as pl
import pytest

from evaluation.evidence import Evidence
from evaluation.integrity import Finding, check
from evaluation.truth import SealedTruth
from state.duration import DAY, HOUR
from tests.evaluation.cases import healthy_run

Fault = Callable[[Evidence, SealedTruth], tuple[Evidence, SealedTruth]]


@pytest.fixture(scope="module")
def run() -> tuple[Evidence, SealedTruth]:
    return healthy_run()


def _failed(evidence: Evidence, truth: SealedTruth | None) -> list[Finding]:
    return [finding for finding in check(evidence, truth, floor=0.05) if not finding.ok]


@pytest.mark.parametrize("seed", range(5))
def test_all_checks_pass_in_a_healthy_run(seed: int) -> None:
    evidence, truth = healthy_run(seed=seed)
    assert _failed(evidence, truth) == []
    assert _failed(evidence, None) == []


def test_all_checks_pass_in_an_empty_run() -> None:
    assert _failed(Evidence.of(until=0), None) == []


def _swap(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(arm=pl.col("arm").replace({"bold": "calm", "calm": "bold"}))


def arms_swapped_at_delivery(evidence: Evidence, truth: SealedTruth) -> tuple[Evidence, SealedTruth]:
    return replace(evidence, recommendations=_swap(evidence.recommendations)), truth


def arms_swapped_on_screen(evidence: Evidence, truth: SealedTruth) -> tuple[Evidence, SealedTruth]:
    def swapped(arm: str) -> str:
        return {"bold": "calm", "calm": "bold"}.get(arm, arm)

    people = []
    for person in truth.people:
        exposures = tuple(
            type(e)(e.decision_id, e.recommendation_id, e.trigger, e.step, e.segment, swapped(e.arm), e.shown_at, e.expected)
            for e in person.exposures
        )
        people.append(type(person)(person.user_id, person.bot, person.signup_at, episodes=person.episodes, exposures=exposures))
    return evidence, SealedTruth(people=tuple(people), world=truth.world)


def attribution_late_by_a_window(evidence: Evidence, truth: SealedTruth) -> tuple[Evidence, SealedTruth]:
    late = pl.when(pl.col("kind").is_in(["success", "failure"])).then(pl.col("occurred_at") + DAY).otherwise(pl.col("occurred_at"))
    return replace(evidence, outcomes=evidence.outcomes.with_columns(occurred_at=late)), truth


def failures_called_too_soon(evidence: Evidence, truth: SealedTruth) -> tuple[Evidence, SealedTruth]:
    soon = pl.when(pl.col("kind") == "failure").then(pl.col("occurred_at") - 6 * HOUR).otherwise(pl.col("occurred_at"))
    return replace(evidence, outcomes=evidence.outcomes.with_columns(occurred_at=soon)), truth


def truth_in_the_evidence(evidence: Evidence, truth: SealedTruth) -> tuple[Evidence, SealedTruth]:
    return replace(evidence, signals=evidence.signals.with_columns(evidence=pl.lit('{"idleMs": 1, "untreatedAt": 2}'))), truth


def truth_in_a_column(evidence: Evidence, truth: SealedTruth) -> tuple[Evidence, SealedTruth]:
    return replace(evidence, people=evidence.people.with_columns(bot=pl.lit(value=False))), truth


def the_true_horizon_in_the_evidence(evidence: Evidence, truth: SealedTruth) -> tuple[Evidence, SealedTruth]:
    return replace(evidence, signals=evidence.signals.with_columns(evidence=pl.lit(f'{{"limitMs": {10 * HOUR}}}'))), truth


def a_twins_time_in_the_evidence(evidence: Evidence, truth: SealedTruth) -> tuple[Evidence, SealedTruth]:
    """The untreated completion time, an hour after an alarm, appears in the evidence."""
    user, at = evidence.signals["user_id"][0], evidence.signals["detected_at"][0] + HOUR
    people = tuple(
        msgspec.structs.replace(p, episodes=tuple(msgspec.structs.replace(e, untreated_at=at) for e in p.episodes))
        if p.user_id == user
        else p
        for p in truth.people
    )
    spoiled = pl.when(pl.col("user_id") == user).then(pl.lit(f'{{"at": {at}}}')).otherwise(pl.col("evidence"))
    return replace(evidence, signals=evidence.signals.with_columns(evidence=spoiled)), SealedTruth(people=people, world=truth.world)


def alarms_at_hidden_onset(evidence: Evidence, truth: SealedTruth) -> tuple[Evidence, SealedTruth]:
    onset = truth.episodes().select("user_id", "step_id", "onset")
    signals = evidence.signals.join(onset, on=["user_id", "step_id"], maintain_order="left").with_columns(detected_at=pl.col("onset"))
    return replace(evidence, signals=signals.drop("onset")), truth


def alarms_only_where_they_are_right(evidence: Evidence, truth: SealedTruth) -> tuple[Evidence, SealedTruth]:
    """All causes look alike here, so precise alarms need knowledge of the labels."""
    episodes = tuple(
        type(person)(
            person.user_id,
            person.bot,
            person.signup_at,
            episodes=tuple(type(e)(e.step, e.since, e.onset, e.completed_at, e.untreated_at) for e in person.episodes),
            exposures=person.exposures,
        )
        for person in truth.people
    )
    sealed = SealedTruth(people=episodes, world=truth.world)
    stay = sealed.episodes().filter(pl.col("untreated_at").is_null())
    return replace(evidence, signals=evidence.signals.join(stay, on=["user_id", "step_id"], how="semi")), sealed


def holdout_treated(evidence: Evidence, truth: SealedTruth) -> tuple[Evidence, SealedTruth]:
    user = evidence.decisions["user_id"][0]
    held = pl.when(pl.col("user_id") == user).then(pl.lit("holdout")).otherwise(pl.col("experiment_group"))
    return replace(evidence, people=evidence.people.with_columns(experiment_group=held)), truth


def propensity_of_another_arm(evidence: Evidence, truth: SealedTruth) -> tuple[Evidence, SealedTruth]:
    return replace(evidence, decisions=evidence.decisions.with_columns(propensity=pl.col("propensities").list.get(0))), truth


def propensities_do_not_sum_to_one(evidence: Evidence, truth: SealedTruth) -> tuple[Evidence, SealedTruth]:
    shrunk = pl.col("propensities").list.eval(pl.element() * 0.99)
    return replace(evidence, decisions=evidence.decisions.with_columns(propensities=shrunk, propensity=pl.col("propensity") * 0.99)), truth


def propensity_below_the_floor(evidence: Evidence, truth: SealedTruth) -> tuple[Evidence, SealedTruth]:
    row = evidence.decisions.row(0, named=True)
    row |= {"arm": "bold", "propensity": 0.96, "propensities": [0.96, 0.02, 0.02]}
    first = pl.DataFrame([row], schema=evidence.decisions.schema)
    spoiled = replace(evidence, decisions=pl.concat([first, evidence.decisions[1:]]))
    same = pl.col("decision_id") != row["decision_id"]
    return replace(spoiled, outcomes=spoiled.outcomes.filter(same), recommendations=spoiled.recommendations.filter(same)), SealedTruth(
        people=truth.people[2:], world=truth.world
    )


def propensities_are_not_what_is_drawn_from(evidence: Evidence, truth: SealedTruth) -> tuple[Evidence, SealedTruth]:
    """Logged as uniform while the draw was not, the worst lie: everything still sums to 1."""
    rng = np.random.default_rng(1)
    arms = rng.choice(["bold", "calm", "plain"], evidence.decisions.height, p=[0.5, 0.3, 0.2])
    frame = evidence.decisions.with_columns(
        arm=pl.Series(arms), propensity=pl.lit(1 / 3), propensities=pl.lit(pl.Series([[1 / 3] * 3])).first()
    )
    outcomes, delivered = evidence.outcomes.clear(), evidence.recommendations.clear()
    return replace(evidence, decisions=frame, outcomes=outcomes, recommendations=delivered), healthy_run(0)[1]


def rewarded_twice(evidence: Evidence, truth: SealedTruth) -> tuple[Evidence, SealedTruth]:
    success = evidence.outcomes.filter(pl.col("kind") == "success").head(1)
    shown = evidence.outcomes.filter((pl.col("kind") == "shown") & pl.col("decision_id").is_in(success["decision_id"].implode()))
    failure = shown.with_columns(kind=pl.lit("failure"), occurred_at=pl.col("occurred_at") + DAY)
    return replace(evidence, outcomes=pl.concat([evidence.outcomes, failure])), truth


def an_outcome_written_twice(evidence: Evidence, truth: SealedTruth) -> tuple[Evidence, SealedTruth]:
    return replace(evidence, outcomes=pl.concat([evidence.outcomes, evidence.outcomes.head(1)])), truth


FAULTS: dict[Fault, str] = {
    arms_swapped_at_delivery: "arms delivered",
    arms_swapped_on_screen: "arms delivered",
    attribution_late_by_a_window: "attribution",
    failures_called_too_soon: "attribution",
    truth_in_the_evidence: "nothing sealed",
    truth_in_a_column: "nothing sealed",
    the_true_horizon_in_the_evidence: "nothing sealed",
    a_twins_time_in_the_evidence: "nothing sealed",
    alarms_at_hidden_onset: "no foresight",
    alarms_only_where_they_are_right: "no foresight",
    holdout_treated: "holdout untouched",
    propensity_of_another_arm: "propensities",
    propensities_do_not_sum_to_one: "propensities",
    propensity_below_the_floor: "propensities",
    propensities_are_not_what_is_drawn_from: "choices follow propensities",
    rewarded_twice: "one end each",
    an_outcome_written_twice: "one end each",
}


@pytest.mark.parametrize(("plant", "name"), [pytest.param(plant, name, id=plant.__name__) for plant, name in FAULTS.items()])
def test_a_planted_fault_fails_its_check_and_no_other(plant: Fault, name: str, run: tuple[Evidence, SealedTruth]) -> None:
    failed = _failed(*plant(*run))
    assert [finding.name for finding in failed] == [name], failed
    assert len(failed[0].detail) > 20


def bearing(evidence: Evidence, **windows: int) -> Evidence:
    """The same, its decisions made under the first of these versions; each with the window that it promised, and a floor of 0.05."""
    catalogs = [
        {
            "catalog_version": version,
            "holdout": 0.1,
            "rules": 0.0,
            "exploration_floor": 0.05,
            "attribution_window_ms": window,
            "template_share": -1.0,
        }
        for version, window in windows.items()
    ]
    decisions = evidence.decisions.with_columns(catalog_version=pl.lit(next(iter(windows))))
    return replace(evidence, decisions=decisions, catalogs=Evidence.of(until=0, catalogs=catalogs).catalogs)


def test_decisions_are_judged_by_the_version_that_they_bear(run: tuple[Evidence, SealedTruth]) -> None:
    evidence, _ = run
    failed = [finding.name for finding in check(evidence, window=HOUR, floor=0.4) if not finding.ok]
    assert failed == ["attribution", "propensities"], "judged by the new catalog's window and floor"
    assert [finding.name for finding in check(bearing(evidence, old=DAY, new=HOUR), window=HOUR, floor=0.4) if not finding.ok] == []
    assert [finding.name for finding in check(bearing(evidence, new=HOUR, old=DAY)) if not finding.ok] == ["attribution"]
