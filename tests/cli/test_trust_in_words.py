"""What the report says of attribution windows that end without success or failure."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from evaluation.evidence import Evidence
from reports.run_report import build_report
from reports.trust import show_trust
from state.duration import DAY
from tests.cli.effect_people import LEARNED
from tests.evaluation.cases import START
from tests.evaluation.groups import considered, member


def _said(voided: int, of: int, *, arms: tuple[str, ...] = ("a", "b")) -> str:
    """``of`` visitors were shown guidance by one of two arms that are equally likely; ``voided`` of them signed in before the window ended.

    ``arms``: those of the visitors who signed in, in turn.
    """
    visitors = [member(f"v{number}", "merged" if number < voided else "adaptive", signup=0) for number in range(of)]
    decisions, outcomes = [], list[dict[str, Any]]()
    for number, visitor in enumerate(visitors):
        arm = arms[number % len(arms)] if number < voided else "ab"[number % 2]
        chosen = {"arm": arm, "propensity": 0.5, "arms": ["a", "b"], "propensities": [0.5, 0.5]}
        decisions.append({**considered({**visitor, "experiment_group": "adaptive"}, START), **chosen})
        for kind, at in (("shown", START), ("withdrawn" if number < voided else "failure", START + DAY)):
            outcomes.append({**decisions[-1], "kind": kind, "occurred_at": at})
    console = Console(file=io.StringIO(), width=200)
    evidence = Evidence.of(until=START + 9 * DAY, people=visitors, decisions=decisions, outcomes=outcomes)
    show_trust(console, build_report(evidence, LEARNED))
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


def test_where_many_windows_end_because_visitors_sign_in_the_report_warns() -> None:
    assert "NO 20 of 40 attribution windows ended without success or failure, because the visitor signed in" in _said(20, 40)
    assert "signed in" not in _said(9, 40)
    assert "signed in" not in _said(10, 400)


@pytest.mark.parametrize(
    ("arms", "sentence"),
    [
        (("a", "b"), "yes whether a window ends without success or failure does not depend on the arm"),
        (("a",), "NO whether a window ends without success or failure depends on the arm"),
    ],
)
def test_whether_such_an_end_depends_on_the_arm_is_said(arms: tuple[str, ...], sentence: str) -> None:
    assert sentence in _said(40, 100, arms=arms)
    assert "depend on the arm (p" not in _said(0, 0)
