"""The comparison of the groups in words: what was left out, why there is nothing to compare, and when sizes cannot be checked."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console

from evaluation.evidence import Evidence
from reports.effect import AROUND, show_effect
from reports.plots.lift import title
from reports.report_json import report_json
from reports.run_report import RunReport, build_report
from reports.trust import show_trust
from state.duration import DAY, HOUR
from tests.cli.effect_people import BOTH, LEARNED, people
from tests.evaluation.cases import START
from tests.evaluation.groups import catalog, considered


def _said(
    of: list[dict[str, Any]],
    holdouts: dict[str, float],
    *,
    rules: float = 0.0,
    decisions: Sequence[dict[str, Any]] = (),
    visitors: Sequence[dict[str, Any]] = (),
) -> str:
    catalogs = [catalog(version, share, rules) for version, share in holdouts.items()]
    evidence = Evidence.of(until=START + 30 * DAY, people=of, decisions=decisions, catalogs=catalogs, visitors=visitors)
    return _printed(build_report(evidence, LEARNED))


def _printed(report: RunReport) -> str:
    console = Console(file=io.StringIO(), width=200)
    show_effect(console, report)
    show_trust(console, report)
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


def test_where_everybody_held_out_activates_no_number_of_users_is_asked_for() -> None:
    said = _said(people(BOTH, activated_at=START + HOUR), {"p@1": 0.5})
    assert "So far everybody held out activated: guidance cannot raise that, and this catalog cannot tell who stays." in said
    assert "too few to prove" not in said
    few = _said(people({"holdout": 19, "adaptive": 20}, activated_at=START + HOUR), {"p@1": 0.5})
    assert "39 users are too few to prove that guidance helps." in few
    assert "40 users are too few to prove that guidance helps." in _said(people(BOTH), {"p@1": 0.5})


@pytest.mark.parametrize(
    ("of", "holdouts", "sentence"),
    [
        ([], {}, "No user signed up 7 days ago or longer, so there is nothing to compare yet."),
        (people({"existing": 3}), {}, "No other user signed up 7 days ago or longer, so there is nothing to compare yet."),
        (people({"adaptive": 9}), {"p@1": 0.0}, "The catalog holds nobody out (`holdout: 0`), so there is nobody to compare with."),
        (people({"adaptive": 9}), {"p@1": 0.1}, "compared yet: holdout has no user who signed up 7 days ago or longer."),
        (
            people({"adaptive": 9}, signup_at=0),
            {"p@1": 0.1},
            "compared yet: holdout has no user who began 7 days ago or longer.",
        ),
        (people({"holdout": 9}), {"p@1": 0.1}, "compared yet: adaptive has no user who signed up 7 days ago or longer."),
        (
            [*people({"holdout": 9}), *people({"adaptive": 9}, "p@2")],
            {"p@1": 0.5, "p@2": 0.1},
            "compared yet: no two users of different groups were drawn by the same shares.",
        ),
    ],
)
def test_where_nothing_can_be_compared_the_sentence_says_why(of: list[dict[str, Any]], holdouts: dict[str, float], sentence: str) -> None:
    assert sentence in _said(of, holdouts)


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        (people({"existing": 3}), "3 users are left out: they do not begin the onboarding, by `starts` of the catalog."),
        (people(BOTH, signup_at=0), "40 users are left out: they have no sign-up event, and no guidance was considered for them."),
        (people({"holdout": 1}, "p@0"), "1 user is left out: they came while the catalog only observed"),
        (people({"holdout": 4}, "gone"), "4 users are left out: it is not known by which shares their group was drawn."),
        (people({"adaptive": 4}, guidance_at_signup="guidance_paused"), "4 users are left out: at sign-up guidance was paused"),
    ],
)
def test_who_is_left_out_is_said_with_the_reason(others: list[dict[str, Any]], sentence: str) -> None:
    holdouts = {"p@0": 1.0, "p@1": 0.5}
    said = _said([*people(BOTH), *others], holdouts)
    assert sentence in said
    assert "40 users; 0 are too new to count" in said
    assert "left out" not in _said(people(BOTH), holdouts)


def test_a_log_without_sign_ups_is_compared_from_the_first_event_on() -> None:
    said = _said(people(BOTH, signup_at=0), {"p@1": 0.5})
    assert "Activation within 7 days of the first event 40 users" in said
    assert "adaptive − holdout +0.0" in said
    assert "no sign-up event" not in said


def test_who_counts_from_a_decision_on_is_said() -> None:
    visitors = people({"holdout": 3}, signup_at=0)
    said = _said([*people(BOTH), *visitors], {"p@1": 0.5}, decisions=[considered(each, START) for each in visitors])
    assert "Activation within 7 days of sign-up or the first decision 43 users" in said
    assert "3 users count from the first decision about them, which came before a sign-up or without one." in said
    assert "first decision" not in _said(people(BOTH), {"p@1": 0.5})


@pytest.mark.parametrize(
    ("signed_in", "sentence"),
    [
        (1, "1 visitor who signed in as a user from before counts beside the user, in the visitor's own group."),
        (2, "2 visitors who signed in as users from before count beside the user, in the visitor's own group."),
    ],
)
def test_how_many_visitors_count_beside_the_user_that_they_are_is_said(signed_in: int, sentence: str) -> None:
    users = [{**each, "visitor_draw": -1.0} for each in people(BOTH)]
    visitors = people({"holdout": 2}, signup_at=0, activated_at=0)
    decisions = [*(considered(each, START) for each in visitors), *(considered(each, START, "signup") for each in users)]
    merges = [
        {"user_id": user["user_id"], "visitor_id": visitor["user_id"], "merged_at": START + HOUR, "draw": 0.5}
        for user, visitor in zip(users, visitors[:signed_in], strict=False)
    ]
    visitors = [{**each, "experiment_group": "merged"} if number < signed_in else each for number, each in enumerate(visitors)]
    said = _said([*users, *visitors], {"p@1": 0.5}, decisions=decisions, visitors=merges)
    assert sentence in said
    assert "42 users; 0 are too new to count" in said
    assert "beside the user" not in _said(people(BOTH), {"p@1": 0.5})


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        (1, "1 user does not begin the onboarding now and counts in the group in which guidance was considered for them."),
        (2, "2 users do not begin the onboarding now and count in the group in which guidance was considered for them."),
    ],
)
def test_how_many_users_count_who_do_not_begin_now_is_said(size: int, sentence: str) -> None:
    left, never = people({"existing": size}), people({"existing": 1}, activated_at=0)
    decisions = [considered({**each, "experiment_group": "holdout"}, START, "signup") for each in left]
    said = _said([*people(BOTH), *left, *never], {"p@1": 0.5}, decisions=decisions)
    assert f"{sentence} Under “Activation so far” they do not count." in said
    assert f"{40 + size} users; 0 are too new to count" in said
    assert "1 user is left out: they do not begin the onboarding, by `starts` of the catalog." in said
    assert "begin the onboarding now" not in _said([*people(BOTH), *never], {"p@1": 0.5})


def test_who_came_when_decisions_were_made_that_are_deleted_by_now_is_left_out_and_it_is_said() -> None:
    visitors = people({"holdout": 3}, signup_at=0, first_seen_at=START + 2 * DAY)
    moments = [("stuck:errors", START + 2 * DAY), ("step_completed", START + HOUR)]
    decisions = [considered(each, at, trigger) for trigger, at in moments for each in visitors]
    said = _said([*people(BOTH), *visitors], {"p@1": 0.5}, decisions=decisions)
    assert "3 users; 0 are too new to count" in said
    assert "40 users are left out: they came when decisions were made that are no longer stored" in said


def test_where_the_group_sizes_are_not_as_promised_nothing_is_proven() -> None:
    """Rows of users are missing in one group, so the groups do not hold the same kind of users any more."""
    held_out, guided = people({"holdout": 400}, activated_at=0), people({"adaptive": 250}, activated_at=START + HOUR)
    report = build_report(Evidence.of(until=START + 30 * DAY, people=[*held_out, *guided], catalogs=[catalog("p@1", 0.5)]), LEARNED)
    [lift] = report.effect.lifts
    assert lift.lower > 0
    said = _printed(report)
    assert "Do not believe this yet: the sizes of the groups are not as promised (holdout 400, adaptive 250; p = " in said
    assert "Proven" not in said
    assert "too few" not in said
    assert title(report) == "Do not believe this yet: the sizes of the groups are not as promised"
    json = report_json(report)
    assert (json["groupSizesAsPromised"], json["liftClaimed"], json["liftProven"]) == (False, False, None)
    assert [(each["claimed"], each["claimedAfter"], each["proven"]) for each in json["lifts"]] == [(False, None, None)]
    guided = people({"adaptive": 400}, activated_at=START + HOUR)
    whole = build_report(Evidence.of(until=START + 30 * DAY, people=[*held_out, *guided], catalogs=[catalog("p@1", 0.5)]), LEARNED)
    assert "Proven: adaptive beats holdout after" in _printed(whole)
    assert report_json(whole)["groupSizesAsPromised"] is True
    assert report_json(whole)["liftProven"] == "better"


def test_shares_that_changed_are_named() -> None:
    said = _said([*people(BOTH), *people({"holdout": 5, "adaptive": 45}, "p@2")], {"p@1": 0.5, "p@2": 0.1})
    assert "The shares of the groups changed: 50 % held out, then 10 % held out." in said
    assert "a lift is not the difference of the rates above" in said
    assert "The shares of the groups changed" not in _said(people(BOTH), {"p@1": 0.5})


def test_the_confidence_of_each_comparison_is_named() -> None:
    assert "The intervals (95 %) stay valid" in _said(people(BOTH), {"p@1": 0.5})
    with_rules = _said(people({**BOTH, "rules": 20}), {"p@1": 0.3}, rules=0.3)
    each = "95 % for adaptive − holdout, 97.5 % for rules − holdout and adaptive − rules"
    assert f"The intervals ({each}) stay valid however often you look." in with_rules


def test_it_says_that_an_interval_is_not_around_the_measured_lift() -> None:
    assert AROUND in _said(people(BOTH), {"p@1": 0.5})


def test_with_unknown_shares_it_says_that_nothing_is_proven_and_that_sizes_cannot_be_checked() -> None:
    said = _said(people({"holdout": 400, "adaptive": 400}), {})
    assert "group sizes cannot be checked: it is not known by which shares the groups were drawn" in said
    assert "Nothing is proven: it is not known by which shares the groups were drawn." in said
    assert "stay valid" not in said
    assert "group sizes" not in _said(people({"existing": 3}), {})
    known = _said(people({"holdout": 400, "adaptive": 400}), {"p@1": 0.5})
    assert "group sizes as promised" in known
    assert "stay valid however often you look" in known
