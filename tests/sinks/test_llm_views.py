"""The views of model calls give the numbers a person works out by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.inserter import ClickHouseInserter
from sinks.clickhouse.read_only_query import query
from state.records.facts import DecisionFact, LlmCallFact, OutcomeFact, PersonFact, RecommendationFact
from state.records.recommendation import Erase
from tests.sinks.view_rows import HOUR, MONDAY, STORES, insert, rows
from tests.support.facts import make

pytestmark = pytest.mark.parametrize("store_of_module", STORES, indirect=True)

pytest_plugins = ["tests.support.clickhouse_stores"]

DAY = 24 * HOUR
PASSED = json.dumps([["slots", ""], ["length", ""]])


def call(decision: str, **values: Any) -> LlmCallFact:
    """A decision whose text came from a call of 400 millionths of a dollar."""
    usual: dict[str, Any] = {
        "decision_id": decision, "user_id": decision, "status": "improved", "source": "call", "scope": "shared", "experiment": "model",
        "cache_key": "k1", "prompt_version": "nudge-1", "cost_micros": 400, "attempts": 1, "checks": PASSED, "asked_at": MONDAY,
    }  # fmt: skip
    return make(LlmCallFact, **{**usual, **values})


def hit(decision: str, source: str = "cache", **values: Any) -> LlmCallFact:
    return call(decision, source=source, cost_micros=0, attempts=0, **values)


def kept(decision: str, reason: str, **values: Any) -> LlmCallFact:
    """Nobody was asked."""
    usual = {
        "status": "kept",
        "reason": reason,
        "source": "",
        "scope": "",
        "experiment": "",
        "cost_micros": 0,
        "attempts": 0,
        "checks": "",
    }
    return call(decision, **{**usual, **values})


def end(decision: str, *kinds: str) -> list[OutcomeFact]:
    return [make(OutcomeFact, decision_id=decision, kind=kind) for kind in kinds]


@pytest.fixture
def called(migrated: ClickHouse) -> ClickHouse:
    """Eight asked on two days, two drawn for the template, one too cold to be asked, two whose call was never made."""
    rejected = json.dumps([["slots", "unknown_slot"], ["length", "too_long"]])
    insert(
        migrated,
        call("first"), hit("cached"), hit("joined", "coalesced"), call("other", cache_key="k2", prompt_version="nudge-2", cost_micros=800),
        call("own", scope="personal", cache_key="p", cost_micros=600, asked_at=MONDAY + DAY),
        call("bad", status="kept", reason="guardrails", cache_key="k3", checks=rejected, asked_at=MONDAY + DAY),
        call("bad", status="kept", reason="guardrails", cache_key="k3", checks=rejected, asked_at=MONDAY + DAY),
        call("mended", cache_key="k4", attempts=2, checks=json.dumps([["length", "too_long"], ["length", ""]]), asked_at=MONDAY + DAY),
        kept("drawn", "template_share", experiment="template"), kept("drawn2", "template_share", experiment="template"),
        kept("cold", "cold_start"),
        call("halted", status="kept", reason="breaker_open", attempts=0, cost_micros=0, experiment="", checks="[]"),
        hit("waited", "coalesced", status="kept", reason="over_budget", experiment="", checks="[]"),
        hit("unchecked", scope="personal", experiment="", checks=json.dumps([["slots", ""]]), asked_at=MONDAY + DAY),
        *end("first", "shown", "success"), *end("cached", "shown", "failure"), *end("joined", "shown"), *end("other", "shown", "success"),
        *end("bad", "shown", "failure"), *end("drawn", "shown", "failure"), *end("drawn2", "expired"), *end("cold", "shown", "success"),
        make(PersonFact, user_id="a", experiment_group="adaptive", activated_at=MONDAY + HOUR),
        make(PersonFact, user_id="b", experiment_group="adaptive", activated_at=MONDAY + 2 * HOUR),
        make(PersonFact, user_id="before", experiment_group="adaptive", activated_at=MONDAY - HOUR),
        make(PersonFact, user_id="held", experiment_group="holdout", activated_at=MONDAY + HOUR),
        make(PersonFact, user_id="late", experiment_group="adaptive", activated_at=MONDAY + 3 * DAY),
    )  # fmt: skip
    return migrated


def test_what_models_cost_by_day(called: ClickHouse) -> None:
    columns = "toString(day), asked, calls, improved, round(cost_dollars * 1000000), activations, round(cost_per_activation * 1000000)"
    assert rows(called, "llm_cost_per_activation", columns) == [
        ("2026-01-05", 4, 2, 4, 1200, 2, 600),
        ("2026-01-06", 4, 3, 3, 1400, 0, None),
        ("2026-01-08", 0, 0, 0, 0, 1, 0),
    ]


def test_the_hit_rate_is_of_shared_wishes_that_were_asked(called: ClickHouse) -> None:
    counts = "asked, hits, from_cache, coalesced, calls, hit_rate, distinct_keys"
    assert rows(called, "llm_hit_rate", f"{counts}, round(mean_cost_dollars * 1000000), round(saved_dollars * 1000000)") == [
        (6, 2, 1, 1, 4, 0.3333, 4, 500, 1000)
    ]


def test_hits_without_a_call_saved_an_unknown_sum(migrated: ClickHouse) -> None:
    insert(migrated, hit("a"), hit("b"), kept("c", "cold_start", scope="shared"))
    assert rows(migrated, "llm_hit_rate", "asked, hit_rate, mean_cost_dollars, saved_dollars") == [(2, 1.0, None, None)]


def test_rejections_count_decisions_whose_text_failed_a_check(called: ClickHouse) -> None:
    assert rows(called, "llm_rejections", "check, reason, rejected, kept, checked, share") == [
        ("length", "too_long", 2, 1, 7, 0.2857),
        ("slots", "unknown_slot", 1, 1, 7, 0.1429),
    ]


def test_prompts_are_compared_over_the_decisions_drawn_for_them(called: ClickHouse) -> None:
    columns = "prompt_version, decisions, improved, shown, success, failure, improved_rate, success_rate"
    assert rows(called, "llm_prompts", columns) == [
        ("nudge-1", 6, 5, 4, 1, 2, 0.8333, 0.3333),
        ("nudge-2", 1, 1, 1, 1, 0, 1.0, 1.0),
    ]


def test_the_model_counts_where_it_failed_too(called: ClickHouse) -> None:
    columns = "experiment, decisions, improved, shown, success, failure, shown_rate, success_rate, round(cost_dollars * 1000000)"
    assert rows(called, "model_against_template", columns) == [
        ("model", 7, 6, 5, 2, 2, 0.7143, 0.5, 2600),
        ("template", 2, 0, 1, 0, 1, 0.5, 0.0, 0),
    ]


def test_no_model_no_rows(migrated: ClickHouse) -> None:
    insert(migrated, make(PersonFact, experiment_group="adaptive", activated_at=MONDAY))
    for view in ("llm_cost_per_activation", "llm_hit_rate", "llm_rejections", "llm_prompts", "model_against_template"):
        assert rows(migrated, view, "*") == []


def test_calls_are_erased_with_the_person(called: ClickHouse) -> None:
    ClickHouseInserter(called).erase([Erase("t", "first", 5)])
    left = query(called, "SELECT decision_id FROM llm_calls_final ORDER BY decision_id")["decision_id"].to_list()
    assert "first" not in left
    assert len(left) == 12


def test_the_timeline_tells_of_the_wording_after_the_template_and_before_the_text(migrated: ClickHouse) -> None:
    insert(
        migrated,
        make(DecisionFact, decision_id="d", trigger="signup", outcome="decided", arm="a", decided_at=MONDAY),
        make(RecommendationFact, decision_id="d", ui_component="modal", message="plain", source="template", created_at=MONDAY),
        make(RecommendationFact, decision_id="d", ui_component="modal", message="better", source="llm", created_at=MONDAY),
        call("d", user_id="u", input_tokens=300, output_tokens=40, latency_ms=900, model="m"),
    )
    timeline = query(migrated, "SELECT kind, what, detail FROM person_timeline WHERE user_id = 'u'").rows()
    assert [row[:2] for row in timeline] == [
        ("decision", "a"), ("recommendation", "modal"), ("wording", "improved"), ("recommendation", "modal"),
    ]  # fmt: skip
    assert (timeline[1][2], timeline[3][2]) == ("plain", "better")
    assert json.loads(timeline[2][2]) == {
        "promptVersion": "nudge-1", "model": "m", "source": "call", "latencyMs": 900, "attempts": 1, "inputTokens": 300, "outputTokens": 40,
        "costMicros": 400, "checks": [["slots", ""], ["length", ""]],
    }  # fmt: skip
