"""The scorecard of the alarms gives the numbers a person works out by hand, on held-out people alone."""

from __future__ import annotations

import pytest
from msgspec import structs

from sinks.clickhouse.client import ClickHouse
from state.records.facts import PersonFact, ProgressFact, SignalFact, StepStatisticFact
from tests.sinks.test_clickhouse_views import HOUR, MONDAY, STORES, insert, progress, rows
from tests.support.facts import make

pytestmark = pytest.mark.parametrize("store_of_module", STORES, indirect=True)

pytest_plugins = ["tests.support.clickhouse_stores"]

DAY = 24 * HOUR


def person(user: str, group: str = "holdout", *, activated: int = 0) -> PersonFact:
    return make(
        PersonFact, user_id=user, path_id="p", experiment_group=group, last_active_at=MONDAY + 3 * DAY, activated_at=activated
    )  # fmt: skip


def current(user: str, done: int = 0, since: int = MONDAY) -> ProgressFact:
    return progress(user, "one", 1, "completed" if done else "current", since=since, done=done)


def alarm(user: str, after: int, trigger: str = "stuck:inactive", score: float = 0.9, ident: str = "") -> SignalFact:
    return make(
        SignalFact, signal_id=ident or user, user_id=user, trigger=trigger, path_id="p", step_id="one", score=score,
        detected_at=MONDAY + after,
    )  # fmt: skip


@pytest.fixture
def judged(migrated: ClickHouse) -> ClickHouse:
    """H is 20 h. Stuck: found (twice, the first counts), late, missed. Not stuck: alarmed in vain. Not counted: guided, too young."""
    insert(
        migrated,
        *(person(user) for user in ("found", "late", "missed", "vain", "fast", "young")),
        person("guided", "adaptive"),
        current("found"), current("late", MONDAY + 40 * HOUR), current("missed"), current("vain", MONDAY + 15 * HOUR),
        current("fast", MONDAY + HOUR), current("young", since=MONDAY + 3 * DAY - HOUR), current("guided"),
        alarm("found", 6 * HOUR), alarm("found", 9 * HOUR, "stuck:errors", ident="again"), alarm("late", 11 * HOUR, "stuck:errors"),
        alarm("vain", 8 * HOUR, score=0.8), alarm("guided", HOUR), alarm("young", 3 * DAY),
        make(StepStatisticFact, step_id="one", parameters_version=1, horizon_ms=5.0 * HOUR),
        make(StepStatisticFact, step_id="one", parameters_version=2, horizon_ms=20.0 * HOUR),
        make(StepStatisticFact, step_id="*", parameters_version=2),
    )  # fmt: skip
    return migrated


def test_the_scorecard_by_step(judged: ClickHouse) -> None:
    columns = "step_id, episodes, stuck_people, alarms, matched_alarms, precision, recall, recovered_alone, lead_hours"
    assert rows(judged, "stuck_scorecard_by_step", columns) == [("one", 5, 3, 3, 1, 0.3333, 0.3333, 0.3333, 14.0)]


def test_the_scorecard_by_trigger(judged: ClickHouse) -> None:
    columns = "trigger, alarms, matched_alarms, precision, found, mean_score, recovered_alone, lead_hours"
    assert rows(judged, "stuck_scorecard_by_trigger", columns) == [
        ("stuck:inactive", 2, 1, 0.5, 0.3333, 0.85, 0.5, 14.0),
        ("stuck:errors", 1, 0, 0.0, 0.0, 0.9, 0.0, None),
    ]


def test_nobody_is_stuck_after_activation_or_at_a_step_that_they_left(judged: ClickHouse) -> None:
    """As ``evaluation.episodes`` has it: where the order of the path matters, to complete a later step first is not to leave this one."""

    def two(user: str, position: int, *, since: int = 0, done: int = 0, order: str = "free") -> ProgressFact:
        row = progress(user, "two", position, "completed" if done else "current", since=since, done=done)
        return structs.replace(row, path_order=order)

    insert(
        judged,
        person("activated before", activated=MONDAY - 1), current("activated before"), alarm("activated before", HOUR),
        person("activated", activated=MONDAY + 20 * HOUR), current("activated"),
        person("activated late", activated=MONDAY + 20 * HOUR + 1), current("activated late"),
        person("moved on"), current("moved on", MONDAY + 30 * HOUR), two("moved on", 2, since=MONDAY + 9 * HOUR),
        person("ahead"), current("ahead"), two("ahead", 2, done=MONDAY + 9 * HOUR),
        person("long ahead"), current("long ahead"), two("long ahead", 2, done=MONDAY - HOUR),
        person("behind"), current("behind"), two("behind", 0, done=MONDAY + 9 * HOUR),
        person("strict"), structs.replace(current("strict"), path_order="strict"), two("strict", 2, done=MONDAY + 9 * HOUR, order="strict"),
    )  # fmt: skip
    columns = "user_id, stuck, round(ended_after_ms / 3600000)"
    new = "WHERE step_id = 'one' AND user_id NOT IN ('found', 'late', 'missed', 'vain', 'fast') ORDER BY user_id"
    assert rows(judged, f"stuck_episodes {new}", columns) == [
        ("activated", 0, 20.0),
        ("activated late", 1, 20.0),
        ("ahead", 0, 9.0),
        ("behind", 1, None),
        ("long ahead", 0, 0.0),
        ("moved on", 0, 9.0),
        ("strict", 1, None),
    ]
    assert rows(judged, "stuck_scorecard_by_step WHERE step_id = 'one'", "episodes, stuck_people, alarms") == [(12, 6, 3)]
