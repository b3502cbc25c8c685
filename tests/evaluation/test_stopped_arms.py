"""An arm counts as stopped while the learner keeps it back, and as running once its text was rewritten."""

from __future__ import annotations

from io import StringIO
from typing import Any

import msgspec
import polars as pl
import pytest
from rich.console import Console

from evaluation.evidence import Evidence
from evaluation.stopped_arms import with_in_force
from reports.bandit import show_choices, show_stopped_arms
from reports.plots.posteriors import draw, title
from reports.report_json import report_json
from reports.run_report import Learned, RunReport, build_report
from state.catalog.plan import Plan
from state.decision.bandit import Learner
from state.decision.chooser import Choices, Chooser
from state.decision.messages import DecisionRequest
from state.records.facts import DecisionFact
from tests.state import lives
from tests.state.lives import START, Life, signup

ALL = ("loud", "plain", "quiet")
VERSION = 900
"""The learner's version at the stop."""


def stop(arm: str, version: int = VERSION, **more: Any) -> dict[str, Any]:
    rates = {"confidence": 0.995, "margin": 0.02, "rate": 0.2, "others_rate": 0.4, "outcomes": 300.0}
    return {"trigger": "signup", "arm": arm, "arm_version": "v", "version": version, "stopped_at": START - 1, **rates, **more}


def decided(*arms: str, version: int = VERSION, group: str = "adaptive", trigger: str = "signup") -> dict[str, Any]:
    """A decision among ``arms``, made at a version of the learner."""
    return {
        "decision_id": f"{arms} {version} {group} {trigger}",
        "user_id": "u",
        "experiment_group": group,
        "trigger": trigger,
        "path_id": "p",
        "step_id": "s",
        "segment": "*",
        "outcome": "decided",
        "reason": "",
        "arm": arms[0],
        "propensity": 1 / len(arms),
        "arms": list(arms),
        "propensities": [1 / len(arms)] * len(arms),
        "decided_at": START - 10,  # of a partition that is behind: the learner's version gives the order
        "learner_version": version,
    }


@pytest.mark.parametrize(
    ("decisions", "holds"),
    [
        ([], True),
        ([decided("plain", "quiet")], True),
        ([decided(*ALL, version=VERSION - 1)], True),
        ([decided(*ALL, trigger="step_completed")], True),
        ([decided(*ALL, group="rules")], True),
        ([decided("loud")], True),
        ([decided(*ALL)], False),
    ],
    ids=["nothing", "kept back", "before the stop", "another trigger", "the rules", "no other arm", "chosen from again"],
)
def test_a_stop_holds_until_the_arm_is_chosen_from_again(decisions: list[dict[str, Any]], holds: bool) -> None:
    found = with_in_force(pl.DataFrame([stop("loud")]), Evidence.of(until=START, decisions=decisions))
    assert found["in_force"].to_list() == [holds]


def test_only_the_newest_stop_of_an_arm_can_hold() -> None:
    stops = pl.DataFrame([stop("loud"), stop("loud", VERSION + 90)])
    again = decided(*ALL, version=VERSION + 50)
    assert with_in_force(stops, Evidence.of(until=START, decisions=[again]))["in_force"].to_list() == [False, True]


def test_where_all_arms_of_a_decision_are_stopped_they_are_shown_and_stay_stopped() -> None:
    stops = pl.DataFrame([stop("loud"), stop("quiet", VERSION + 90)])
    both = decided("loud", "quiet", version=VERSION + 90)
    assert with_in_force(stops, Evidence.of(until=START, decisions=[both]))["in_force"].to_list() == [True, True]
    earlier = decided("loud", "quiet", version=VERSION + 10)
    assert with_in_force(stops, Evidence.of(until=START, decisions=[earlier, both]))["in_force"].to_list() == [False, False]


def rewritten(old: str, new: str) -> RunReport:
    """A report after the learner has stopped ``loud``, with 400 decisions under a catalog in which ``new`` stands for ``old``."""
    before, after = lives.plan(), Plan(lives.catalog(change=lambda text: text.replace(old, new)))
    learner = Learner(version=VERSION, fitted=VERSION)
    learner.trials = {f"{arm}@{before.arm_version('signup', arm)}": 300 for arm in ALL}
    learner.stopped = {f"loud@{before.arm_version('signup', 'loud')}": 1}
    chooser, choices, life = Chooser(after), Choices(), Life(after)
    life.see(signup())
    bandit = chooser.bandit(learner)
    for number in range(400):
        chooser.decide(bandit, _numbered(life, number), choices)
    decisions = [
        {name: getattr(row, name) for name in DecisionFact.__struct_fields__} for row in choices.rows if isinstance(row, DecisionFact)
    ]
    even = {"trigger": "signup", "alpha": 1.0, "beta": 1.0, "mean": 0.5, "weight": 2.0}
    beliefs = [{"arm": arm, "context": context, **even} for arm in ALL for context in ("*", "connect|analyst")]
    steps = pl.DataFrame(schema={"step_id": pl.String(), "horizon_ms": pl.Float64(), "curve_ms": pl.Float64(), "survival": pl.Float64()})
    learned = Learned(pl.DataFrame(beliefs), pl.DataFrame([stop("loud")]), steps, pl.DataFrame())
    return build_report(Evidence.of(until=START + 1_000, decisions=decisions), learned)


def _numbered(life: Life, number: int) -> DecisionRequest:
    return msgspec.structs.replace(life.ask, decision=f"{number:024x}", at=START + number, seq=number)


def printed(report: RunReport) -> str:
    console = Console(width=100, file=StringIO())
    show_choices(console, report)
    show_stopped_arms(console, report)
    return " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]  # it is the StringIO


def test_an_arm_that_the_learner_keeps_back_is_reported_as_stopped() -> None:
    report = rewritten("Do it,", "Do it,")
    said = printed(report)
    assert "loud stopped" in said
    assert "loud was stopped upon signup: it succeeds 20.0 % of the time, the others 40.0 %; 99.5 % sure that it does harm" in said
    assert report_json(report)["stoppedArms"][0]["inForce"] is True
    assert title(report) == "Stopped for doing harm: loud"


def test_an_arm_with_a_new_text_is_reported_with_its_share_and_its_earlier_stop() -> None:
    report = rewritten("Do it,", "Please,")
    assert "loud" in set(report.evidence.decisions["arm"])
    said = printed(report)
    assert "loud stopped" not in said
    assert "loud has another text upon signup; its earlier text was stopped: it succeeded 20.0 % of the time" in said
    assert report_json(report)["stoppedArms"][0]["inForce"] is False
    assert "Stopped" not in title(report)
    figure = draw(report)
    assert figure is not None
    assert not any("stopped" in text.get_text() for axes in figure.axes for text in axes.texts)
