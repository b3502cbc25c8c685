"""The scorecard of the alarms gives the numbers a person works out by hand, on held-out people alone."""

from __future__ import annotations

import pytest

from sinks.clickhouse.client import ClickHouse
from state.records.facts import PersonFact, ProgressFact, SignalFact, StepStatisticFact
from tests.sinks.test_clickhouse_views import HOUR, MONDAY, STORES, insert, progress, rows
from tests.support.facts import make

pytestmark = pytest.mark.parametrize("store_of_module", STORES, indirect=True)

pytest_plugins = ["tests.support.clickhouse_stores"]

DAY = 24 * HOUR


def person(user: str, group: str = "holdout") -> PersonFact:
    return make(PersonFact, user_id=user, path_id="p", experiment_group=group, last_active_at=MONDAY + 3 * DAY)


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
