"""The views of funnels, activation and groups give the numbers a person works out by hand."""

from __future__ import annotations

import io
import re

import pytest
from msgspec import structs
from rich.console import Console

from reports.evidence import load as load_evidence
from reports.facts import Facts
from reports.funnel import show_activation, show_funnels, show_time_to_activation
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.read_only_query import query
from state.duration import DAY, MINUTE
from state.records.facts import (
    CatalogFact,
    DecisionFact,
    PersonFact,
    ProgressFact,
)
from tests.sinks.view_rows import HOUR, MONDAY, STORES, insert, people, printed, progress, rows
from tests.support.facts import make

pytestmark = pytest.mark.parametrize("store_of_module", STORES, indirect=True)

pytest_plugins = ["tests.support.clickhouse_stores"]


def test_funnel_counts_each_person_on_the_path_they_are_on_now(migrated: ClickHouse) -> None:
    people(migrated)
    columns = "path_id, position, step_id, reached, completed, step_completion_rate, drop_off_rate, median_hours"
    assert rows(migrated, "funnel_by_step", columns) == [
        ("p", 1, "one", 4, 3, 0.75, 0.25, 3.0),
        ("p", 2, "two", 3, 2, 0.6667, 0.3333, 1.0),  # whoever did it ahead of its turn has no time on it
    ]
    assert rows(migrated, "drop_off_rate_by_step", "step_id, reached, stopped_here, drop_off_rate") == [
        ("two", 3, 1, 0.3333),
        ("one", 4, 1, 0.25),
    ]


def test_a_step_nobody_reached_has_no_rate(migrated: ClickHouse) -> None:
    insert(migrated, make(PersonFact, user_id="a", path_id="p"), progress("a", "two", 2, "locked"))
    assert rows(migrated, "funnel_by_step", "reached, completed, step_completion_rate, drop_off_rate, median_hours") == [
        (0, 0, None, None, None)
    ]


def test_a_funnel_ends_at_activation_and_those_who_go_on_are_counted_beside_it(migrated: ClickHouse) -> None:
    at = MONDAY + 2 * HOUR
    for user in ("stops", "goes on", "did it before"):
        insert(
            migrated,
            make(PersonFact, user_id=user, path_id="p", activated_at=at),
            progress(user, "one", 1, "completed", since=MONDAY, done=at),
        )
    insert(
        migrated,
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
    assert rows(migrated, "funnel_by_step", columns) == [
        ("one", 4, 3, 0.75, 0.25, 2.0, 0, 0),  # the step that completes the activation is part of the way
        ("two", 1, 1, 1.0, 0.0, None, 2, 1),
        ("three", 0, 0, None, None, None, 2, 1),
    ]


def test_who_went_on_without_a_step_has_not_dropped_off_there(migrated: ClickHouse) -> None:
    """Optional steps, several that lead to the same, steps out of turn; activation. In a path of strict order only to go on is to pass."""
    at = MONDAY + HOUR
    insert(
        migrated,
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
    assert rows(migrated, "drop_off_rate_by_step", columns) == [("two", 3, 0, 1, 0.3333), ("one", 6, 4, 1, 0.1667)]
    columns = "step_id, reached, completed, passed, step_completion_rate, drop_off_rate"
    assert rows(migrated, "funnel_by_step", columns) == [("one", 6, 1, 4, 0.1667, 0.1667), ("two", 3, 2, 0, 0.6667, 0.3333)]
    skips = [progress("skips", "one", 1, "current", since=MONDAY, path="s"), progress("skips", "two", 2, "completed", done=at, path="s")]
    insert(migrated, make(PersonFact, user_id="skips", path_id="s"), *(structs.replace(each, path_order="strict") for each in skips))
    found = rows(migrated, "funnel_by_step WHERE path_id = 's'", "step_id, reached, completed, passed")
    assert found == [
        ("one", 1, 0, 0),
        ("two", 1, 1, 0),
    ]


def test_what_is_completed_after_activation_is_not_completed_before_it(migrated: ClickHouse) -> None:
    """They came to the step, activated without it, and did it later."""
    at = MONDAY + HOUR
    for user in ("later", "never"):
        done = at + 72 * HOUR if user == "later" else 0
        insert(
            migrated,
            make(PersonFact, user_id=user, path_id="p", activated_at=at),
            progress(user, "one", 1, "completed" if done else "current", since=MONDAY, done=done),
            progress(user, "two", 2, "completed", done=at),
        )
    columns = "step_id, reached, completed, passed, drop_off_rate, median_hours, activated_before, completed_after_activation"
    assert rows(migrated, "funnel_by_step", columns) == [("one", 2, 0, 2, 0.0, None, 0, 1), ("two", 2, 2, 0, 0.0, None, 0, 0)]
    said = printed(show_funnels, migrated)
    assert "completed after activation: one 1" in said
    assert "before the rest" not in said


def test_a_step_that_was_completed_before_it_became_current_has_no_time(migrated: ClickHouse) -> None:
    """Rows of visitors who signed in have it, where an older release wrote them."""
    insert(
        migrated,
        *(make(PersonFact, user_id=user, path_id="p") for user in ("visited", "did it")),
        progress("visited", "one", 1, "completed", since=MONDAY + HOUR, done=MONDAY),
        progress("did it", "one", 1, "completed", since=MONDAY, done=MONDAY + 3 * HOUR),
    )
    assert rows(migrated, "funnel_by_step", "reached, completed, median_hours") == [(2, 2, 3.0)]


def test_a_step_that_left_the_path_is_not_in_the_funnel_of_those_who_met_the_new_catalog(migrated: ClickHouse) -> None:
    """`two` was taken out, and `three` came before `one`. Who has not met that catalog is still on the old path."""

    def met(user: str, *steps: ProgressFact) -> list[ProgressFact]:
        marker = progress(user, "", 0, "catalog_changed", path="")
        return [structs.replace(each, version=5, updated_at=MONDAY + 9 * HOUR) for each in (marker, *steps)]

    for user in ("met", "asleep"):
        insert(
            migrated,
            make(PersonFact, user_id=user, path_id="p"),
            progress(user, "one", 1, "completed", since=MONDAY, done=MONDAY + HOUR),
            progress(user, "two", 2, "current", since=MONDAY + HOUR),
            progress(user, "three", 3, "locked"),
        )
    columns = "step_id, position, reached, passed"
    assert rows(migrated, "funnel_by_step", columns) == [("one", 1, 2, 0), ("two", 2, 2, 0), ("three", 3, 0, 0)]
    one = progress("met", "one", 2, "completed", since=MONDAY, done=MONDAY + HOUR)
    insert(migrated, *met("met", progress("met", "three", 1, "current", since=MONDAY + 9 * HOUR), one))
    assert rows(migrated, "path_steps WHERE user_id = 'met' ORDER BY position", "step_id, position") == [("three", 1), ("one", 2)]
    assert rows(migrated, "funnel_by_step", columns) == [("three", 1, 1, 1), ("one", 2, 2, 0), ("two", 2, 1, 0)]
    loaded = load_evidence(lambda sql, **parameters: query(migrated, sql, parameters), "t").progress
    assert sorted(loaded.filter(user_id="met")["step_id"]) == ["one", "three"]


def test_who_activates_before_signing_up_is_timed_from_the_first_event(migrated: ClickHouse) -> None:
    at = MONDAY + HOUR
    insert(
        migrated,
        make(PersonFact, user_id="tried", path_id="p", first_seen_at=MONDAY, activated_at=at, signup_at=MONDAY + 48 * HOUR),
        make(PersonFact, user_id="signed up", path_id="p", first_seen_at=MONDAY - HOUR, signup_at=MONDAY, activated_at=MONDAY + 3 * HOUR),
    )  # fmt: skip
    for view in ("activation", "activation_by_cohort", "experiment_groups", "time_to_activation_p50_hours"):
        assert rows(migrated, view, "time_to_activation_p50_hours") == [(2.0,)], view
    said = printed(show_time_to_activation, migrated)
    assert "p25 1.5 h, p50 2.0 h" in said
    assert _buckets(said) == [("1–2 h", 1), ("2–4 h", 1)]


def _buckets(said: str) -> list[tuple[str, int]]:
    rows = [re.fullmatch(r"  (\S.*?)  +([\d,]+)  █*\s*", line) for line in said.splitlines()]
    return [(row[1], int(row[2].replace(",", ""))) for row in rows if row is not None]


@pytest.mark.parametrize(
    ("taken", "buckets"),
    [
        ([0, 0, 0], [("under 1 s", 3)]),
        ([HOUR], [("1–2 h", 1)]),
        ([20_000, 40_000, 70_000], [("10–30 s", 1), ("30 s–1 min", 1), ("1–2 min", 1)]),
        ([MINUTE + 1] * 100 + [40 * DAY], [("1–2 min", 100), ("over 2 min", 1)]),
        ([day * DAY for day in range(100, 300)], [("90–120 d", 20), ("120–180 d", 60), ("180–270 d", 90), ("270 d–1 y", 30)]),
        ([4 * 365 * DAY, 6 * 365 * DAY], [("2–5 y", 1), ("over 5 y", 1)]),
    ],
)
def test_times_to_activation_are_counted_on_a_scale_that_fits_them(
    migrated: ClickHouse, taken: list[int], buckets: list[tuple[str, int]]
) -> None:
    users = [
        make(PersonFact, user_id=f"u{n}", path_id="p", first_seen_at=MONDAY, signup_at=MONDAY, activated_at=MONDAY + each)
        for n, each in enumerate(taken)
    ]
    insert(migrated, *users)
    assert _buckets(printed(show_time_to_activation, migrated)) == buckets


def test_a_wide_scale_has_few_rows(migrated: ClickHouse) -> None:
    users = [
        make(PersonFact, user_id=f"u{n}", path_id="p", first_seen_at=MONDAY, signup_at=MONDAY, activated_at=MONDAY + 1000 * 2**n)
        for n in range(27)
    ]
    insert(migrated, *users)
    found = _buckets(printed(show_time_to_activation, migrated))
    assert sum(number for _, number in found) == 27
    assert 5 <= len(found) <= 10


def test_activation(migrated: ClickHouse) -> None:
    people(migrated)
    measures = "activated, activation_rate, time_to_activation_p50_hours"
    assert rows(migrated, "activation", f"people, started, onboarding_start_rate, {measures}") == [(4, 3, 0.75, 2, 0.5, 4.0)]
    assert rows(migrated, "activation_by_cohort", f"toString(signup_week), path_id, user_persona, people, {measures}") == [
        ("2026-01-05", "p", "dev", 3, 2, 0.6667, 4.0),
        ("2026-01-12", "p", "ops", 1, 0, 0.0, None),
    ]


def test_experiment_groups_count_by_assignment(migrated: ClickHouse) -> None:
    people(migrated)
    assert rows(migrated, "experiment_groups", "experiment_group, people, activated, activation_rate, standard_error") == [
        ("adaptive", 3, 2, 0.6667, 0.2722),
        ("holdout", 1, 0, 0.0, 0.0),
    ]


def test_who_does_not_begin_the_onboarding_is_in_no_funnel_and_no_rate(migrated: ClickHouse) -> None:
    """By `starts` in the catalog. Their steps are locked until they complete them: in a funnel all of them would have completed."""
    before = ["drop_off_rate_by_step", "funnel_by_step", "activation_by_cohort", "activation", "activation_rate", "path_steps"]
    people(migrated)
    expected = {view: query(migrated, f"SELECT * FROM {view} ORDER BY ALL").rows() for view in before}
    insert(
        migrated,
        *(
            make(PersonFact, user_id=f"old {n}", path_id="p", experiment_group="existing", signup_at=MONDAY, activated_at=MONDAY)
            for n in range(9)
        ),
        *(progress(f"old {n}", "one", 1, "completed", done=MONDAY) for n in range(9)),
        progress("old 0", "two", 2, "locked"),
    )  # fmt: skip
    assert {view: query(migrated, f"SELECT * FROM {view} ORDER BY ALL").rows() for view in before} == expected
    assert rows(migrated, "experiment_groups", "experiment_group, people") == [("adaptive", 3), ("existing", 9), ("holdout", 1)]
    assert rows(migrated, "features", "count()") == [(13,)], "one row for each user"
    said = printed(show_activation, migrated) + printed(show_time_to_activation, migrated)
    assert "2 of 4 users, 50.0 %" in said
    assert "existing" not in said
    assert "9 other users are not counted: by `starts` of the catalog they do not begin the onboarding." in said
    assert "p50 4.0 h" in said


def test_who_began_later_has_one_group(migrated: ClickHouse) -> None:
    """Before the sign-up, with which the onboarding begins, a decision says that they do not begin."""
    insert(migrated, make(PersonFact, experiment_group="rules"), make(PersonFact, user_id="v", experiment_group="existing"))
    for user, group in (("u", "existing"), ("u", "rules"), ("v", "existing")):
        insert(migrated, make(DecisionFact, decision_id=f"{user} {group}", user_id=user, experiment_group=group, outcome="declined"))
    assert rows(migrated, "experiment_allocation_consistency", "people, consistent") == [(1, 1)]


def test_experiment_groups_leave_out_who_signed_up_without_guidance(migrated: ClickHouse) -> None:
    states = ("on", "guidance_paused", "outside_ramp")
    insert(migrated, *(make(PersonFact, user_id=each, experiment_group="adaptive", guidance_at_signup=each) for each in states))
    assert rows(migrated, "experiment_groups", "experiment_group, people") == [("adaptive", 1)]


def test_who_came_while_the_catalog_only_observed_is_in_no_group_that_is_compared(migrated: ClickHouse) -> None:
    """Of those only who returned has a group that was drawn: the others would make the holdout one of users who never came back."""
    insert(migrated, make(CatalogFact, catalog_version="p@1", holdout=1.0), make(CatalogFact, catalog_version="p@2", holdout=0.5))
    entered = [("holdout", "p@1", 0)] * 5 + [("adaptive", "p@1", MONDAY)] * 3 + [("adaptive", "p@2", MONDAY), ("holdout", "p@2", 0)]
    entered += [("holdout", "", MONDAY), ("existing", "p@1", 0), ("merged", "p@1", 0)]
    insert(
        migrated,
        *(
            make(PersonFact, user_id=str(n), experiment_group=group, entered_under=version, activated_at=activated)
            for n, (group, version, activated) in enumerate(entered)
        ),
    )
    assert rows(migrated, "experiment_groups", "experiment_group, people, activated") == [
        ("adaptive", 1, 1),
        ("existing", 1, 0),
        ("holdout", 2, 1),
        ("observing", 8, 3),
    ]
    console = Console(file=io.StringIO(), width=140)
    show_activation(console, Facts(migrated), "t")
    assert isinstance(console.file, io.StringIO)
    said = " ".join(console.file.getvalue().split())
    assert "observing 8 3 37.5 %" in said
    assert "observing: came while the catalog only observed, so their group was not drawn at the start. Do not compare them" in said
