"""The business views give the numbers a person works out by hand."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from msgspec import structs
from rich.console import Console

from reports.evidence import load as load_evidence
from reports.facts import Facts
from reports.funnel import show_activation, show_funnels, show_time_to_activation
from reports.stuck import show_stuck_by_step
from reports.timeline import as_records
from reports.timeline import read as read_timeline
from reports.trust import unknown_zones
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.columns import to_frame
from sinks.clickhouse.inserter import ClickHouseInserter
from sinks.clickhouse.read_only_query import query
from state.decision.attribution import CLOCK_SKEW
from state.decision.experiment_groups import experiment_draw
from state.records.facts import (
    CatalogFact,
    DeadLetterFact,
    DecisionFact,
    EventFact,
    Fact,
    OutcomeFact,
    PersonFact,
    PosteriorFact,
    ProgressFact,
    RecommendationFact,
    SignalFact,
    StepMetricFact,
    SwitchFact,
)
from tests.support.facts import make

STORES = ["embedded", pytest.param("server", marks=pytest.mark.slow)]
"""Statements are the same on both."""
pytestmark = pytest.mark.parametrize("store_of_module", STORES, indirect=True)

pytest_plugins = ["tests.support.clickhouse_stores"]

HOUR = 3_600_000
MONDAY = 1_767_571_200_000  # 2026-01-05T00:00:00Z


@pytest.fixture
def filled(migrated: ClickHouse) -> ClickHouse:
    return migrated


def insert(store: ClickHouse, *rows: Fact) -> None:
    inserter = ClickHouseInserter(store)
    for row in rows:
        inserter.insert(row.TABLE, to_frame(type(row), [row]))


def rows(store: ClickHouse, view: str, columns: str) -> list[tuple[Any, ...]]:
    """The columns of a view, rates and hours rounded, in the view's own order."""
    found = query(store, f"SELECT {columns} FROM {view}").rows()
    return [tuple(round(value, 4) if isinstance(value, float) else value for value in row) for row in found]


def printed(show: Callable[[Console, Facts, str], None], store: ClickHouse) -> str:
    """A section of the report of tenant ``t``."""
    file = io.StringIO()
    show(Console(file=file, width=100), Facts(store), "t")
    return file.getvalue()


def progress(user: str, step: str, position: int, status: str, *, since: int = 0, done: int = 0, path: str = "p") -> ProgressFact:
    return make(
        ProgressFact, user_id=user, path_id=path, step_id=step, position=position, status=status,
        first_seen_at=since, current_since_at=since, completed_at=done,
    )  # fmt: skip


def people(store: ClickHouse) -> None:
    """Four people on one path of two steps: a and b activated after 2 and 6 hours, c reached the second step, d did nothing."""
    insert(
        store,
        make(PersonFact, user_id="a", path_id="p", user_persona="dev", experiment_group="adaptive", signup_at=MONDAY, first_seen_at=MONDAY,
             activated_at=MONDAY + 2 * HOUR),
        make(PersonFact, user_id="b", path_id="p", user_persona="dev", experiment_group="adaptive", first_seen_at=MONDAY,
             activated_at=MONDAY + 6 * HOUR),
        make(PersonFact, user_id="c", path_id="p", user_persona="ops", experiment_group="holdout", signup_at=MONDAY + 8 * 24 * HOUR),
        make(PersonFact, user_id="d", path_id="p", user_persona="dev", experiment_group="adaptive", signup_at=MONDAY + HOUR),
        progress("a", "one", 1, "completed", since=MONDAY, done=MONDAY + HOUR),
        progress("a", "two", 2, "completed", since=MONDAY + HOUR, done=MONDAY + 2 * HOUR),
        progress("b", "one", 1, "completed", since=MONDAY, done=MONDAY + 3 * HOUR),
        progress("b", "two", 2, "completed", done=MONDAY + 6 * HOUR),
        progress("c", "one", 1, "completed", since=MONDAY, done=MONDAY + 5 * HOUR),
        progress("c", "two", 2, "current", since=MONDAY + 5 * HOUR),
        progress("d", "one", 1, "current"),
        progress("d", "two", 2, "locked"),
        progress("d", "old", 1, "current", path="left behind"),
    )  # fmt: skip


def test_funnel_counts_each_person_on_the_path_they_are_on_now(filled: ClickHouse) -> None:
    people(filled)
    columns = "path_id, position, step_id, reached, completed, step_completion_rate, drop_off_rate, median_hours"
    assert rows(filled, "funnel_by_step", columns) == [
        ("p", 1, "one", 4, 3, 0.75, 0.25, 3.0),
        ("p", 2, "two", 3, 2, 0.6667, 0.3333, 1.0),  # whoever did it ahead of its turn has no time on it
    ]
    assert rows(filled, "drop_off_rate_by_step", "step_id, reached, stopped_here, drop_off_rate") == [
        ("two", 3, 1, 0.3333),
        ("one", 4, 1, 0.25),
    ]


def test_a_step_nobody_reached_has_no_rate(filled: ClickHouse) -> None:
    insert(filled, make(PersonFact, user_id="a", path_id="p"), progress("a", "two", 2, "locked"))
    assert rows(filled, "funnel_by_step", "reached, completed, step_completion_rate, drop_off_rate, median_hours") == [
        (0, 0, None, None, None)
    ]


def test_a_funnel_ends_at_activation_and_those_who_go_on_are_counted_beside_it(filled: ClickHouse) -> None:
    at = MONDAY + 2 * HOUR
    for user in ("stops", "goes on", "did it before"):
        insert(
            filled,
            make(PersonFact, user_id=user, path_id="p", activated_at=at),
            progress(user, "one", 1, "completed", since=MONDAY, done=at),
        )
    insert(
        filled,
        make(PersonFact, user_id="on the way", path_id="p"),
        progress("on the way", "one", 1, "current", since=MONDAY),
        progress("on the way", "two", 2, "locked"),
        progress("stops", "two", 2, "current", since=at),
        progress("goes on", "two", 2, "completed", since=at, done=at + HOUR),
        progress("did it before", "two", 2, "completed", done=at - HOUR),
        progress("stops", "three", 3, "locked"),
        progress("goes on", "three", 3, "completed", done=at + 3 * HOUR),
    )
    columns = "step_id, reached, completed, step_completion_rate, drop_off_rate, median_hours, activated_before, completed_after_activation"
    assert rows(filled, "funnel_by_step", columns) == [
        ("one", 4, 3, 0.75, 0.25, 2.0, 0, 0),  # the step that completes the activation is part of the way
        ("two", 1, 1, 1.0, 0.0, None, 2, 1),
        ("three", 0, 0, None, None, None, 2, 1),
    ]


def test_who_went_on_without_a_step_has_not_dropped_off_there(filled: ClickHouse) -> None:
    """Optional steps, several that lead to the same, steps out of turn; activation. In a path of strict order only to go on is to pass."""
    at = MONDAY + HOUR
    insert(
        filled,
        *(make(PersonFact, user_id=user, path_id="p") for user in ("did it", "did the other", "is at two", "stopped", "went back")),
        make(PersonFact, user_id="activated", path_id="p", activated_at=at),
        progress("did it", "one", 1, "completed", since=MONDAY, done=at), progress("did it", "two", 2, "locked"),
        progress("did the other", "one", 1, "current", since=MONDAY), progress("did the other", "two", 2, "completed", done=at),
        progress("is at two", "one", 1, "current", since=MONDAY), progress("is at two", "two", 2, "current", since=at),
        progress("stopped", "one", 1, "current", since=MONDAY), progress("stopped", "two", 2, "locked"),
        progress("went back", "one", 1, "current", since=at), progress("went back", "two", 2, "completed", done=MONDAY),
        progress("activated", "one", 1, "current", since=MONDAY), progress("activated", "two", 2, "locked"),
    )  # fmt: skip
    columns = "step_id, reached, passed, stopped_here, drop_off_rate"
    assert rows(filled, "drop_off_rate_by_step", columns) == [("two", 3, 0, 1, 0.3333), ("one", 6, 4, 1, 0.1667)]
    columns = "step_id, reached, completed, passed, step_completion_rate, drop_off_rate"
    assert rows(filled, "funnel_by_step", columns) == [("one", 6, 1, 4, 0.1667, 0.1667), ("two", 3, 2, 0, 0.6667, 0.3333)]
    skips = [progress("skips", "one", 1, "current", since=MONDAY, path="s"), progress("skips", "two", 2, "completed", done=at, path="s")]
    insert(filled, make(PersonFact, user_id="skips", path_id="s"), *(structs.replace(each, path_order="strict") for each in skips))
    assert rows(filled, "funnel_by_step WHERE path_id = 's'", "step_id, reached, completed, passed") == [("one", 1, 0, 0), ("two", 1, 1, 0)]


def test_what_is_completed_after_activation_is_not_completed_before_it(filled: ClickHouse) -> None:
    """They came to the step, activated without it, and did it later."""
    at = MONDAY + HOUR
    for user in ("later", "never"):
        done = at + 72 * HOUR if user == "later" else 0
        insert(
            filled,
            make(PersonFact, user_id=user, path_id="p", activated_at=at),
            progress(user, "one", 1, "completed" if done else "current", since=MONDAY, done=done),
            progress(user, "two", 2, "completed", done=at),
        )
    columns = "step_id, reached, completed, passed, drop_off_rate, median_hours, activated_before, completed_after_activation"
    assert rows(filled, "funnel_by_step", columns) == [("one", 2, 0, 2, 0.0, None, 0, 1), ("two", 2, 2, 0, 0.0, None, 0, 0)]
    said = printed(show_funnels, filled)
    assert "completed after activation: one 1" in said
    assert "before the rest" not in said


def test_a_step_that_was_completed_before_it_became_current_has_no_time(filled: ClickHouse) -> None:
    """Rows of visitors who signed in have it, where an older release wrote them."""
    insert(
        filled,
        *(make(PersonFact, user_id=user, path_id="p") for user in ("visited", "did it")),
        progress("visited", "one", 1, "completed", since=MONDAY + HOUR, done=MONDAY),
        progress("did it", "one", 1, "completed", since=MONDAY, done=MONDAY + 3 * HOUR),
    )
    assert rows(filled, "funnel_by_step", "reached, completed, median_hours") == [(2, 2, 3.0)]


def test_a_step_that_left_the_path_is_not_in_the_funnel_of_those_who_met_the_new_catalog(filled: ClickHouse) -> None:
    """`two` was taken out, and `three` came before `one`. Who has not met that catalog is still on the old path."""

    def met(user: str, *steps: ProgressFact) -> list[ProgressFact]:
        marker = progress(user, "", 0, "catalog_changed", path="")
        return [structs.replace(each, version=5, updated_at=MONDAY + 9 * HOUR) for each in (marker, *steps)]

    for user in ("met", "asleep"):
        insert(
            filled,
            make(PersonFact, user_id=user, path_id="p"),
            progress(user, "one", 1, "completed", since=MONDAY, done=MONDAY + HOUR),
            progress(user, "two", 2, "current", since=MONDAY + HOUR),
            progress(user, "three", 3, "locked"),
        )
    columns = "step_id, position, reached, passed"
    assert rows(filled, "funnel_by_step", columns) == [("one", 1, 2, 0), ("two", 2, 2, 0), ("three", 3, 0, 0)]
    one = progress("met", "one", 2, "completed", since=MONDAY, done=MONDAY + HOUR)
    insert(filled, *met("met", progress("met", "three", 1, "current", since=MONDAY + 9 * HOUR), one))
    assert rows(filled, "path_steps WHERE user_id = 'met' ORDER BY position", "step_id, position") == [("three", 1), ("one", 2)]
    assert rows(filled, "funnel_by_step", columns) == [("three", 1, 1, 1), ("one", 2, 2, 0), ("two", 2, 1, 0)]
    loaded = load_evidence(lambda sql, **parameters: query(filled, sql, parameters), "t").progress
    assert sorted(loaded.filter(user_id="met")["step_id"]) == ["one", "three"]


def test_who_activates_before_signing_up_is_timed_from_the_first_event(filled: ClickHouse) -> None:
    at = MONDAY + HOUR
    insert(
        filled,
        make(PersonFact, user_id="tried", path_id="p", first_seen_at=MONDAY, activated_at=at, signup_at=MONDAY + 48 * HOUR),
        make(PersonFact, user_id="signed up", path_id="p", first_seen_at=MONDAY - HOUR, signup_at=MONDAY, activated_at=MONDAY + 3 * HOUR),
    )  # fmt: skip
    for view in ("activation", "activation_by_cohort", "experiment_groups", "time_to_activation_p50_hours"):
        assert rows(filled, view, "time_to_activation_p50_hours") == [(2.0,)], view
    said = printed(show_time_to_activation, filled)
    assert "p25 1.5 h, p50 2.0 h" in said
    assert [line.split()[-2] for line in said.splitlines() if line.strip().startswith(("under 1 h", "1–4 h"))][-1] == "2"


def test_activation(filled: ClickHouse) -> None:
    people(filled)
    measures = "activated, activation_rate, time_to_activation_p50_hours"
    assert rows(filled, "activation", f"people, started, onboarding_start_rate, {measures}") == [(4, 3, 0.75, 2, 0.5, 4.0)]
    assert rows(filled, "activation_by_cohort", f"toString(signup_week), path_id, user_persona, people, {measures}") == [
        ("2026-01-05", "p", "dev", 3, 2, 0.6667, 4.0),
        ("2026-01-12", "p", "ops", 1, 0, 0.0, None),
    ]


def test_experiment_groups_count_by_assignment(filled: ClickHouse) -> None:
    people(filled)
    assert rows(filled, "experiment_groups", "experiment_group, people, activated, activation_rate, standard_error") == [
        ("adaptive", 3, 2, 0.6667, 0.2722),
        ("holdout", 1, 0, 0.0, 0.0),
    ]


def test_who_does_not_begin_the_onboarding_is_in_no_funnel_and_no_rate(filled: ClickHouse) -> None:
    """By `starts` in the catalog. Their steps are locked until they complete them: in a funnel all of them would have completed."""
    before = ["drop_off_rate_by_step", "funnel_by_step", "activation_by_cohort", "activation", "activation_rate", "path_steps"]
    people(filled)
    expected = {view: query(filled, f"SELECT * FROM {view} ORDER BY ALL").rows() for view in before}
    insert(
        filled,
        *(
            make(PersonFact, user_id=f"old {n}", path_id="p", experiment_group="existing", signup_at=MONDAY, activated_at=MONDAY)
            for n in range(9)
        ),
        *(progress(f"old {n}", "one", 1, "completed", done=MONDAY) for n in range(9)),
        progress("old 0", "two", 2, "locked"),
    )  # fmt: skip
    assert {view: query(filled, f"SELECT * FROM {view} ORDER BY ALL").rows() for view in before} == expected
    assert rows(filled, "experiment_groups", "experiment_group, people") == [("adaptive", 3), ("existing", 9), ("holdout", 1)]
    assert rows(filled, "features", "count()") == [(13,)], "one row for each user"
    said = printed(show_activation, filled) + printed(show_time_to_activation, filled)
    assert "2 of 4 users, 50.0 %" in said
    assert "existing" not in said
    assert "9 other users are not counted: by `starts` of the catalog they do not begin the onboarding." in said
    assert "p50 4.0 h" in said


def test_who_began_later_has_one_group(filled: ClickHouse) -> None:
    """Before the sign-up, with which the onboarding begins, a decision says that they do not begin."""
    insert(filled, make(PersonFact, experiment_group="rules"), make(PersonFact, user_id="v", experiment_group="existing"))
    for user, group in (("u", "existing"), ("u", "rules"), ("v", "existing")):
        insert(filled, make(DecisionFact, decision_id=f"{user} {group}", user_id=user, experiment_group=group, outcome="declined"))
    assert rows(filled, "experiment_allocation_consistency", "people, consistent") == [(1, 1)]


def test_experiment_groups_leave_out_who_signed_up_without_guidance(filled: ClickHouse) -> None:
    states = ("on", "guidance_paused", "outside_ramp")
    insert(filled, *(make(PersonFact, user_id=each, experiment_group="adaptive", guidance_at_signup=each) for each in states))
    assert rows(filled, "experiment_groups", "experiment_group, people") == [("adaptive", 1)]


def test_who_came_while_the_catalog_only_observed_is_in_no_group_that_is_compared(filled: ClickHouse) -> None:
    """Of those only who returned has a group that was drawn: the others would make the holdout one of users who never came back."""
    insert(filled, make(CatalogFact, catalog_version="p@1", holdout=1.0), make(CatalogFact, catalog_version="p@2", holdout=0.5))
    entered = [("holdout", "p@1", 0)] * 5 + [("adaptive", "p@1", MONDAY)] * 3 + [("adaptive", "p@2", MONDAY), ("holdout", "p@2", 0)]
    entered += [("holdout", "", MONDAY), ("existing", "p@1", 0), ("merged", "p@1", 0)]
    insert(
        filled,
        *(
            make(PersonFact, user_id=str(n), experiment_group=group, entered_under=version, activated_at=activated)
            for n, (group, version, activated) in enumerate(entered)
        ),
    )
    assert rows(filled, "experiment_groups", "experiment_group, people, activated") == [
        ("adaptive", 1, 1),
        ("existing", 1, 0),
        ("holdout", 2, 1),
        ("observing", 8, 3),
    ]
    console = Console(file=io.StringIO(), width=140)
    show_activation(console, Facts(filled), "t")
    assert isinstance(console.file, io.StringIO)
    said = " ".join(console.file.getvalue().split())
    assert "observing 8 3 37.5 %" in said
    assert "observing: came while the catalog only observed, so their group was not drawn at the start. Do not compare them" in said


def test_a_visitor_became_the_first_user_who_named_it(filled: ClickHouse) -> None:
    named = partial(make, EventFact, event_type="identity_merged", payload='{"previousId": "cookie-1"}', status="applied")
    insert(
        filled,
        named(user_id="second", event_id="2", timestamp=MONDAY - HOUR, log_time=MONDAY + HOUR),  # it came later, from a slow device
        named(user_id="first", event_id="1", timestamp=MONDAY, log_time=MONDAY),
        named(user_id="first", event_id="1", timestamp=MONDAY, log_time=MONDAY),
        named(user_id="first", event_id="5", timestamp=MONDAY + 1, log_time=MONDAY + 1),
        named(user_id="late", event_id="3", timestamp=MONDAY - HOUR, log_time=MONDAY - HOUR, status="late"),
        make(
            EventFact,
            user_id="x",
            event_id="4",
            event_type="track",
            payload='{"previousId": "cookie-2"}',
            status="applied",
            log_time=MONDAY,
        ),
    )
    assert rows(filled, "merged_visitors", "visitor_id, user_id, toUnixTimestamp64Milli(merged_at)") == [("cookie-1", "first", MONDAY)]
    evidence = load_evidence(Facts(filled).frame, "t", until=0)
    assert evidence.visitors.rows() == [("first", "cookie-1", MONDAY, experiment_draw("t", "cookie-1"))]
    assert evidence.events_from == MONDAY - HOUR


def test_the_state_of_guidance_is_that_of_the_newest_switches(filled: ClickHouse) -> None:
    turns = [("pause", 1.0), ("ramp", 0.3), ("resume", 1.0), ("ramp", 0.6), ("pause", 1.0)]

    def state(*tenant_turns: tuple[str, float]) -> None:
        tenant = f"t{len(tenant_turns)}"
        insert(
            filled,
            *(
                make(SwitchFact, tenant_id=tenant, switch_id=f"s{n}", action=action, share=share, in_force_at=MONDAY + n, switched_by="ann")
                for n, (action, share) in enumerate(tenant_turns)
            ),
        )

    for count in range(1, len(turns) + 1):
        state(*turns[:count])
    assert rows(filled, "guidance_state", "tenant_id, paused, ramp_share") == [
        ("t1", 1, 1.0),
        ("t2", 1, 0.3),
        ("t3", 0, 0.3),
        ("t4", 0, 0.6),
        ("t5", 1, 0.6),
    ]


def test_guidance_performance_has_exact_denominators(filled: ClickHouse) -> None:
    happened = {
        "d1": ["shown", "clicked", "success"],
        "d2": ["shown", "dismissed", "failure"],
        "d3": ["shown"],
        "d4": ["withdrawn"],
        "d5": [],
        "d6": ["shown", "success"],
        "d7": ["shown", "withdrawn"],
        "d8": ["shown", "expired"],
        "d9": ["shown", "clicked", "superseded"],
    }
    for decision_id, kinds in happened.items():
        arm = "moderate" if decision_id == "d6" else "passive"
        insert(filled, make(DecisionFact, decision_id=decision_id, trigger="signup", arm=arm, outcome="decided", propensity=0.5))
        insert(filled, *(make(OutcomeFact, decision_id=decision_id, kind=kind, trigger="signup", arm=arm) for kind in kinds))
        insert(filled, *(make(OutcomeFact, decision_id=decision_id, kind=kind, trigger="signup", arm=arm) for kind in kinds))
    insert(filled, make(DecisionFact, decision_id="n1", trigger="signup", outcome="declined", reason="cooldown"))
    insert(filled, make(DecisionFact, decision_id="n2", user_id="v", trigger="signup", outcome="declined", reason="cooldown"))
    counts = "trigger, arm, decided, shown, clicked, dismissed, success, failure, open, voided, unshown"
    assert rows(filled, "guidance_performance", counts) == [
        ("signup", "moderate", 1, 1, 0, 0, 1, 0, 0, 0, 0),
        ("signup", "passive", 8, 6, 2, 1, 1, 1, 1, 3, 2),
    ]
    rates = "arm, nudge_send_rate, nudge_open_rate, nudge_dismiss_rate, nudge_conversion_rate"
    assert rows(filled, "guidance_performance", rates) == [("moderate", 1.0, 0.0, 0.0, 1.0), ("passive", 0.75, 0.3333, 0.1667, 0.5)]
    assert rows(filled, "non_decisions_by_reason", "reason, trigger, non_decisions, people") == [("cooldown", "signup", 2, 2)]


def test_the_arms_of_the_rules_are_not_among_those_of_the_bandit(filled: ClickHouse) -> None:
    for decision, group, kinds in (
        ("1", "rules", ["shown", "success"]),
        ("2", "rules", ["shown", "success"]),
        ("3", "adaptive", ["shown", "failure"]),
    ):
        insert(filled, make(DecisionFact, decision_id=decision, trigger="signup", arm="modal", outcome="decided", experiment_group=group))
        insert(filled, *(make(OutcomeFact, decision_id=decision, kind=kind) for kind in kinds))
    counts = "trigger, experiment_group, arm, decided, success, nudge_conversion_rate"
    assert rows(filled, "guidance_performance", counts) == [
        ("signup", "adaptive", "modal", 1, 0, 0.0),
        ("signup", "rules", "modal", 2, 2, 1.0),
    ]
    assert rows(filled, "nudge_conversion_rate", "success, failure") == [(2, 1)], "metrics are over all groups"


def test_the_mean_propensity_of_an_arm_is_over_all_decisions_of_its_trigger_and_group(filled: ClickHouse) -> None:
    """An arm that was seldom wanted is chosen where it was wanted, so the mean over its own decisions alone is too high."""

    def decided(decision: str, arm: str, shares: dict[str, float], trigger: str = "signup", group: str = "adaptive") -> DecisionFact:
        return make(
            DecisionFact, decision_id=decision, trigger=trigger, experiment_group=group, outcome="decided", arm=arm,
            propensity=shares[arm], arms=tuple(shares), propensities=tuple(shares.values()),
        )  # fmt: skip

    early, late = {"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 0.9, "b": 0.1}
    insert(
        filled,
        decided("1", "a", early), decided("2", "b", early), decided("3", "a", late), decided("4", "a", late), decided("4", "a", late),
        decided("5", "b", {"a": 0.0, "b": 1.0}, group="rules"),
        decided("6", "b", late, trigger="step_completed"),
        make(DecisionFact, decision_id="7", trigger="signup", outcome="declined", reason="cooldown", experiment_group="adaptive"),
    )  # fmt: skip
    assert rows(filled, "arm_share", "trigger, experiment_group, arm, decisions, share, mean_propensity") == [
        ("signup", "adaptive", "a", 3, 0.75, 0.7),
        ("signup", "adaptive", "b", 1, 0.25, 0.2),
        ("signup", "adaptive", "c", 0, 0.0, 0.1),  # wanted now and then, and never drawn
        ("signup", "rules", "b", 1, 1.0, 1.0),
        ("step_completed", "adaptive", "a", 0, 0.0, 0.9),
        ("step_completed", "adaptive", "b", 1, 1.0, 0.1),
    ]


def test_the_latest_posterior_of_each_arm_and_context(filled: ClickHouse) -> None:
    insert(
        filled,
        make(PosteriorFact, trigger="signup", arm="a", context="*", alpha=1.0, beta=1.0, version=1),
        make(PosteriorFact, trigger="signup", arm="a", context="*", alpha=3.0, beta=1.0, version=12),
        make(PosteriorFact, trigger="signup", arm="a", context="one|dev", alpha=1.0, beta=4.0, version=9),
    )
    assert rows(filled, "arm_posteriors_latest", "context, arm, mean, weight, version") == [
        ("*", "a", 0.75, 4.0, 12),
        ("one|dev", "a", 0.2, 5.0, 9),
    ]


def test_a_user_who_got_stuck_at_a_step_of_two_paths_is_one_user_of_the_report(filled: ClickHouse) -> None:
    where = {"trigger": "stuck:errors", "step_id": "one"}
    insert(filled, *(make(SignalFact, signal_id=path, path_id=path, **where) for path in ("p", "q")))
    console = Console(file=io.StringIO(), width=100)
    show_stuck_by_step(console, Facts(filled), "t")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines()[-1].split() == ["one", "stuck:errors", "2", "1"]


def test_signals_metrics_and_dead_letters_are_summed(filled: ClickHouse) -> None:
    insert(
        filled,
        make(SignalFact, signal_id="1", trigger="stuck:errors", step_id="one"),
        make(SignalFact, signal_id="2", trigger="stuck:errors", step_id="two"),
        make(SignalFact, signal_id="2", trigger="stuck:errors", step_id="two"),
        make(SignalFact, signal_id="3", user_id="v", trigger="stuck:inactive", step_id="two"),
        make(StepMetricFact, minute=MONDAY, step_id="one", metric="completed", count=2, partial_id="x"),
        make(StepMetricFact, minute=MONDAY, step_id="one", metric="completed", count=2, partial_id="x"),
        make(StepMetricFact, minute=MONDAY, step_id="one", metric="completed", count=5, partial_id="y"),
        make(DeadLetterFact, dead_letter_id="1", reason="not_json", topic="in", log_time=MONDAY),
        make(DeadLetterFact, dead_letter_id="2", reason="not_json", topic="in", log_time=MONDAY + HOUR),
    )
    assert rows(filled, "stuck_signals_by_trigger", "trigger, signals, people") == [("stuck:errors", 2, 1), ("stuck:inactive", 1, 1)]
    assert rows(filled, "stuck_signals_by_step", "step_id, trigger, signals") == [
        ("one", "stuck:errors", 1), ("two", "stuck:errors", 1), ("two", "stuck:inactive", 1),
    ]  # fmt: skip
    assert rows(filled, "step_metrics", "step_id, metric, total") == [("one", "completed", 7)]
    assert rows(filled, "dead_letters_by_reason", "reason, topic, messages, toUnixTimestamp64Milli(last_at)") == [
        ("not_json", "in", 2, MONDAY + HOUR)
    ]  # fmt: skip


def test_freshness_is_the_age_of_the_newest_row(filled: ClickHouse) -> None:
    insert(filled, make(EventFact, event_id="e", timestamp=MONDAY, log_time=MONDAY))
    lags = dict(rows(filled, "freshness", "table_name, lag_seconds"))
    now = query(filled, "SELECT toUnixTimestamp64Milli(now64(3)) AS now").item()
    assert lags["events"] == pytest.approx((now - MONDAY) / 1000, abs=60)
    assert lags["decisions"] is None
    assert len(lags) == 8


def test_the_clock_of_a_phone_that_is_ahead_makes_no_table_look_fresh(filled: ClickHouse) -> None:
    """Where a row has no time of ours, its table has no age."""
    now = query(filled, "SELECT toUnixTimestamp64Milli(now64(3)) AS now").item()
    ahead = now + 20 * HOUR
    insert(
        filled,
        make(EventFact, event_id="e", timestamp=ahead, log_time=now - HOUR),
        make(PersonFact, first_seen_at=ahead, last_active_at=ahead),
        make(StepMetricFact, minute=ahead, metric="event", count=1, partial_id="x"),
        make(ProgressFact, path_id="p", step_id="one", completed_at=ahead, updated_at=now - HOUR),
    )
    lags = dict(rows(filled, "freshness WHERE lag_seconds IS NOT NULL", "table_name, lag_seconds"))
    assert lags == {name: pytest.approx(3_600, abs=60) for name in ("events", "step_progress")}


def test_features_have_their_agreed_names(filled: ClickHouse) -> None:
    insert(
        filled, make(PersonFact, signup_at=MONDAY, user_persona="dev", engagement_score=41.5, session_count=3, avg_session_duration=30.0)
    )
    insert(filled, make(EventFact, event_id="e", timestamp=MONDAY, log_time=MONDAY + 5 * HOUR))
    (row,) = query(filled, "SELECT * FROM features").rows(named=True)
    assert row == {
        "tenant_id": "t", "user_id": "u", "user_persona": "dev", "signup_source": "", "engagement_score": 41.5, "company_size": "",
        "use_case": "", "time_since_signup": 5.0, "steps_completed": 0, "session_count": 3, "avg_session_duration": 30.0,
    }  # fmt: skip


def test_the_sessions_of_a_user_have_no_mean_length_before_one_has_ended(filled: ClickHouse) -> None:
    insert(
        filled,
        make(PersonFact, user_id="a", session_count=1, avg_session_duration=0.0),
        make(PersonFact, user_id="b", session_count=2, avg_session_duration=0.0),
        make(PersonFact, user_id="c", session_count=2, avg_session_duration=90.0),
    )
    assert sorted(rows(filled, "features", "user_id, avg_session_duration")) == [("a", None), ("b", 0.0), ("c", 90.0)]


def test_time_since_signup_ends_at_the_newest_log_time_of_the_tenant(filled: ClickHouse) -> None:
    insert(
        filled,
        make(PersonFact, signup_at=MONDAY),
        make(PersonFact, user_id="before sign-up"),
        make(PersonFact, user_id="clock ahead", signup_at=MONDAY + 6 * HOUR),
        make(PersonFact, tenant_id="later", signup_at=MONDAY),
        make(PersonFact, tenant_id="silent", signup_at=MONDAY),
        make(EventFact, event_id="e", timestamp=MONDAY, log_time=MONDAY + 5 * HOUR),
        make(EventFact, tenant_id="later", event_id="e", timestamp=MONDAY, log_time=MONDAY + 50 * HOUR),
    )
    assert sorted(rows(filled, "features", "tenant_id, user_id, time_since_signup")) == [
        ("later", "u", 50.0), ("silent", "u", None), ("t", "before sign-up", None), ("t", "clock ahead", 0.0), ("t", "u", 5.0),
    ]  # fmt: skip


def test_the_timeline_of_a_person_is_in_order_and_holds_every_kind(filled: ClickHouse) -> None:
    insert(
        filled,
        make(EventFact, event_id="e1", event_type="signup", status="applied", timestamp=MONDAY, version=1),
        make(EventFact, event_id="e2", event_type="track", name="deployed", status="late", timestamp=MONDAY + 9, version=5),
        progress("u", "one", 1, "completed", since=MONDAY, done=MONDAY + 3),
        make(SignalFact, signal_id="s", trigger="stuck:errors", detected_at=MONDAY + 1, version=2),
        make(DecisionFact, decision_id="d", trigger="stuck:errors", outcome="decided", arm="moderate", propensity=0.625,
             arms=("moderate", "passive"), propensities=(0.625, 0.375), decided_at=MONDAY + 1, version=2),
        make(DecisionFact, decision_id="n", trigger="signup", outcome="declined", reason="cooldown", decided_at=MONDAY + 4, version=3),
        make(RecommendationFact, decision_id="d", ui_component="tooltip", message="Try this", created_at=MONDAY + 1, version=2),
        make(OutcomeFact, decision_id="d", kind="shown", occurred_at=MONDAY + 2, version=3),
        make(EventFact, user_id="v", event_id="other", timestamp=MONDAY),
    )  # fmt: skip
    timeline = query(
        filled, "SELECT kind, what, reason, propensity, detail FROM person_timeline WHERE tenant_id = {t:String} AND user_id = {u:String}",
        {"t": "t", "u": "u"},
    ).rows()  # fmt: skip
    assert timeline == [
        ("event", "signup", "", None, ""),
        ("progress", "reached", "", None, "step 1"),
        ("signal", "stuck:errors", "", None, ""),
        ("decision", "moderate", "", 0.625, "moderate 0.625, passive 0.375"),
        ("recommendation", "tooltip", "", 0.0, "Try this"),
        ("outcome", "shown", "", None, ""),
        ("progress", "completed", "", None, "step 1, 0 attempts, 0 errors"),
        ("non_decision", "cooldown", "cooldown", None, ""),
        ("event", "track deployed", "late", None, ""),
    ]


def test_the_timeline_tells_guidance_that_was_withdrawn_before_it_was_shown_from_that_after(filled: ClickHouse) -> None:
    insert(
        filled,
        make(OutcomeFact, decision_id="d", kind="shown", arm="tip", occurred_at=MONDAY, version=1),
        make(OutcomeFact, decision_id="d", kind="withdrawn", arm="tip", occurred_at=MONDAY + 1, version=2),
        make(OutcomeFact, decision_id="e", kind="withdrawn", arm="tip", occurred_at=MONDAY + 2, version=3),
    )
    _, timeline = read_timeline(Facts(filled), "t", "u")
    assert [each["inWords"] for each in as_records(timeline)] == [
        "tip reached the screen",
        "tip withdrawn after it was shown: neither success nor failure",
        "tip withdrawn before it was shown",
    ]


def test_exposures_that_belong_to_no_recommendation_are_counted_with_an_example(filled: ClickHouse) -> None:
    def event(event_id: str, user: str, payload: str, at: int, kind: str = "recommendation_clicked") -> EventFact:
        return make(
            EventFact, user_id=user, event_id=event_id, event_type=kind, payload=payload, status="applied", timestamp=at, log_time=at
        )

    shown = make(
        RecommendationFact, user_id="a", recommendation_id="d1.arm.mac", ui_component="tooltip", created_at=MONDAY,
        expires_at=MONDAY + 2 * HOUR, version=1,
    )  # fmt: skip
    insert(
        filled,
        shown,
        event("right id", "a", '{"recommendationId": "d1.arm.mac"}', MONDAY + HOUR),
        event("right id, late", "a", '{"recommendationId": "d1.arm.mac"}', MONDAY + 90 * HOUR),
        event("wrong id", "a", '{"recommendationId": "d1.arm.forged"}', MONDAY + HOUR),
        event("another's id", "b", '{"recommendationId": "d1.arm.mac"}', MONDAY + HOUR + 1),
        event("current", "a", "{}", MONDAY + HOUR, "recommendation_shown"),
        event("expired", "a", "{}", MONDAY + 3 * HOUR),
        event("never had one", "c", "{}", MONDAY + HOUR, "tooltip_dismiss"),
        event("no exposure", "c", "{}", MONDAY + HOUR, "page_view"),
    )
    assert rows(filled, "exposures_ignored_by_reason", "reason, events, people, example_user_id, example_event_id") == [
        ("no_current_recommendation", 2, 2, "a", "expired"),
        ("unknown_recommendation", 2, 2, "b", "another's id"),
    ]


def test_an_exposure_without_an_id_from_well_before_the_decision_belongs_to_an_earlier_one(filled: ClickHouse) -> None:
    """As the run counts it: a clock may be five minutes behind."""

    def event(event_id: str, at: int, payload: str = "{}") -> EventFact:
        return make(
            EventFact,
            event_id=event_id,
            event_type="recommendation_shown",
            payload=payload,
            status="applied",
            timestamp=at,
            log_time=MONDAY + 1,
        )

    decided = make(
        RecommendationFact, recommendation_id="d1", ui_component="tooltip", created_at=MONDAY, expires_at=MONDAY + HOUR, version=1
    )
    skew = CLOCK_SKEW
    insert(filled, decided, event("slow clock", MONDAY - skew), event("earlier", MONDAY - skew - 1), event("fast clock", MONDAY + HOUR))
    insert(filled, event("null", MONDAY, '{"recommendationId": null}'), event("named", MONDAY - HOUR, '{"recommendationId": "d1"}'))
    assert rows(filled, "exposures_ignored_by_reason", "reason, events, example_event_id") == [("no_current_recommendation", 1, "earlier")]


def test_ids_that_name_each_other_are_the_user_among_them(filled: ClickHouse) -> None:
    """`yan` names a visitor that another visitor named before; `ben` one that is `ana`'s, which is refused; `zoe` is three ids away."""
    merges = [("phone", "laptop"), ("phone", "yan"), ("kiosk", "ana"), ("kiosk", "ben"), ("one", "two"), ("two", "three"), ("three", "zoe")]
    users = {"yan", "ana", "ben", "zoe"}
    for user in sorted({each for pair in merges for each in pair}):
        insert(filled, make(PersonFact, user_id=user, experiment_group="holdout" if user in users else "merged"))
    for at, (previous, user) in enumerate(merges):
        payload = f'{{"previousId": "{previous}"}}'
        insert(
            filled,
            make(
                EventFact,
                user_id=user,
                event_id=f"{previous} {user}",
                event_type="identity_merged",
                payload=payload,
                status="applied",
                log_time=MONDAY + at,
            ),
        )
    found = dict(rows(filled, "users_of_visitors", "visitor_id, user_id"))
    assert found == {"phone": "yan", "laptop": "yan", "kiosk": "ana", "three": "zoe", "two": "zoe"}


def test_a_visitor_who_signed_in_counts_as_that_user_wherever_users_are_counted(filled: ClickHouse) -> None:
    """`laptop` named `phone`, and `ana` named `laptop`; that `ben` named `cleo`, a user, was refused."""

    def merge(previous: str, user: str) -> EventFact:
        payload = f'{{"previousId": "{previous}"}}'
        return make(EventFact, user_id=user, event_id=previous, event_type="identity_merged", payload=payload, status="applied")

    groups = {"phone": "merged", "laptop": "merged", "ana": "holdout", "ben": "holdout", "cleo": "holdout"}
    insert(filled, *(make(PersonFact, user_id=user, experiment_group=group) for user, group in groups.items()))
    insert(filled, merge("phone", "laptop"), merge("laptop", "ana"), merge("cleo", "ben"))
    for user in groups:
        zone = '{"traits": {"timezone": "Mars/Olympus"}}'
        insert(
            filled,
            make(DecisionFact, decision_id=user, user_id=user, trigger="signup", outcome="declined", reason="holdout"),
            make(SignalFact, signal_id=user, user_id=user, trigger="stuck:errors", step_id="one"),
            make(EventFact, user_id=user, event_id=f"{user} shown", event_type="recommendation_shown", payload="{}", status="applied"),
            make(EventFact, user_id=user, event_id=f"{user} zone", event_type="identify", payload=zone, status="applied"),
        )
    assert rows(filled, "users_of_visitors ORDER BY visitor_id", "visitor_id, user_id") == [("laptop", "ana"), ("phone", "ana")]
    assert rows(filled, "non_decisions_by_reason", "non_decisions, people") == [(5, 3)]
    assert rows(filled, "stuck_signals_by_trigger", "signals, people") == [(5, 3)]
    assert rows(filled, "stuck_signals_by_step", "signals, people") == [(5, 3)]
    assert rows(filled, "exposures_ignored_by_reason", "events, people") == [(5, 3)]
    assert unknown_zones(Facts(filled), "t") == [{"timezone": "Mars/Olympus", "people": 3}]
    console = Console(file=io.StringIO(), width=140)
    show_stuck_by_step(console, Facts(filled), "t")
    assert isinstance(console.file, io.StringIO)
    assert "one stuck:errors 5 3" in " ".join(console.file.getvalue().split())
