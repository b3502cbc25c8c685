"""``lift.svg``: each figure is written where it is drawn, and no label covers another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from evaluation.effect import TrueLift
from evaluation.evidence import Evidence
from reports.plots.lift import draw
from reports.plots.style import look
from reports.render import points
from reports.report_json import report_json
from reports.run_report import RunReport, build_report
from state.duration import DAY
from tests.cli.effect_people import LEARNED, people
from tests.evaluation.cases import START
from tests.evaluation.groups import catalog

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GROUPS = [{"holdout": 11, "rules": 13, "adaptive": 61}, {"holdout": 11, "adaptive": 61}]
LAST = 72
"""Users of adaptive and holdout."""

by_groups = pytest.mark.parametrize("groups", GROUPS, ids=["three panels", "one panel"])


def _report(groups: dict[str, int]) -> RunReport:
    shares = catalog("p@1", holdout=0.1, rules=0.1 if "rules" in groups else 0.0)
    return build_report(Evidence.of(until=START + 30 * DAY, people=people(groups), catalogs=[shares]), LEARNED)


def _drawn(report: RunReport) -> Figure:
    with look():
        figure = draw(report)
        assert figure is not None
        FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    return figure


@by_groups
def test_the_line_and_the_measured_lift_end_at_labels_with_their_own_values(groups: dict[str, int]) -> None:
    report = _report(groups)
    lifts = report.effect.lifts
    panels = _drawn(report).axes
    assert len(panels) == len(lifts) == len(groups) * (len(groups) - 1) / 2
    assert any(points(lift.lift) != points(lift.path.estimate[-1]) for lift in lifts), "they differ while there are few"
    for axes, lift, json in zip(panels, lifts, report_json(report)["lifts"], strict=True):
        labels = [text.get_text() for text in axes.texts]
        ends = [float(np.asarray(line.get_ydata())[-1]) for line in axes.lines]
        assert f"measured\n{points(lift.lift)}" in labels
        assert f"running\n{points(lift.path.estimate[-1])}" in labels
        assert points(json["runningEstimate"]) == points(lift.path.estimate[-1])
        assert {lift.lift, lift.path.estimate[-1]} <= set(ends)


def test_the_running_estimate_stays_within_its_interval() -> None:
    """With a share of 0.05 a single user of the smaller group moves the running mean by far more than a rate can be."""
    told = people({"adaptive": 22, "holdout": 2})
    of = {each["user_id"]: {**each, "signup_at": START + n, "activated_at": 0} for n, each in enumerate(told)}
    for user in told[:22]:
        of[user["user_id"]]["activated_at"] = START + DAY
    for user, at in zip(told[22:], (20, 22), strict=True):
        of[user["user_id"]]["signup_at"] = START + at
    report = build_report(
        Evidence.of(until=START + 30 * DAY, people=list(of.values()), catalogs=[catalog("p@1", holdout=0.05, rules=0.0)]), LEARNED
    )
    [lift] = report_json(report)["lifts"]
    assert lift["interval"][0] <= lift["runningEstimate"] <= lift["interval"][1]
    labels = [text.get_text() for axes in _drawn(report).axes for text in axes.texts]
    assert "running\n+100.0" in labels


def test_a_proof_that_no_longer_holds_is_marked_as_past() -> None:
    report = _report(GROUPS[1])
    [lift] = report.effect.lifts
    for lower, upper, label in ((0.1, 0.3, "proven after 15"), (-0.1, 0.3, "once proven after 15"), (-0.3, -0.1, "once proven after 15")):
        now = replace(lift, lower=lower, upper=upper, claimed=True, claimed_after=15)
        axes = _drawn(replace(report, effect=replace(report.effect, lifts=(now,)))).axes[0]
        assert label in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("true", [None, 0.02, -0.5], ids=str)
@pytest.mark.parametrize("after", [None, 15, LAST])
@by_groups
def test_no_label_covers_another_or_leaves_the_page(groups: dict[str, int], after: int | None, true: float | None) -> None:
    report = _report(groups)
    known = None if true is None else TrueLift(true, 0.5 + true, 0.5, groups["adaptive"], 0.01)
    lifts = tuple(replace(lift, claimed_after=after and min(after, int(lift.path.seen[-1]))) for lift in report.effect.lifts)
    figure = _drawn(replace(report, effect=replace(report.effect, true_lift=known, lifts=lifts)))
    shown = [*figure.texts, *(text for axes in figure.axes for text in _labels(axes))]
    boxes = {text: text.get_window_extent() for text in shown if text.get_visible() and text.get_text()}
    for text, box in boxes.items():
        assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1, text.get_text()
    assert [(one.get_text(), other.get_text()) for one, other in combinations(boxes, 2) if boxes[one].overlaps(boxes[other])] == []


def _labels(axes: Axes) -> Iterator[Text]:
    yield from (each for each in axes.get_children() if isinstance(each, Text))
    yield from (axes.xaxis.label, axes.yaxis.label)
    begin, end = axes.get_xlim()
    yield from (each for each in axes.get_xticklabels() if begin <= each.get_position()[0] <= end)
