"""Model against template: who counts, what is claimed, and what a success costs."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import polars as pl
import pytest

from evaluation.evidence import Evidence
from evaluation.model_value import ModelValue, Wording, model_value
from reports.effect import AROUND
from reports.llm import difference_in_words
from state.duration import DAY, HOUR
from tests.evaluation.cases import START

SHARE = 0.3
"""Of decisions that keep the template."""


def _call(decision: str, experiment: str = "model", *, at: int = START, cost: int = 0, status: str = "improved") -> dict[str, Any]:
    return {
        "decision_id": decision, "user_id": "u", "status": status, "experiment": experiment, "cost_micros": cost, "asked_at": at,
    }  # fmt: skip


def _end(decision: str, kind: str, at: int = START) -> dict[str, Any]:
    return {
        "decision_id": decision, "user_id": "u", "kind": kind, "trigger": "signup", "step_id": "s", "segment": "", "arm": "a",
        "occurred_at": at,
    }  # fmt: skip


def _run(size: int, rates: dict[str, float], *, seed: int = 1, share: float = SHARE, shown: dict[str, float] | None = None) -> Evidence:
    """Return ``size`` decisions, assigned by ``share``; a fifth of the calls fail; ``shown``: share of each group that is shown."""
    rng = np.random.default_rng(seed)
    calls, outcomes = [], []
    for index in range(size):
        decision, at = f"d{index}", START + index
        side = "template" if rng.random() < share else "model"
        improved = side == "model" and rng.random() < 0.8
        calls.append(_call(decision, side, at=at, cost=200 if side == "model" else 0, status="improved" if improved else "kept"))
        if rng.random() < (shown or {}).get(side, 0.8):
            won = rng.random() < rates[side]
            outcomes += [_end(decision, "shown", at), _end(decision, "success" if won else "failure", at + (HOUR if won else DAY))]
    return Evidence.of(until=START + 30 * DAY, llm_calls=calls, outcomes=outcomes)


def _sides(found: ModelValue) -> dict[str, Wording]:
    return {side.experiment: side for side in found.sides}


def _balanced(found: ModelValue) -> bool:
    """Whether both balance tests pass, where there are any."""
    return all(balance is None or balance.ok for balance in (found.drawn, found.shown))


def test_a_shown_decision_counts_in_its_assigned_group_after_its_window_closes() -> None:
    until = START + DAY
    evidence = Evidence.of(
        until=until,
        llm_calls=[
            _call("improved", cost=400), _call("failed", cost=100, status="kept"), _call("unseen", cost=50),
            _call("open", at=START + 1, cost=25),
            _call("drawn", "template", status="kept"), _call("cold", "", status="kept"),
        ],
        outcomes=[
            _end("improved", "shown"), _end("improved", "success", START + HOUR),
            _end("failed", "shown"), _end("failed", "failure", until),
            _end("unseen", "expired"),
            _end("open", "shown", START + 1), _end("open", "success", START + HOUR),  # a failure would not be known yet
            _end("drawn", "shown"), _end("drawn", "success", until),
            _end("cold", "shown"), _end("cold", "success"),
        ],
    )  # fmt: skip
    found = model_value(evidence, window=DAY)
    assert _sides(found) == {
        "model": Wording("model", 4, 3, 3, 2, 1, 0.5, 575),
        "template": Wording("template", 1, 0, 1, 1, 1, 1.0, 0),
    }
    assert found.open == 1
    assert found.lift is not None
    assert found.lift.lift == -0.5
    assert (found.cost_micros, found.per_success) == (575, None)


@pytest.mark.parametrize("kind", ["withdrawn", "expired", "superseded"])
def test_a_shown_decision_that_was_voided_has_no_time_left_to_succeed(kind: str) -> None:
    outcomes = [_end("a", "shown"), _end("b", "shown"), _end("b", kind, START + 1)]
    found = model_value(Evidence.of(until=START + HOUR, llm_calls=[_call("a"), _call("b")], outcomes=outcomes), window=DAY)
    assert found.open == 1


def test_an_effect_is_claimed_with_its_cost_per_success() -> None:
    found = model_value(_run(8_000, {"model": 0.5, "template": 0.35}), SHARE)
    lift = found.lift
    assert lift is not None
    assert lift.claimed
    assert 0 < lift.lower < 0.15 < lift.upper
    assert _balanced(found)
    assert found.why_not == ""
    model = _sides(found)["model"]
    assert found.incremental == pytest.approx(lift.lift * model.matured)
    assert found.per_success == pytest.approx(model.cost_micros / (lift.lift * model.matured))
    assert found.per_success_at_most == pytest.approx(model.cost_micros / (lift.lower * model.matured))


def test_costs_of_open_decisions_are_left_out_of_the_cost_per_success() -> None:
    whole = _run(8_000, {"model": 0.6, "template": 0.3})
    late = whole.until - HOUR
    more = Evidence.of(
        until=whole.until,
        llm_calls=[*whole.llm_calls.to_dicts(), _call("late", at=late, cost=10**9)],
        outcomes=[*whole.outcomes.to_dicts(), _end("late", "shown", late)],
    )
    before, after = model_value(whole, SHARE), model_value(more, SHARE)
    assert after.cost_micros == before.cost_micros + 10**9
    assert after.per_success == before.per_success is not None


@pytest.mark.parametrize("seed", range(5))
def test_no_effect_is_claimed_without_one(seed: int) -> None:
    found = model_value(_run(4_000, {"model": 0.4, "template": 0.4}, seed=seed), SHARE)
    assert found.lift is not None
    assert not found.lift.claimed
    assert found.lift.lower < 0 < found.lift.upper
    assert (found.incremental, found.per_success, found.per_success_at_most) == (None, None, None)
    assert found.why_not == "a model's text is not proven to achieve more than the template"


def test_a_harmful_model_has_no_cost_per_success() -> None:
    found = model_value(_run(8_000, {"model": 0.3, "template": 0.5}), SHARE)
    assert found.lift is not None
    assert found.lift.upper < 0
    assert found.per_success is None


def test_too_few_decisions_claim_nothing() -> None:
    found = model_value(_run(40, {"model": 0.9, "template": 0.1}), SHARE)
    assert found.lift is not None
    assert found.lift.lift > 0.5
    assert found.lift.lower <= 0
    assert found.per_success is None


def test_no_evidence_gives_no_lift() -> None:
    found = model_value(Evidence.of(until=START), SHARE)
    assert (found.lift, found.cost_micros, found.open) == (None, 0, 0)
    assert _balanced(found)
    assert found.why_not == "no decision was assigned to the model yet"
    assert [side.rate for side in found.sides] == [None, None]


def test_without_a_text_that_was_sent_for_a_shown_decision_there_is_no_comparison() -> None:
    evidence = _run(400, {"model": 0.5, "template": 0.5})
    assert model_value(evidence, SHARE).compared
    dead = evidence.llm_calls.with_columns(status=pl.lit("kept"))
    found = model_value(dataclasses.replace(evidence, llm_calls=dead), SHARE)
    assert (found.compared, found.lift, found.why_not) == (False, None, "no model's text was sent for a decision that was shown")
    assert all(side.matured for side in found.sides)


def test_one_group_alone_has_no_lift() -> None:
    found = model_value(_run(200, {"model": 0.5, "template": 0.5}, share=0.0), 0.0)
    assert found.lift is None
    assert found.drawn is None
    assert found.why_not == "no decision was assigned to the template yet"


def test_the_assignment_is_tested_against_the_promised_share() -> None:
    evidence = _run(6_000, {"model": 0.4, "template": 0.4}, share=0.2)
    promised, other = model_value(evidence, 0.2), model_value(evidence, SHARE)
    assert promised.drawn is not None
    assert _balanced(promised)
    assert promised.drawn.counts["template"] == _sides(promised)["template"].decisions
    assert other.drawn is not None
    assert not other.drawn.ok
    assert not _balanced(other)
    assert model_value(evidence).drawn is None


def test_where_decisions_are_not_drawn_as_promised_nothing_is_proven() -> None:
    evidence = _run(8_000, {"model": 0.5, "template": 0.3}, share=0.2)
    for share, proven in ((0.2, "better"), (SHARE, None)):
        found = model_value(evidence, share)
        assert found.lift is not None
        assert found.lift.lower > 0
        assert (found.lift.proven, found.lift.claimed, found.per_success is not None) == (proven, bool(proven), bool(proven))


def test_a_model_that_lowers_the_shown_rate_is_found() -> None:
    found = model_value(_run(6_000, {"model": 0.4, "template": 0.4}, shown={"model": 0.5, "template": 0.8}), SHARE)
    assert found.drawn is not None
    assert found.drawn.ok
    assert found.shown is not None
    assert not found.shown.ok


def test_a_success_rate_that_changed_with_the_template_share_is_no_effect_of_the_model() -> None:
    """A tenth keeps the template in a good month, then half in a bad one: the rates are the same within each."""
    found = []
    for seed in range(20):
        good, bad = (
            _run(2_000, dict.fromkeys(("model", "template"), rate), seed=seed, share=share) for rate, share in ((0.6, 0.1), (0.3, 0.5))
        )
        later = bad.llm_calls.with_columns(pl.col("asked_at") + 2_000, pl.format("e{}", "decision_id").alias("decision_id"))
        ends = bad.outcomes.with_columns(pl.col("occurred_at") + 2_000, pl.format("e{}", "decision_id").alias("decision_id"))
        calls = pl.concat([good.llm_calls, later])
        promises = {"holdout": 0.0, "rules": 0.0, "exploration_floor": 0.0, "attribution_window_ms": DAY}
        evidence = Evidence.of(
            until=good.until,
            llm_calls=calls,
            outcomes=pl.concat([good.outcomes, ends]),
            catalogs=[{"catalog_version": f"p@{share}", "template_share": share, **promises} for share in (0.1, 0.5)],
            decisions=[_decision(row, "p@0.5" if row.startswith("e") else "p@0.1") for row in calls["decision_id"]],
        )
        lift = model_value(evidence).lift
        assert lift is not None
        found.append(lift)
    assert sum(lift.claimed or lift.upper < 0 for lift in found) <= 1
    assert abs(np.mean([lift.lift for lift in found])) < 0.02


def _decision(decision: str, version: str) -> dict[str, Any]:
    return {
        "decision_id": decision, "user_id": "u", "experiment_group": "adaptive", "trigger": "signup", "path_id": "p", "step_id": "s",
        "segment": "", "outcome": "decided", "reason": "", "arm": "a", "propensity": 1.0, "arms": ["a"], "propensities": [1.0],
        "decided_at": START, "catalog_version": version,
    }  # fmt: skip


def test_the_words_say_that_the_interval_is_not_around_the_measured_difference() -> None:
    found = model_value(_run(8_000, {"model": 0.5, "template": 0.3}))
    assert found.lift is not None
    said = difference_in_words(found.lift)
    assert said.startswith("Model − template: +")
    assert said.endswith(f"; not proven. {AROUND}"), "it is not known how many were to keep the template"
