"""The business views give the numbers a person works out by hand."""

from __future__ import annotations

import io

import pytest
from msgspec.structs import replace
from rich.console import Console

from evaluation.effect import effect
from evaluation.logged import logged
from evaluation.model_value import model_value
from reports.evidence import load
from reports.facts import Facts
from reports.stuck import show_stuck_by_step
from reports.timeline import as_records
from reports.timeline import read as read_timeline
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.read_only_query import query
from state.decision.attribution import CLOCK_SKEW
from state.records.facts import (
    CatalogFact,
    DeadLetterFact,
    DecisionFact,
    EventFact,
    LlmCallFact,
    OutcomeFact,
    PersonFact,
    PosteriorFact,
    ProgressFact,
    RecommendationFact,
    SignalFact,
    StepMetricFact,
    SwitchFact,
)
from tests.sinks.view_rows import HOUR, MONDAY, STORES, insert, progress, rows
from tests.support.facts import make

pytestmark = pytest.mark.parametrize("store_of_module", STORES, indirect=True)

pytest_plugins = ["tests.support.clickhouse_stores"]


def test_the_state_of_guidance_is_that_of_the_newest_switches(migrated: ClickHouse) -> None:
    turns = [("pause", 1.0), ("ramp", 0.3), ("resume", 1.0), ("ramp", 0.6), ("pause", 1.0)]

    def state(*tenant_turns: tuple[str, float]) -> None:
        tenant = f"t{len(tenant_turns)}"
        insert(
            migrated,
            *(
                make(SwitchFact, tenant_id=tenant, switch_id=f"s{n}", action=action, share=share, in_force_at=MONDAY + n, switched_by="ann")
                for n, (action, share) in enumerate(tenant_turns)
            ),
        )

    for count in range(1, len(turns) + 1):
        state(*turns[:count])
    assert rows(migrated, "guidance_state", "tenant_id, paused, ramp_share") == [
        ("t1", 1, 1.0),
        ("t2", 1, 0.3),
        ("t3", 0, 0.3),
        ("t4", 0, 0.6),
        ("t5", 1, 0.6),
    ]


def test_guidance_performance_has_exact_denominators(migrated: ClickHouse) -> None:
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
        insert(migrated, make(DecisionFact, decision_id=decision_id, trigger="signup", arm=arm, outcome="decided", propensity=0.5))
        insert(migrated, *(make(OutcomeFact, decision_id=decision_id, kind=kind, trigger="signup", arm=arm) for kind in kinds))
        insert(migrated, *(make(OutcomeFact, decision_id=decision_id, kind=kind, trigger="signup", arm=arm) for kind in kinds))
    insert(migrated, make(DecisionFact, decision_id="n1", trigger="signup", outcome="declined", reason="cooldown"))
    insert(migrated, make(DecisionFact, decision_id="n2", user_id="v", trigger="signup", outcome="declined", reason="cooldown"))
    counts = "trigger, arm, decided, shown, clicked, dismissed, success, failure, open, voided, unshown"
    assert rows(migrated, "guidance_performance", counts) == [
        ("signup", "moderate", 1, 1, 0, 0, 1, 0, 0, 0, 0),
        ("signup", "passive", 8, 6, 2, 1, 1, 1, 1, 3, 2),
    ]
    rates = "arm, nudge_send_rate, nudge_open_rate, nudge_dismiss_rate, nudge_conversion_rate"
    assert rows(migrated, "guidance_performance", rates) == [("moderate", 1.0, 0.0, 0.0, 1.0), ("passive", 0.75, 0.3333, 0.1667, 0.5)]
    assert rows(migrated, "non_decisions_by_reason", "reason, trigger, non_decisions, people") == [("cooldown", "signup", 2, 2)]


def test_a_decision_counts_for_a_rate_only_after_its_window_has_closed(migrated: ClickHouse) -> None:
    """A success is written when it happens, a failure when the window closes: at first every new arm would seem to succeed always."""
    now, day = MONDAY + 10 * 24 * HOUR, 24 * HOUR

    def shown(decision: str, arm: str, at: int, end: str = "", *, catalog: str = "one day", wording: str = "model") -> None:
        insert(
            migrated,
            make(DecisionFact, decision_id=decision, trigger="signup", arm=arm, outcome="decided", catalog_version=catalog,
                 experiment_group="adaptive"),
            make(LlmCallFact, decision_id=decision, experiment=wording, prompt_version=arm, asked_at=at),
            *(make(OutcomeFact, decision_id=decision, kind=kind, occurred_at=at) for kind in ("shown", end) if kind),
        )  # fmt: skip

    insert(
        migrated,
        make(CatalogFact, catalog_version="one day", attribution_window_ms=day),
        make(CatalogFact, catalog_version="an hour", attribution_window_ms=HOUR),
        make(EventFact, event_id="e", status="applied", log_time=now),
        make(EventFact, event_id="later", tenant_id="other", status="applied", log_time=now + 5 * day),
    )
    shown("o1", "old", now - 2 * day, "success")
    shown("o2", "old", now - day, "failure")
    shown("n1", "new", now - day + 1, "success")
    shown("n2", "new", now - 2 * HOUR)
    shown("n3", "new", now - 2 * HOUR, "withdrawn")
    shown("n4", "new", now - 2 * HOUR, "failure", catalog="an hour", wording="template")
    shown("n5", "new", now - 2 * HOUR, "success", catalog="a day where it is not known", wording="template")
    counts = "success, failure, open"
    assert rows(migrated, "guidance_performance", f"arm, shown, {counts}, voided, nudge_conversion_rate") == [
        ("new", 5, 0, 1, 3, 1, 0.0),
        ("old", 2, 1, 1, 0, 0, 0.5),
    ]
    assert rows(migrated, "nudge_conversion_rate", "success, failure, nudge_conversion_rate") == [(1, 2, 0.3333)]
    of_prompts = rows(migrated, "llm_prompts", f"prompt_version, shown, {counts}, success_rate")
    assert of_prompts == [("new", 3, 0, 0, 2, None), ("old", 2, 1, 1, 0, 0.5)], "two decisions kept the template"
    assert rows(migrated, "model_against_template", f"experiment, shown, {counts}, success_rate") == [
        ("model", 5, 1, 1, 2, 0.5),
        ("template", 2, 0, 1, 1, 0.0),
    ]
    evidence = load(Facts(migrated).frame, "t")
    log = logged(evidence)
    assert (sum(log.rewards), len(log)) == (1, 3), "onramp evaluate counts the same decisions"
    assert [(side.matured, side.successes) for side in model_value(evidence).sides] == [(2, 1), (1, 0)], "and so does the report"


def test_where_no_event_is_stored_any_more_the_report_too_takes_every_window_as_closed(migrated: ClickHouse) -> None:
    at = MONDAY - 3_000 * 24 * HOUR
    for user, end in (("u", "success"), ("v", "failure")):
        insert(
            migrated,
            make(PersonFact, user_id=user, experiment_group="adaptive", signup_at=at),
            make(DecisionFact, decision_id=user, user_id=user, outcome="decided", experiment_group="adaptive", decided_at=at),
            *(make(OutcomeFact, decision_id=user, user_id=user, kind=kind, occurred_at=at) for kind in ("shown", end)),
        )
    assert rows(migrated, "guidance_performance", "shown, success, failure, open") == [(2, 1, 1, 0)]
    evidence = load(Facts(migrated).frame, "t")
    log, report = logged(evidence), effect(evidence)
    assert (sum(log.rewards), len(log)) == (1, 2)
    assert (report.immature, sum(group.people for group in report.groups)) == (0, 2)


@pytest.mark.parametrize("view", ["decision_results", "guidance_performance", "llm_prompts", "model_against_template"])
def test_results_of_one_tenant_are_read_of_that_tenant_only(migrated: ClickHouse, view: str) -> None:
    insert(migrated, *(make(DecisionFact, tenant_id=tenant, decision_id="d", outcome="decided", arm="a") for tenant in "tu"))
    insert(migrated, *(make(OutcomeFact, tenant_id=tenant, decision_id="d", kind="shown") for tenant in "tu"))
    plan = query(migrated, f"EXPLAIN indexes = 1 SELECT * FROM {view} WHERE tenant_id = 't'")["explain"].to_list()
    reads = "\n".join(plan).split("ReadFromMergeTree")[1:]
    of_results = [each for each in reads if each.split(")")[0].endswith((".decisions", ".outcomes"))]
    assert len(of_results) == 2
    assert all(" in ['t', 't'])" in each for each in of_results)


def test_the_arms_of_the_rules_are_not_among_those_of_the_bandit(migrated: ClickHouse) -> None:
    for decision, group, kinds in (
        ("1", "rules", ["shown", "success"]),
        ("2", "rules", ["shown", "success"]),
        ("3", "adaptive", ["shown", "failure"]),
    ):
        insert(migrated, make(DecisionFact, decision_id=decision, trigger="signup", arm="modal", outcome="decided", experiment_group=group))
        insert(migrated, *(make(OutcomeFact, decision_id=decision, kind=kind) for kind in kinds))
    counts = "trigger, experiment_group, arm, decided, success, nudge_conversion_rate"
    assert rows(migrated, "guidance_performance", counts) == [
        ("signup", "adaptive", "modal", 1, 0, 0.0),
        ("signup", "rules", "modal", 2, 2, 1.0),
    ]
    assert rows(migrated, "nudge_conversion_rate", "success, failure") == [(2, 1)], "metrics are over all groups"


def test_the_mean_propensity_of_an_arm_is_over_all_decisions_of_its_trigger_and_group(migrated: ClickHouse) -> None:
    """An arm that was seldom wanted is chosen where it was wanted, so the mean over its own decisions alone is too high."""

    def decided(decision: str, arm: str, shares: dict[str, float], trigger: str = "signup", group: str = "adaptive") -> DecisionFact:
        return make(
            DecisionFact, decision_id=decision, trigger=trigger, experiment_group=group, outcome="decided", arm=arm,
            propensity=shares[arm], arms=tuple(shares), propensities=tuple(shares.values()),
        )  # fmt: skip

    early, late = {"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 0.9, "b": 0.1}
    insert(
        migrated,
        decided("1", "a", early), decided("2", "b", early), decided("3", "a", late), decided("4", "a", late), decided("4", "a", late),
        decided("5", "b", {"a": 0.0, "b": 1.0}, group="rules"),
        decided("6", "b", late, trigger="step_completed"),
        make(DecisionFact, decision_id="7", trigger="signup", outcome="declined", reason="cooldown", experiment_group="adaptive"),
    )  # fmt: skip
    assert rows(migrated, "arm_share", "trigger, experiment_group, arm, decisions, share, mean_propensity") == [
        ("signup", "adaptive", "a", 3, 0.75, 0.7),
        ("signup", "adaptive", "b", 1, 0.25, 0.2),
        ("signup", "adaptive", "c", 0, 0.0, 0.1),  # wanted now and then, and never drawn
        ("signup", "rules", "b", 1, 1.0, 1.0),
        ("step_completed", "adaptive", "a", 0, 0.0, 0.9),
        ("step_completed", "adaptive", "b", 1, 1.0, 0.1),
    ]


def test_the_latest_posterior_of_each_arm_and_context(migrated: ClickHouse) -> None:
    insert(
        migrated,
        make(PosteriorFact, trigger="signup", arm="a", context="*", alpha=1.0, beta=1.0, version=1),
        make(PosteriorFact, trigger="signup", arm="a", context="*", alpha=3.0, beta=1.0, version=12),
        make(PosteriorFact, trigger="signup", arm="a", context="one|dev", alpha=1.0, beta=4.0, version=9),
    )
    assert rows(migrated, "arm_posteriors_latest", "context, arm, mean, weight, version") == [
        ("*", "a", 0.75, 4.0, 12),
        ("one|dev", "a", 0.2, 5.0, 9),
    ]


def test_a_user_who_got_stuck_at_a_step_of_two_paths_is_one_user_of_the_report(migrated: ClickHouse) -> None:
    where = {"trigger": "stuck:errors", "step_id": "one"}
    insert(migrated, *(make(SignalFact, signal_id=path, path_id=path, **where) for path in ("p", "q")))
    console = Console(file=io.StringIO(), width=100)
    show_stuck_by_step(console, Facts(migrated), "t")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines()[-1].split() == ["one", "stuck:errors", "2", "1"]


def test_signals_metrics_and_dead_letters_are_summed(migrated: ClickHouse) -> None:
    insert(
        migrated,
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
    assert rows(migrated, "stuck_signals_by_trigger", "trigger, signals, people") == [("stuck:errors", 2, 1), ("stuck:inactive", 1, 1)]
    assert rows(migrated, "stuck_signals_by_step", "step_id, trigger, signals") == [
        ("one", "stuck:errors", 1), ("two", "stuck:errors", 1), ("two", "stuck:inactive", 1),
    ]  # fmt: skip
    assert rows(migrated, "step_metrics", "step_id, metric, total") == [("one", "completed", 7)]
    assert rows(migrated, "dead_letters_by_reason", "reason, topic, messages, toUnixTimestamp64Milli(last_at)") == [
        ("not_json", "in", 2, MONDAY + HOUR)
    ]  # fmt: skip


def test_freshness_is_the_age_of_the_newest_row(migrated: ClickHouse) -> None:
    insert(migrated, make(EventFact, event_id="e", timestamp=MONDAY, log_time=MONDAY))
    lags = dict(rows(migrated, "freshness", "table_name, lag_seconds"))
    now = query(migrated, "SELECT toUnixTimestamp64Milli(now64(3)) AS now").item()
    assert lags["events"] == pytest.approx((now - MONDAY) / 1000, abs=60)
    assert lags["decisions"] is None
    assert len(lags) == 8


def test_the_clock_of_a_phone_that_is_ahead_makes_no_table_look_fresh(migrated: ClickHouse) -> None:
    """Where a row has no time of ours, its table has no age."""
    now = query(migrated, "SELECT toUnixTimestamp64Milli(now64(3)) AS now").item()
    ahead = now + 20 * HOUR
    insert(
        migrated,
        make(EventFact, event_id="e", timestamp=ahead, log_time=now - HOUR),
        make(PersonFact, first_seen_at=ahead, last_active_at=ahead),
        make(StepMetricFact, minute=ahead, metric="event", count=1, partial_id="x"),
        make(ProgressFact, path_id="p", step_id="one", completed_at=ahead, updated_at=now - HOUR),
    )
    lags = dict(rows(migrated, "freshness WHERE lag_seconds IS NOT NULL", "table_name, lag_seconds"))
    assert lags == {name: pytest.approx(3_600, abs=60) for name in ("events", "step_progress")}


def test_features_have_their_agreed_names(migrated: ClickHouse) -> None:
    insert(
        migrated, make(PersonFact, signup_at=MONDAY, user_persona="dev", engagement_score=41.5, session_count=3, avg_session_duration=30.0)
    )
    insert(migrated, make(EventFact, event_id="e", timestamp=MONDAY, log_time=MONDAY + 5 * HOUR))
    (row,) = query(migrated, "SELECT * FROM features").rows(named=True)
    assert row == {
        "tenant_id": "t", "user_id": "u", "user_persona": "dev", "signup_source": "", "engagement_score": 41.5, "company_size": "",
        "use_case": "", "time_since_signup": 5.0, "steps_completed": 0, "session_count": 3, "avg_session_duration": 30.0,
    }  # fmt: skip


def test_the_sessions_of_a_user_have_no_mean_length_before_one_has_ended(migrated: ClickHouse) -> None:
    insert(
        migrated,
        make(PersonFact, user_id="a", session_count=1, avg_session_duration=0.0),
        make(PersonFact, user_id="b", session_count=2, avg_session_duration=0.0),
        make(PersonFact, user_id="c", session_count=2, avg_session_duration=90.0),
    )
    assert sorted(rows(migrated, "features", "user_id, avg_session_duration")) == [("a", None), ("b", 0.0), ("c", 90.0)]


def test_time_since_signup_ends_at_the_newest_log_time_of_the_tenant(migrated: ClickHouse) -> None:
    insert(
        migrated,
        make(PersonFact, signup_at=MONDAY),
        make(PersonFact, user_id="before sign-up"),
        make(PersonFact, user_id="clock ahead", signup_at=MONDAY + 6 * HOUR),
        make(PersonFact, tenant_id="later", signup_at=MONDAY),
        make(PersonFact, tenant_id="silent", signup_at=MONDAY),
        make(EventFact, event_id="e", timestamp=MONDAY, log_time=MONDAY + 5 * HOUR),
        make(EventFact, tenant_id="later", event_id="e", timestamp=MONDAY, log_time=MONDAY + 50 * HOUR),
    )
    assert sorted(rows(migrated, "features", "tenant_id, user_id, time_since_signup")) == [
        ("later", "u", 50.0), ("silent", "u", None), ("t", "before sign-up", None), ("t", "clock ahead", 0.0), ("t", "u", 5.0),
    ]  # fmt: skip


def test_the_timeline_of_a_person_is_in_order_and_holds_every_kind(migrated: ClickHouse) -> None:
    insert(
        migrated,
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
        migrated, "SELECT kind, what, reason, propensity, detail FROM person_timeline"
        " WHERE tenant_id = {t:String} AND user_id = {u:String}",
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


def test_the_timeline_has_the_path_in_force_and_when_it_changed(migrated: ClickHouse) -> None:
    """Rows of earlier paths stay in the table; those of a path that a user comes to are all written then."""

    def at(version: int, path: str, *steps: str) -> list[ProgressFact]:
        return [
            replace(progress("u", step, 1, "current", since=MONDAY, path=path), version=version, updated_at=MONDAY + version * HOUR)
            for step in steps
        ]

    def traits(version: int, persona: str) -> EventFact:
        return make(
            EventFact, event_id=f"e{version}", event_type="identify", payload=f'{{"traits":{{"persona":"{persona}"}}}}', status="applied",
            timestamp=MONDAY + version * HOUR - 1, version=version,
        )  # fmt: skip

    def shown() -> list[tuple[str, str, str, str, int]]:
        columns = "what, path_id, step_id, detail, toInt64(dateDiff('millisecond', toDateTime64(0, 3, 'UTC'), at))"
        found = query(migrated, f"SELECT {columns} FROM person_timeline WHERE user_id = 'u' AND kind = 'progress'").rows()
        return [(what, path, step, detail, int(moment) - MONDAY) for what, path, step, detail, moment in found]

    insert(migrated, traits(1, "a"), *at(1, "first", "one"), traits(3, "b"), traits(4, "b"), *at(6, "second", "two"))
    two, first_change = ("reached", "second", "two", "step 1", 0), ("path_changed", "second", "", "from first", 3 * HOUR - 1)
    assert shown() == [two, first_change], "every step of the new path changed since, so the newest new traits say when"
    gone = replace(progress("u", "", 0, "catalog_changed", path=""), version=8, updated_at=MONDAY + 8 * HOUR)
    insert(migrated, gone, *at(9, "third", "three"), *at(8, "third", "four"))
    changes = [first_change, ("path_changed", "third", "", "from second", 8 * HOUR)]
    four, three = ("reached", "third", "four", "step 1", 0), ("reached", "third", "three", "step 1", 0)
    assert shown() == [four, three, *changes]
    insert(migrated, replace(gone, version=10), *at(10, "third", "three"))
    assert shown() == [three, *changes], "a step left the path with another catalog"
    insert(migrated, traits(12, "c"), make(PersonFact, path_id="", version=12, last_active_at=MONDAY + 12 * HOUR))
    assert shown() == [*changes, ("path_changed", "", "", "from third", 12 * HOUR - 1)]
    insert(migrated, traits(13, "a"), make(PersonFact, path_id="first", version=13), *at(13, "first", "one"))
    assert shown()[-1] == ("path_changed", "first", "", "from third", 13 * HOUR - 1)


def test_the_timeline_tells_guidance_that_was_withdrawn_before_it_was_shown_from_that_after(migrated: ClickHouse) -> None:
    insert(
        migrated,
        make(OutcomeFact, decision_id="d", kind="shown", arm="tip", occurred_at=MONDAY, version=1),
        make(OutcomeFact, decision_id="d", kind="withdrawn", arm="tip", occurred_at=MONDAY + 1, version=2),
        make(OutcomeFact, decision_id="e", kind="withdrawn", arm="tip", occurred_at=MONDAY + 2, version=3),
    )
    _, timeline = read_timeline(Facts(migrated), "t", "u")
    assert [each["inWords"] for each in as_records(timeline)] == [
        "tip reached the screen",
        "tip withdrawn after it was shown: neither success nor failure",
        "tip withdrawn before it was shown",
    ]


def test_exposures_that_belong_to_no_recommendation_are_counted_with_an_example(migrated: ClickHouse) -> None:
    def event(event_id: str, user: str, payload: str, at: int, kind: str = "recommendation_clicked") -> EventFact:
        return make(
            EventFact, user_id=user, event_id=event_id, event_type=kind, payload=payload, status="applied", timestamp=at, log_time=at
        )

    shown = make(
        RecommendationFact, user_id="a", recommendation_id="d1.arm.mac", ui_component="tooltip", created_at=MONDAY,
        expires_at=MONDAY + 2 * HOUR, version=1,
    )  # fmt: skip
    insert(
        migrated,
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
    assert rows(migrated, "exposures_ignored_by_reason", "reason, events, people, example_user_id, example_event_id") == [
        ("no_current_recommendation", 2, 2, "a", "expired"),
        ("unknown_recommendation", 2, 2, "b", "another's id"),
    ]


def test_an_exposure_without_an_id_from_well_before_the_decision_belongs_to_an_earlier_one(migrated: ClickHouse) -> None:
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
    insert(migrated, decided, event("slow clock", MONDAY - skew), event("earlier", MONDAY - skew - 1), event("fast clock", MONDAY + HOUR))
    insert(migrated, event("null", MONDAY, '{"recommendationId": null}'), event("named", MONDAY - HOUR, '{"recommendationId": "d1"}'))
    assert rows(migrated, "exposures_ignored_by_reason", "reason, events, example_event_id") == [
        ("no_current_recommendation", 1, "earlier")
    ]
