"""The metrics that the wider system knows by name: each exists, and the views give the numbers a person works out by hand."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.read_only_query import query
from state.records.facts import CatalogFact, DecisionFact, EventFact, LlmCallFact, OutcomeFact, PersonFact
from tests.observability.rules import RECORDED
from tests.sinks.view_rows import STORES, insert, people, rows
from tests.support.facts import make

pytestmark = pytest.mark.parametrize("store_of_module", STORES, indirect=True)
pytest_plugins = ["tests.support.clickhouse_stores"]

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
NAMES = """
onboarding_start_rate activation_rate time_to_activation_p50_hours step_completion_rate drop_off_rate_by_step nudge_send_rate
nudge_open_rate nudge_conversion_rate path_selection_latency_p95_ms ml_inference_latency_p95_ms api_latency_p95_ms error_rate_percent
experiment_allocation_consistency cost_per_user_dollars cost_per_1000_events_dollars cost_per_1000_inferences_dollars
""".split()


@pytest.fixture
def store(store_of_module: ClickHouse) -> ClickHouse:
    """One database for all tests, because migrating it takes long; each test has its own tenant, or rows that no other view reads."""
    migrate(store_of_module)
    return store_of_module


def called(decision: str, *, micros: int, latency: int, source: str = "call", model: str = "m") -> LlmCallFact:
    return make(
        LlmCallFact,
        tenant_id="models",
        decision_id=decision,
        source=source,
        model=model,
        attempts=1,
        cost_micros=micros,
        latency_ms=latency,
    )


def test_each_name_is_a_view_or_a_recorded_metric_and_has_a_definition(store: ClickHouse) -> None:
    views = set(query(store, "SELECT name FROM system.tables WHERE database = {d:String}", {"d": store.database})["name"])
    recorded = {rule["record"] for rule in RECORDED}
    where = {name: "view" if name in views else "recorded" if name in recorded else "" for name in NAMES}
    assert where == dict(re.findall(r"^\| `(\w+)` \| (view|recorded) \|", PAGE, re.MULTILINE))


def test_rates_of_users_and_steps(store: ClickHouse) -> None:
    """Four users: one never started, two activated after 2 and 6 hours."""
    people(store)
    assert rows(store, "onboarding_start_rate WHERE tenant_id = 't'", "*") == [("t", 4, 3, 0.75)]
    assert rows(store, "activation_rate WHERE tenant_id = 't'", "*") == [("t", 4, 2, 0.5)]
    assert rows(store, "time_to_activation_p50_hours WHERE tenant_id = 't'", "*") == [("t", 2, 4.0)]
    assert rows(store, "step_completion_rate", "step_id, reached, completed, step_completion_rate") == [
        ("one", 4, 3, 0.75),
        ("two", 3, 2, 0.6667),
    ]
    assert rows(store, "drop_off_rate_by_step", "step_id, drop_off_rate") == [("two", 0.3333), ("one", 0.25)]


def test_rates_of_nudges_are_over_all_arms_and_triggers(store: ClickHouse) -> None:
    for decision, arm, kinds in (
        ("1", "a", ("shown", "clicked", "success")),
        ("2", "a", ("shown", "failure")),
        ("3", "b", ("shown", "failure")),
        ("4", "b", ("expired",)),
    ):
        insert(store, make(DecisionFact, decision_id=decision, outcome="decided", arm=arm, trigger=arm))
        insert(store, *(make(OutcomeFact, decision_id=decision, kind=kind) for kind in kinds))
    insert(store, make(DecisionFact, decision_id="5", outcome="declined", reason="cooldown"))
    assert rows(store, "nudge_send_rate WHERE tenant_id = 't'", "*") == [("t", 4, 3, 0.75)]
    assert rows(store, "nudge_open_rate WHERE tenant_id = 't'", "*") == [("t", 3, 1, 0.3333)]
    assert rows(store, "nudge_conversion_rate WHERE tenant_id = 't'", "*") == [("t", 1, 2, 0.3333)]


def test_latency_and_unit_costs_of_models(store: ClickHouse) -> None:
    """Twenty calls of 400 millionths, one failed that is billed, one answer from the cache; five users, two events, one twice."""
    insert(store, *(called(f"{number}", micros=400, latency=number) for number in range(1, 21)))
    insert(store, called("failed", micros=2000, latency=9000, model=""), called("cached", micros=0, latency=1, source="cache"))
    insert(
        store,
        *(make(PersonFact, tenant_id="models", user_id=f"u{number}") for number in range(5)),
        make(PersonFact, tenant_id="models", user_id="v", experiment_group="merged"),
    )
    insert(store, *(make(EventFact, tenant_id="models", event_id=f"e{number}") for number in (0, 1, 0)))
    insert(store, make(EventFact, tenant_id="other"), make(PersonFact, tenant_id="other"))
    assert rows(store, "ml_inference_latency_p95_ms", "*") == [("models", 20, 19.05)]
    assert rows(store, "cost_per_1000_inferences_dollars", "*") == [("models", 20, 0.01, 0.5)]
    assert rows(store, "cost_per_user_dollars WHERE tenant_id IN ('models', 'other')", "*") == [
        ("models", 5, 0.01, 0.002),
        ("other", 1, 0.0, 0.0),
    ]
    store.client().command("OPTIMIZE TABLE events FINAL")  # before, an event that was delivered twice counts twice
    assert rows(store, "cost_per_1000_events_dollars", "*") == [("models", 2, 0.01, 5.0), ("other", 1, 0.0, 0.0)]


def test_a_user_who_changed_groups_is_inconsistent(store: ClickHouse) -> None:
    for user, group, decided in (("a", "adaptive", ["adaptive"] * 2), ("b", "rules", ["rules", "adaptive"]), ("c", "holdout", ["rules"])):
        insert(store, make(PersonFact, tenant_id="groups", user_id=user, experiment_group=group))
        insert(
            store,
            *(
                make(DecisionFact, tenant_id="groups", decision_id=f"{user}{n}", user_id=user, experiment_group=each)
                for n, each in enumerate(decided)
            ),
        )
    insert(store, make(PersonFact, tenant_id="groups", user_id="without a decision", experiment_group="adaptive"))
    insert(store, make(PersonFact, tenant_id="groups", user_id="visitor", experiment_group="merged"))
    insert(store, make(DecisionFact, tenant_id="groups", decision_id="v", user_id="visitor"))
    assert rows(store, "experiment_allocation_consistency WHERE tenant_id = 'groups'", "*") == [("groups", 3, 1, 0.3333)]


def test_who_was_observed_before_guiding_began_is_consistent(store: ClickHouse) -> None:
    """While the catalog only observes nobody is guided, and no group is drawn: a decision says holdout."""
    observing, guiding = (partial(make, DecisionFact, tenant_id="observed", catalog_version=each) for each in ("p@1", "p@2"))
    insert(
        store,
        make(CatalogFact, tenant_id="observed", catalog_version="p@1", holdout=1.0),
        make(CatalogFact, tenant_id="observed", catalog_version="p@2", holdout=0.2),
        make(PersonFact, tenant_id="observed", user_id="a", experiment_group="adaptive"),
        observing(decision_id="a1", user_id="a", experiment_group="holdout"),
        guiding(decision_id="a2", user_id="a", experiment_group="adaptive"),
        make(PersonFact, tenant_id="observed", user_id="b", experiment_group="rules"),
        observing(decision_id="b1", user_id="b", experiment_group="holdout"),
        guiding(decision_id="b2", user_id="b", experiment_group="adaptive"),
        make(PersonFact, tenant_id="observed", user_id="never came back", experiment_group="holdout"),
        observing(decision_id="c1", user_id="never came back", experiment_group="holdout"),
    )
    assert rows(store, "experiment_allocation_consistency WHERE tenant_id = 'observed'", "*") == [("observed", 2, 1, 0.5)]
