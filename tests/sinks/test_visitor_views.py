"""The views know which user a visitor became."""

from __future__ import annotations

import io
from functools import partial

import pytest
from msgspec import structs
from rich.console import Console

from reports.evidence import load as load_evidence
from reports.facts import Facts
from reports.stuck import show_stuck_by_step
from reports.trust import unknown_zones
from sinks.clickhouse.client import ClickHouse
from state.decision.experiment_groups import experiment_draw
from state.records.facts import (
    DecisionFact,
    EventFact,
    PersonFact,
    SignalFact,
)
from tests.sinks.view_rows import HOUR, MONDAY, STORES, insert, rows
from tests.support.facts import make

pytestmark = pytest.mark.parametrize("store_of_module", STORES, indirect=True)

pytest_plugins = ["tests.support.clickhouse_stores"]


def test_a_visitor_became_the_first_user_who_named_it(migrated: ClickHouse) -> None:
    """Also by an event that was late, or of a visitor that was merged itself: the job merges upon both."""
    other = '{"previousId": "cookie-0"}'
    named = partial(make, EventFact, event_type="identity_merged", payload='{"previousId": "cookie-1"}', status="applied")
    insert(
        migrated,
        named(user_id="second", event_id="2", timestamp=MONDAY - HOUR, log_time=MONDAY + HOUR),  # it came later, from a slow device
        named(user_id="first", event_id="1", timestamp=MONDAY, log_time=MONDAY),
        named(user_id="first", event_id="1", timestamp=MONDAY, log_time=MONDAY),
        named(user_id="first", event_id="5", timestamp=MONDAY + 1, log_time=MONDAY + 1),
        named(user_id="late", event_id="3", timestamp=MONDAY - HOUR, log_time=MONDAY - HOUR, status="late", payload=other),
        named(user_id="merged", event_id="6", timestamp=MONDAY, log_time=MONDAY, status="merged", payload=other),
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
    assert rows(migrated, "merged_visitors ORDER BY visitor_id", "visitor_id, user_id, toUnixTimestamp64Milli(merged_at)") == [
        ("cookie-0", "late", MONDAY - HOUR),
        ("cookie-1", "first", MONDAY),
    ]
    evidence = load_evidence(Facts(migrated).frame, "t", until=0)
    assert evidence.visitors.sort("visitor_id").rows()[1:] == [("first", "cookie-1", MONDAY, experiment_draw("t", "cookie-1"))]
    assert evidence.events_from == MONDAY - HOUR


def test_the_key_says_whose_a_visitor_is_and_events_only_where_nobody_has_it(migrated: ClickHouse) -> None:
    """`ben` named `phone` first, which was refused. Nobody has the key of `tablet`: the row of `ana` under another one is newer, say."""
    keys = {"ana": "a", "phone": "a", "laptop": "a", "ben": "b", "kiosk": "b", "tablet": "gone", "old": "", "zoe": "", "cleo": "c"}
    users = {"ana", "ben", "zoe", "cleo"}
    for user, key in keys.items():
        insert(migrated, make(PersonFact, user_id=user, person_key=key, experiment_group="holdout" if user in users else "merged"))
    insert(migrated, make(PersonFact, tenant_id="another", user_id="eve", person_key="c", experiment_group="merged"))
    for at, (previous, user) in enumerate([("phone", "ben"), ("phone", "ana"), ("tablet", "ana"), ("old", "zoe"), ("cleo", "ben")]):
        payload = f'{{"previousId": "{previous}"}}'
        merge = make(EventFact, user_id=user, event_id=f"{at}", event_type="identity_merged", payload=payload, status="applied")
        insert(migrated, structs.replace(merge, log_time=MONDAY + at))
    expected = {"phone": "ana", "laptop": "ana", "kiosk": "ben", "tablet": "ana", "old": "zoe"}
    assert sorted(rows(migrated, "users_of_visitors", "visitor_id, user_id")) == sorted(expected.items())
    merged = rows(migrated, "merged_visitors", "visitor_id, user_id, toUnixTimestamp64Milli(merged_at) - 1767571200000")
    assert {visitor: (user, at) for visitor, user, at in merged} == {
        "phone": ("ana", 1), "laptop": ("ana", None), "kiosk": ("ben", None), "tablet": ("ana", 2), "old": ("zoe", 3), "cleo": ("ben", 4),
    }  # fmt: skip


def test_ids_that_name_each_other_are_the_user_among_them(migrated: ClickHouse) -> None:
    """`yan` names a visitor that another visitor named before; `ben` one that is `ana`'s, which is refused; `zoe` is three ids away."""
    merges = [("phone", "laptop"), ("phone", "yan"), ("kiosk", "ana"), ("kiosk", "ben"), ("one", "two"), ("two", "three"), ("three", "zoe")]
    users = {"yan", "ana", "ben", "zoe"}
    for user in sorted({each for pair in merges for each in pair}):
        insert(migrated, make(PersonFact, user_id=user, experiment_group="holdout" if user in users else "merged"))
    for at, (previous, user) in enumerate(merges):
        payload = f'{{"previousId": "{previous}"}}'
        insert(
            migrated,
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
    found = dict(rows(migrated, "users_of_visitors", "visitor_id, user_id"))
    assert found == {"phone": "yan", "laptop": "yan", "kiosk": "ana", "three": "zoe", "two": "zoe"}


def test_a_visitor_who_signed_in_counts_as_that_user_wherever_users_are_counted(migrated: ClickHouse) -> None:
    """`laptop` named `phone`, and `ana` named `laptop`; that `ben` named `cleo`, a user, was refused."""

    def merge(previous: str, user: str) -> EventFact:
        payload = f'{{"previousId": "{previous}"}}'
        return make(EventFact, user_id=user, event_id=previous, event_type="identity_merged", payload=payload, status="applied")

    groups = {"phone": "merged", "laptop": "merged", "ana": "holdout", "ben": "holdout", "cleo": "holdout"}
    insert(migrated, *(make(PersonFact, user_id=user, experiment_group=group) for user, group in groups.items()))
    insert(migrated, merge("phone", "laptop"), merge("laptop", "ana"), merge("cleo", "ben"))
    for user in groups:
        zone = '{"traits": {"timezone": "Mars/Olympus"}}'
        insert(
            migrated,
            make(DecisionFact, decision_id=user, user_id=user, trigger="signup", outcome="declined", reason="holdout"),
            make(SignalFact, signal_id=user, user_id=user, trigger="stuck:errors", step_id="one"),
            make(EventFact, user_id=user, event_id=f"{user} shown", event_type="recommendation_shown", payload="{}", status="applied"),
            make(EventFact, user_id=user, event_id=f"{user} zone", event_type="identify", payload=zone, status="applied"),
        )
    assert rows(migrated, "users_of_visitors ORDER BY visitor_id", "visitor_id, user_id") == [("laptop", "ana"), ("phone", "ana")]
    assert rows(migrated, "non_decisions_by_reason", "non_decisions, people") == [(5, 3)]
    assert rows(migrated, "stuck_signals_by_trigger", "signals, people") == [(5, 3)]
    assert rows(migrated, "stuck_signals_by_step", "signals, people") == [(5, 3)]
    assert rows(migrated, "exposures_ignored_by_reason", "events, people") == [(5, 3)]
    assert unknown_zones(Facts(migrated), "t") == [{"tenantId": "t", "timezone": "Mars/Olympus", "people": 3}]
    console = Console(file=io.StringIO(), width=140)
    show_stuck_by_step(console, Facts(migrated), "t")
    assert isinstance(console.file, io.StringIO)
    assert "one stuck:errors 5 3" in " ".join(console.file.getvalue().split())
