"""What another catalog would have changed: each situation is counted once, and nothing is claimed that the log does not show."""

from __future__ import annotations

import dataclasses
from typing import Any

import polars as pl
import pytest

from evaluation.evidence import Evidence
from evaluation.logged import logged, logged_frame
from evaluation.off_policy import Refused, Value
from evaluation.what_if import CHANGES, NO_TRIGGER, Worth, compare, decisions_frame, worth
from reports.render import out
from reports.what_if import Cost, WhatIf, as_json, show
from tests.evaluation.cases import ARMS, START, healthy_run


def decision(
    user: str, at: int, arm: str = "", *, reason: str = "", step: str = "s", trigger: str = "signup", text: str = "t"
) -> dict[str, Any]:
    return {
        "decision_id": f"{user}-{at}",
        "user_id": user,
        "trigger": trigger,
        "step_id": step,
        "outcome": "decided" if arm else "declined",
        "reason": reason,
        "arm": arm,
        "arms": [arm] if arm else [],
        "propensities": [1.0] if arm else [],
        "decided_at": at,
        "catalog_version": "saas@1",
        "text": text if arm else "",
        "same_text": [True] if arm else [],
    }


def test_each_situation_has_one_change_and_its_reason() -> None:
    before = [
        decision("same", 1, "a"),
        decision("arm", 2, "a"),
        decision("text", 3, "a"),
        decision("dropped", 4, "a"),
        decision("added", 5, reason="cooldown"),
        decision("added", 90, reason="opted_out"),
        decision("gone", 7, "a", trigger="stuck:idle"),
    ]
    after = [
        decision("same", 1, "a"),
        decision("arm", 2, "b"),
        decision("text", 3, "a", text="other"),
        decision("dropped", 4, reason="quiet_hours"),
        decision("added", 6, "b"),
    ]
    found = compare(decisions_frame(before), decisions_frame(after))
    assert {each.user: (each.change, each.before, each.after, each.reason) for each in found.treated} == {
        "same": ("same", "a", "a", ""),
        "arm": ("another_arm", "a", "b", ""),
        "text": ("another_text", "a", "a", ""),
        "dropped": ("dropped", "a", "", "quiet_hours"),
        "added": ("added", "", "b", "cooldown"),
        "gone": ("dropped", "a", "", NO_TRIGGER),
    }
    assert (found.before, found.after, found.users(), found.users("same")) == (5, 4, 5, 1)
    assert [found.count(change) for change in CHANGES] == [1, 1, 1, 1, 2]
    assert found.reasons() == [("added", "cooldown", 1, 1), ("dropped", NO_TRIGGER, 1, 1), ("dropped", "quiet_hours", 1, 1)]


def test_the_second_time_is_compared_with_the_second_time() -> None:
    before = [decision("ann", 1, "a"), decision("ann", 9, "b"), decision("ann", 5, "a", step="other")]
    after = [decision("ann", 2, "a"), decision("ann", 12, "c")]
    found = compare(decisions_frame(before), decisions_frame(after))
    assert [(each.change, each.before, each.after) for each in found.treated] == [
        ("same", "a", "a"),
        ("dropped", "a", ""),
        ("another_arm", "b", "c"),
    ]
    nothing = compare(decisions_frame([]), decisions_frame(after))
    assert (nothing.before, nothing.count("added")) == (0, 2)


def as_run(evidence: Evidence, *, rewritten: tuple[str, ...] = (), **columns: pl.Expr) -> pl.DataFrame:
    """A run that decides where the log did, with what ``columns`` change. Both catalogs show the same, but for the ``rewritten`` arms."""
    frame = evidence.decisions.with_columns(text=pl.lit(""), **columns)
    return decisions_frame([{**row, "same_text": [arm not in rewritten for arm in row["arms"]]} for row in frame.to_dicts()])


def worth_of(evidence: Evidence, after: pl.DataFrame, **span: int) -> Worth:
    """The value of the run ``after``, with the log's own catalog in force."""
    return worth(evidence, as_run(evidence), after, **span)


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return healthy_run()[0]


def test_the_same_catalog_earns_what_was_logged(evidence: Evidence) -> None:
    found = worth_of(evidence, as_run(evidence))
    assert isinstance(found.other, Value)
    assert (found.elsewhere, found.uncovered) == (0, 0)
    assert found.other == found.logged
    assert found.other.estimate == pytest.approx(logged(evidence).rewards.mean(), abs=0.02)
    assert found.shown == len(logged(evidence)) == logged_frame(evidence).height


def test_another_policy_is_valued_by_its_own_probabilities(evidence: Evidence) -> None:
    always = as_run(evidence, arms=pl.lit([["calm"]]).list.first(), propensities=pl.lit([[1.0]]).list.first())
    found = worth_of(evidence, always)
    assert isinstance(found.other, Value)
    assert isinstance(found.logged, Value)
    assert found.other.effective < found.logged.effective
    assert found.other.upper - found.other.lower > found.logged.upper - found.logged.lower
    shown = logged_frame(evidence).filter(pl.col("arm") == "calm")["reward"].mean()
    assert found.other.lower < shown < found.other.upper  # type: ignore[operator]


def test_what_the_log_could_not_show_is_left_out_and_too_little_is_said_to_be(evidence: Evidence) -> None:
    new = as_run(evidence, arms=pl.lit([["new"]]).list.first(), propensities=pl.lit([[1.0]]).list.first())
    found = worth_of(evidence, new)
    assert found.uncovered == found.shown > 0
    assert isinstance(found.other, Refused)
    never = as_run(evidence, arms=pl.lit([["new", *ARMS]]).list.first(), propensities=pl.lit([[0.0, 0.2, 0.3, 0.5]]).list.first())
    assert isinstance(worth_of(evidence, never).other, Value), "an arm with probability 0 is not shown"


def test_texts_that_the_log_did_not_show_are_left_out(evidence: Evidence) -> None:
    """The arm's name is the same, but nobody has read its new text."""
    rewritten = as_run(evidence, rewritten=("calm",))
    found = worth_of(evidence, rewritten)
    assert found.uncovered == found.shown > 0
    assert isinstance(found.other, Refused)
    others = as_run(evidence, rewritten=("calm",), arms=pl.lit([["bold"]]).list.first(), propensities=pl.lit([[1.0]]).list.first())
    assert worth_of(evidence, others).uncovered == 0, "calm is not possible in the other run, so its text does not matter"


def test_what_another_version_of_the_catalog_showed_is_not_known_and_left_out(evidence: Evidence) -> None:
    middle = int(evidence.decisions["decided_at"].median())  # type: ignore[arg-type]
    version = pl.when(pl.col("decided_at") < middle).then(pl.lit("saas@1")).otherwise(pl.lit("saas@2"))
    edited = dataclasses.replace(evidence, decisions=evidence.decisions.with_columns(catalog_version=version))
    in_force = as_run(evidence, catalog_version=pl.lit("saas@2"))
    found = worth(edited, in_force, as_run(evidence, catalog_version=pl.lit("saas@3")))
    assert found.uncovered == logged_frame(evidence).filter(pl.col("decided_at") < middle).height > 0
    assert found.uncovered < found.shown


def test_other_moments_and_other_days_are_left_out(evidence: Evidence) -> None:
    middle = int(evidence.decisions["decided_at"].median())  # type: ignore[arg-type]
    late = as_run(evidence, decided_at=pl.col("decided_at") + (pl.col("decided_at") >= middle).cast(pl.Int64))
    found = worth_of(evidence, late)
    assert found.elsewhere == logged_frame(evidence).filter(pl.col("decided_at") >= middle).height > 0
    ranged = worth_of(evidence, as_run(evidence), since=middle)
    assert ranged.shown == found.elsewhere
    assert worth_of(evidence, as_run(evidence), until=middle).shown == found.shown - ranged.shown
    first = dataclasses.replace(evidence, decisions=evidence.decisions.head(0))
    assert isinstance(worth_of(first, as_run(evidence)).other, Refused)


def test_what_is_printed_and_what_is_json_say_the_same(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    before = [decision(f"u{number}", START + number, "a") for number in range(30)]
    after = [decision(f"u{number}", START + number, reason="quiet_hours") for number in range(30)]
    compared = compare(decisions_frame(before), decisions_frame(after))
    what = WhatIf("next", "saas", compared, Cost(5_000_000, 10), worth_of(evidence, as_run(evidence)))
    show(out(), what)
    said = " ".join(capsys.readouterr().out.split())
    assert "30 users treated differently. Recommendations: 30 before, 0 after" in said
    assert "model calls at the logged rate: $15.00 before, $0.00 after" in said
    assert "now: quiet_hours 30 30" in said
    assert "10 more; --json has all." in said
    assert "logged decisions of" in said
    assert "too little overlap" not in said
    found = as_json(what, START, None)
    assert (len(found["treated"]), found["modelDollars"]) == (30, {"before": 15.0, "after": 0.0})
    assert (found["from"][:10], found["to"]) == ("2023-11-14", None)
    assert found["value"]["other"]["interval"][0] < found["value"]["other"]["value"] < found["value"]["other"]["interval"][1]
    nothing = worth_of(evidence, decisions_frame([]))
    show(out(), what._replace(worth=nothing, cost=Cost(0, 0)))
    said = " ".join(capsys.readouterr().out.split())
    assert "too little overlap" in said
    assert "model calls" not in said
    assert Cost(0, 0).of(3) is None
