"""The plot of how long steps take has an axis of time that fits the log."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluation.evidence import Evidence
from evaluation.survival import kaplan_meier
from reports.plots.survival import draw
from reports.run_report import StepCurve, build_report
from state.duration import DAY, HOUR, MINUTE, SECOND
from tests.cli.effect_people import BOTH, LEARNED, people
from tests.evaluation.cases import START
from tests.evaluation.groups import catalog


def _curve(step: str, shortest: float, longest: float, horizon: float) -> StepCurve:
    times = np.geomspace(shortest, longest, 50)
    return StepCurve(step, 50, 50, kaplan_meier(times, np.ones(50, dtype=bool)), horizon)


@pytest.mark.parametrize(
    ("shortest", "longest", "horizon", "label"),
    [
        (10 * DAY, 300 * DAY, 76 * DAY, "H 76.0 d"),
        (2 * SECOND, 20 * SECOND, SECOND, "H 1 s"),
        (MINUTE, 2 * HOUR, 90 * MINUTE, "H 1.5 h"),
    ],
)
def test_the_axis_of_time_shows_the_completions_and_the_horizon(shortest: float, longest: float, horizon: float, label: str) -> None:
    evidence = Evidence.of(until=START + 30 * DAY, people=people(BOTH), catalogs=[catalog("p@1", holdout=0.5, rules=0.0)])
    report = replace(build_report(evidence, LEARNED), steps=[_curve("connect", shortest, longest, horizon)])
    figure = draw(report)
    assert figure is not None
    begin, end = figure.axes[0].get_xlim()
    middle = (shortest * longest) ** 0.5
    assert begin < middle < end
    assert begin < horizon < end
    assert end / begin < 20 * longest / shortest, "most of the axis is of times that were measured"
    assert label in [text.get_text() for text in figure.axes[0].texts]
    ticks = [tick for tick in figure.axes[0].get_xticks() if begin <= tick <= end]
    assert 1 <= len(ticks) <= 6


def test_a_step_that_nobody_completed_has_a_panel_too() -> None:
    evidence = Evidence.of(until=START + 30 * DAY, people=people(BOTH), catalogs=[catalog("p@1", holdout=0.5, rules=0.0)])
    waiting = StepCurve("invite", 5, 0, kaplan_meier(np.full(5, float(DAY)), np.zeros(5, dtype=bool)), None)
    report = replace(build_report(evidence, LEARNED), steps=[_curve("connect", MINUTE, 2 * HOUR, HOUR), waiting])
    figure = draw(report)
    assert figure is not None
    assert sum(axes.get_visible() for axes in figure.axes) == 2
