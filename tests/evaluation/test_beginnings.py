"""When a user begins, for the comparison of the groups: at the sign-up, or where guidance was considered before it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from evaluation.balance import people_balance
from evaluation.effect import WINDOW, effect, matured
from evaluation.evidence import Evidence
from evaluation.offline_runner import OfflineRunner
from state.catalog.plan import Plan
from state.decision.experiment_groups import experiment_draw
from state.duration import DAY, HOUR, MINUTE
from state.event_contract import DEFAULT_TENANT
from state.messages import Message
from tests.evaluation.cases import START
from tests.evaluation.groups import catalog, considered, member, primary
from tests.state import lives
from tests.support.memory_job import KEYS
from tests.support.stories import Log


def _visitors(signing_up: dict[str, float], activating: dict[str, float], seed: int, *, merged: bool = False) -> Evidence:
    """Half of 8,000 visitors are held out. All get stuck; the most eager ones then sign up, and of these the most eager activate.

    ``merged``: who signs up has another id from then on, so that guidance was considered for the visitor.
    """
    rng = np.random.default_rng(seed)
    people, decisions, visitors = [], [], []
    for index in range(8_000):
        group = "holdout" if rng.random() < 0.5 else "adaptive"
        eager, first = rng.random(), START + 60_000 * index
        signed_up = eager < signing_up[group]
        person = member(
            f"u{index}", group, signup=(first + HOUR) * signed_up, activated=HOUR if signed_up and eager < activating[group] else None
        )
        person |= {"first_seen_at": first, "entered_under": "p@1"}
        if merged and signed_up:
            visitors.append({"user_id": person["user_id"], "visitor_id": f"v{index}", "merged_at": first + HOUR})
            people.append({**person, "user_id": f"v{index}", "experiment_group": "merged", "signup_at": 0, "activated_at": 0})
            person["first_seen_at"] = person["signup_at"]
        if signed_up:
            decisions.append(considered(person, first + HOUR + 1, "signup"))
        people.append(person)
        decisions.append(considered(person, first + HOUR // 2, user=f"v{index}" if merged and signed_up else ""))
    return Evidence.of(until=START + 60 * DAY, people=people, decisions=decisions, catalogs=[catalog("p@1", 0.5)], visitors=visitors)


@pytest.mark.parametrize("merged", [False, True])
def test_who_is_guided_before_they_sign_up_counts_whether_they_do_or_not(merged: bool) -> None:
    """The same visitors activate in both groups, and guidance keeps undecided ones from signing up: of those who sign up more activate."""
    evidence = _visitors({"holdout": 0.4, "adaptive": 0.3}, {"holdout": 0.15, "adaptive": 0.15}, 1, merged=merged)
    report, lift = effect(evidence), primary(evidence)
    assert not lift.claimed
    assert lift.lower < 0 < lift.upper
    assert lift.lift == pytest.approx(0.0, abs=0.02)
    assert (lift.people, report.before_signup, report.without_signup, report.by_first_event) == (8_000, 8_000, 0, False)
    helped = primary(_visitors({"holdout": 0.3, "adaptive": 0.45}, {"holdout": 0.15, "adaptive": 0.2}, 2, merged=merged))
    assert helped.claimed
    assert helped.lift == pytest.approx(0.05, abs=0.02)


def test_the_window_begins_with_the_sign_up_unless_guidance_was_considered_before() -> None:
    stuck, late, looking, first, lost = (
        member(user, "adaptive", activated=WINDOW) for user in ("stuck", "late", "looking", "first", "lost")
    )
    looking["signup_at"] = looking["activated_at"] = 0
    evidence = Evidence.of(
        until=START + 2 * WINDOW,
        people=[stuck, late, looking, first, lost, member("h", "holdout")],
        decisions=[
            considered(stuck, START - HOUR),
            considered(late, START - HOUR, "signup"),  # the clock of the device is fast
            considered({**first, "experiment_group": "existing"}, START - HOUR),  # cannot be guided yet
            considered(first, START + HOUR),
            {**considered(lost, START - HOUR), "outcome": "declined", "reason": "no_path"},  # nor can this one, whatever the group
        ],
    )
    report = effect(evidence)
    assert {rate.group: (rate.people, rate.activated) for rate in report.groups if rate.people} == {"adaptive": (4, 3), "holdout": (1, 0)}
    assert (report.before_signup, report.without_signup) == (1, 1)


def _second_devices(guided: str, *, signing_up: bool = True) -> Evidence:
    """Guidance, of the user or of the phone's visitor, brings users to sign in on the phone as well, and nothing else.

    The phone's visitor was considered days before the sign-up; before the user's first event where nobody is ``signing_up``.
    """
    rng = np.random.default_rng(1)
    people, decisions, visitors, progress = [], [], [], []
    for index in range(8_000):
        first = START + 60_000 * index
        group, of_phone = ("holdout" if rng.random() < 0.5 else "adaptive" for _ in range(2))
        user = member(f"u{index}", group, signup=first + 5 * DAY, activated=3 * DAY if rng.random() < 0.3 else None)
        user["signup_at"] *= signing_up
        phone = {**member(f"v{index}", of_phone, signup=0), "first_seen_at": first, "entered_under": "p@1"}
        moment = "signup" if signing_up else "step_completed"
        decisions += [considered(user, first + 5 * DAY + 1, moment), considered(phone, first, "step_completed")]
        progress.append(did(phone["user_id"], first))
        if rng.random() < (0.2 if (group if guided == "user" else of_phone) == "holdout" else 0.7):
            visitors.append({"user_id": user["user_id"], "visitor_id": phone["user_id"], "merged_at": first + 6 * DAY})
            phone["experiment_group"] = "merged"
        people += [{**user, "first_seen_at": first + 5 * DAY, "entered_under": "p@1"}, phone]
    return Evidence.of(
        until=START + 90 * DAY, people=people, decisions=decisions, progress=progress, catalogs=[catalog("p@1", 0.5)], visitors=visitors
    )


def did(user: str, at: int, *, ahead: bool = False) -> dict[str, Any]:
    """Return the row of a step that ``user`` completed; ``ahead`` of its turn, or before the path was known."""
    return {"user_id": user, "path_id": "p", "step_id": "s", "current_since_at": 0 if ahead else at - MINUTE, "completed_at": at}


@pytest.mark.parametrize("guided", ["user", "phone"])
def test_who_signs_in_with_another_device_later_begins_where_they_began(guided: str) -> None:
    """The phone's visitor counts in the group that it has of its own, signed in with or not."""
    evidence = _second_devices(guided)
    report, lift, balance = effect(evidence), primary(evidence), people_balance(evidence)
    assert lift.lower < 0.0 < lift.upper
    assert lift.lift == pytest.approx(0.0, abs=0.015)
    assert (lift.people, report.before_signup, report.signed_in) == (16_000, 8_000, evidence.visitors.height)
    assert balance is not None
    assert (balance.ok, sum(balance.counts.values())) == (True, 16_000)


@pytest.mark.parametrize(("kept", "signing_up"), [(0.0, True), (0.5, True), (0.5, False), (0.8, True), (0.8, False)])
def test_where_old_decisions_are_deleted_the_groups_still_have_their_sizes(kept: float, *, signing_up: bool) -> None:
    """A visitor who signed in is in a group by the decision about it only, and one who did not also by its row, which stays."""
    whole = _second_devices("phone", signing_up=signing_up)
    oldest = START + round((1 - kept) * 8_000) * 60_000 + (0 if kept else 99 * DAY)
    evidence = replace(whole, decisions=whole.decisions.filter(pl.col("decided_at") >= oldest))
    balance, lift = people_balance(evidence), primary(evidence)
    assert balance is not None
    assert (balance.ok, sum(balance.counts.values())) == (True, lift.people)
    assert lift.lower < 0.0 < lift.upper
    assert lift.people >= 8_000 if signing_up else lift.people > kept * 8_000


def test_a_new_app_without_sign_ups_leaves_nobody_out() -> None:
    """A visitor may sign in days before anything is considered, which happens once a step is completed as the current one."""
    evidence = _second_devices("phone", signing_up=False)
    looked = {**member("looked", "merged", signup=0), "first_seen_at": START - 3 * DAY}
    early = Evidence.of(
        until=0,
        people=[looked],
        progress=[did("looked", START - 3 * DAY, ahead=True)],
        visitors=[{"user_id": "u1", "visitor_id": "looked", "merged_at": START}],
    )
    tables = ("people", "progress", "visitors")
    more = {name: pl.concat([getattr(evidence, name), getattr(early, name)], how="diagonal") for name in tables}
    assert effect(replace(evidence, **more)).expired == 0
    told = Evidence.of(
        until=0,
        people=[{**member("told", "adaptive", signup=0), "first_seen_at": START - 3 * DAY}],
        progress=[did("told", START - 3 * DAY)],
        visitors=[{"user_id": "told", "visitor_id": "told-v", "merged_at": START}],
    )
    more = {name: pl.concat([more[name], getattr(told, name)], how="diagonal") for name in tables}
    assert effect(replace(evidence, **more)).expired == 0, "a visitor's event told the path after the step was done"


def test_a_visitor_who_becomes_a_new_user_counts_once_with_what_the_user_does() -> None:
    """Half of the visitors are second devices of users from before, and guidance makes more of them sign in. Of the others it makes more
    become users and activate: by ten points of theirs, five of all visitors.
    """
    rng = np.random.default_rng(3)
    new = _visitors({"holdout": 0.3, "adaptive": 0.5}, {"holdout": 0.15, "adaptive": 0.25}, 3, merged=True)
    people, decisions, visitors = [], [], []
    for index in range(8_000):
        first, group = START + 60_000 * index, "holdout" if rng.random() < 0.5 else "adaptive"
        phone = {**member(f"phone{index}", group, signup=0), "first_seen_at": first, "entered_under": "p@1"}
        old = {**member(f"old{index}", "rules", activated=HOUR), "first_seen_at": START - DAY, "entered_under": "p@0"}
        decisions += [considered(phone, first), considered(old, START, "signup")]
        if rng.random() < (0.2 if group == "holdout" else 0.7):
            visitors.append({"user_id": old["user_id"], "visitor_id": phone["user_id"], "merged_at": first + HOUR})
            phone["experiment_group"] = "merged"
        people += [phone, old]
    more = Evidence.of(until=0, people=people, decisions=decisions, visitors=visitors)
    evidence = replace(
        new,
        people=pl.concat([new.people, more.people]),
        decisions=pl.concat([new.decisions, more.decisions]),
        visitors=pl.concat([new.visitors, more.visitors]),
    )
    report, lift = effect(evidence), primary(evidence)
    assert (lift.people, report.signed_in) == (16_000, len(visitors))
    assert lift.claimed
    assert lift.lift == pytest.approx(0.05, abs=0.015)


def test_who_was_considered_in_a_group_counts_in_it_whatever_the_row_of_the_user_says_now() -> None:
    """A visitor may become a user who does not begin by ``starts``, and earlier releases let users leave their group."""
    became = {**member("became", "existing", activated=HOUR), "visitor_draw": 0.3}
    left = member("left", "existing", activated=HOUR)
    visitor = {**member("v", "merged", signup=0), "first_seen_at": 1}
    evidence = Evidence.of(
        until=START + 2 * WINDOW,
        people=[became, left, visitor, member("never", "existing"), member("h", "holdout")],
        decisions=[
            considered(member("v", "adaptive"), START - HOUR),
            considered(member("left", "adaptive"), START, "signup"),
            {**considered(member("never", "existing"), START, "signup"), "reason": "existing_person"},
        ],
        visitors=[{"user_id": "became", "visitor_id": "v", "merged_at": START, "draw": 0.3}],
    )
    report = effect(evidence)
    assert {each.group: (each.people, each.activated) for each in report.groups if each.people} == {"adaptive": (2, 2), "holdout": (1, 0)}
    assert (report.outside, report.existing_now) == (1, 2)


def test_a_user_begins_with_the_visitor_that_gave_them_their_group() -> None:
    """That is the first one, and only if nothing was considered for the user before (``Fold`` gives the draw by the same rule)."""
    people = [member(user, "adaptive") for user in ("first", "second", "signed", "early")]
    people += [{**member(f"{each['user_id']}-v{n}", "merged", signup=0), "first_seen_at": 1} for each in people for n in (1, 2)]
    before, after = START - HOUR, START + HOUR
    merges = [
        ("first", 1, before),
        ("second", 2, before),
        ("second", 1, before - 1),
        ("signed", 1, after),
        ("early", 1, before),
    ]
    evidence = Evidence.of(
        until=START + 2 * WINDOW,
        people=people,
        decisions=[
            considered(people[0], before - 2, user="first-v1"),
            considered(people[0], before - 2, user="second-v2"),
            considered(people[0], before - 2, user="signed-v1"),
            considered(people[0], before - 2, user="early-v1"),
            {**considered(people[3], before - 1), "reason": "no_path"},
        ],
        visitors=[{"user_id": user, "visitor_id": f"{user}-v{number}", "merged_at": at} for user, number, at in merges],
    )
    began = matured(evidence).select("user_id", "began_at").rows()
    assert sorted(began) == [
        ("early", START),
        ("early-v1", before - 2),
        ("first", before - 2),
        ("second", START),
        ("second-v2", before - 2),
        ("signed", START),
        ("signed-v1", before - 2),
    ], "the others count as visitors"


def test_the_job_says_as_whom_the_group_was_drawn_where_times_cannot() -> None:
    """A sign-up and a merge at one log time, the merge last: the group is the user's own. The same of a visitor that names another.

    ``ben`` first named a visitor that is another user's, as on a shared computer, and was drawn as that one.
    """
    drawn = {"own": -1.0, "merged": 0.2, "old": None, "ben": 0.9, "b": -1.0}
    people: list[dict[str, Any]] = [{**member(user, "adaptive"), "visitor_draw": draw} for user, draw in drawn.items()]
    people[-1]["signup_at"] = 0
    visitors = [{"user_id": user, "visitor_id": f"{user}-v", "merged_at": START, "draw": 0.2} for user in drawn]
    visitors.append({"user_id": "merged", "visitor_id": "before it in the alphabet", "merged_at": START, "draw": 0.1})
    people += [{**member(str(each["visitor_id"]), "merged", signup=0), "first_seen_at": 1} for each in visitors]
    evidence = Evidence.of(
        until=START + 2 * WINDOW,
        people=people,
        decisions=[
            *(considered(people[0], START - HOUR, user=f"{user}-v") for user in drawn),
            *(considered(people[0], START, "signup", user=user) for user in drawn if user != "b"),
            considered(people[4], START + 1),
            considered(people[0], START - 9 * HOUR, user="before it in the alphabet"),
        ],
        visitors=visitors,
    )
    began = dict(matured(evidence).select("user_id", "began_at").iter_rows())
    users = {"own": START, "merged": START - HOUR, "old": START - HOUR, "ben": START, "b": START + 1}
    visited = dict.fromkeys(("own-v", "ben-v", "b-v"), START - HOUR)
    assert began == users | visited | {"before it in the alphabet": START - 9 * HOUR}


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("kept", [0.5, 0.7])
def test_where_old_decisions_are_deleted_users_from_before_are_left_out(kept: float, *, merged: bool) -> None:
    """Nothing has an effect. Of the old visitors only those who signed up could still count, and guidance keeps some from signing up."""
    evidence = _visitors({"holdout": 0.4, "adaptive": 0.3}, {"holdout": 0.15, "adaptive": 0.15}, 1, merged=merged)
    oldest = START + int((1 - kept) * 8_000) * 60_000 + HOUR // 2
    evidence = replace(evidence, decisions=evidence.decisions.filter(pl.col("decided_at") >= oldest))
    report, lift = effect(evidence), primary(evidence)
    assert lift.lower < 0 < lift.upper
    assert lift.lift == pytest.approx(0.0, abs=0.03)
    assert report.without_signup == 0
    assert report.before_signup == lift.people == 8_000 - report.expired
    lost = (oldest + DAY - START) / 60_000
    assert report.expired == pytest.approx(lost, abs=1)


def test_where_old_merges_are_deleted_users_from_before_are_left_out() -> None:
    """Who signed up as another id would count from the sign-up, and who did not from the first decision about them."""
    evidence = _visitors({"holdout": 0.4, "adaptive": 0.3}, {"holdout": 0.15, "adaptive": 0.15}, 1, merged=True)
    oldest = START + 4_000 * 60_000
    evidence = replace(evidence, visitors=evidence.visitors.filter(pl.col("merged_at") >= oldest), events_from=oldest)
    report = effect(evidence)
    # Of the visitors from before, those that were merged are no people of their own.
    assert report.before_signup == primary(evidence).people == 8_000 - 4_000 - DAY // 60_000
    assert report.expired == 4_000 + DAY // 60_000


def test_where_the_job_says_whose_the_visitors_are_deleted_merges_leave_nobody_out() -> None:
    """The user of a visitor is known by ``person_key``; the time of the event, which is gone, is 0."""
    evidence = _visitors({"holdout": 0.4, "adaptive": 0.3}, {"holdout": 0.15, "adaptive": 0.15}, 1, merged=True)
    draws = {visitor: n / evidence.visitors.height for n, visitor in enumerate(evidence.visitors["visitor_id"])}
    known = evidence.visitors.with_columns(merged_at=pl.lit(0, pl.Int64), draw=pl.col("visitor_id").replace_strict(draws))
    of_user = dict(known.select("user_id", "draw").iter_rows())
    people = evidence.people.with_columns(visitor_draw=pl.col("user_id").replace_strict(of_user, default=-1.0))
    keyed = replace(evidence, visitors=known, people=people)
    before, after = effect(keyed), effect(replace(keyed, events_from=START + 4_000 * 60_000))
    assert after.expired == 0
    assert after.groups == before.groups


@pytest.mark.parametrize("merged", [False, True])
def test_nobody_is_left_out_of_a_log_that_is_whole(*, merged: bool) -> None:
    """Also not who came before the first decision of the log, or signed up under the id of a visitor that nobody knows."""
    evidence = _visitors({"holdout": 0.4, "adaptive": 0.3}, {"holdout": 0.15, "adaptive": 0.15}, 1, merged=merged)
    early = [
        {**member(f"early{number}", "holdout", signup=START + 2 * HOUR), "first_seen_at": START - number * HOUR, "entered_under": "p@1"}
        for number in range(20)
    ]
    late = {**member("late", "merged", signup=0), "first_seen_at": START + DAY, "entered_under": "p@1"}
    more = Evidence.of(until=0, people=[*early, late], decisions=[considered(each, START + 2 * HOUR, "signup") for each in early])
    whole = replace(
        evidence,
        people=pl.concat([evidence.people, more.people], how="diagonal"),
        decisions=pl.concat([evidence.decisions, more.decisions], how="diagonal"),
        events_from=START - 20 * HOUR,
    )
    report = effect(whole)
    assert (report.expired, sum(group.people for group in report.groups)) == (0, 8_020)


def test_where_nobody_is_guided_before_the_sign_up_deleted_decisions_leave_nobody_out() -> None:
    people = [{**member(f"u{number}", "holdout", signup=START + number * DAY), "first_seen_at": START} for number in range(9)]
    decisions = [considered(each, each["signup_at"], "signup") for each in people[4:]]
    assert effect(Evidence.of(until=START + 30 * DAY, people=people, decisions=decisions)).expired == 0


def test_a_pause_that_began_after_guidance_was_considered_leaves_nobody_out() -> None:
    """The visitor was considered while guidance was on, and signed up as a user during the pause. Who signs up when may be an effect."""
    visitor = {**member("v", "merged", signup=0), "guidance_at_signup": "on"}
    user = {**member("u", "adaptive", activated=HOUR), "guidance_at_signup": "guidance_paused"}
    evidence = Evidence.of(
        until=START + 2 * WINDOW,
        people=[visitor, user, member("h", "holdout")],
        decisions=[considered(user, START - HOUR, user="v")],
        visitors=[{"user_id": "u", "visitor_id": "v", "merged_at": START}],
    )
    assert (effect(evidence).left_out, sum(group.people for group in effect(evidence).groups)) == (0, 2)


def test_a_trait_that_guidance_changes_takes_nobody_out() -> None:
    """The same users activate in both groups, and of these guidance makes more pay, who are no trial users then."""
    starts = "version: 1\nstarts: {when: signup, match: {plan: trial}}"
    trial = Plan(lives.catalog(0.5, change=lambda text: text.replace("version: 1", starts)))
    rng, said = np.random.default_rng(1), list[tuple[int, str, str, dict[str, Any]]]()
    for index in range(600):
        user, at = f"u{index}", index * MINUTE
        said.append((at, user, "signup", {"traits": {"persona": "builder", "plan": "trial"}}))
        if rng.random() < 0.4:
            said += [(at + HOUR, user, "form_submit", {"form": form}) for form in ("invite", "connect")]
            if rng.random() < (0.2 if experiment_draw(DEFAULT_TENANT, user) < 0.5 else 0.8):
                said.append((at + 3 * DAY, user, "identify", {"traits": {"plan": "paid"}}))
    log, job = Log(), OfflineRunner(trial, KEYS)
    for at, user, kind, payload in [*sorted(said, key=lambda each: each[0]), (9 * DAY, "late", "page_view", {"path": "/"})]:
        log.send(at, user, kind, **payload)
    for item in log.items:
        if isinstance(item, Message):
            job.message(item)
    report = effect(job.evidence(), shares={"holdout": 0.5, "adaptive": 0.5})
    lift = report.lift_of("adaptive", "holdout")
    assert lift is not None
    assert sum(each.people for each in report.groups) == 600
    assert abs(lift.lift) < 0.08  # two standard errors
    assert lift.lower < 0.0 < lift.upper
