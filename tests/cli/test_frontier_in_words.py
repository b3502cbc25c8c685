"""What reports say of scores beside time alone, and of the step where most are lost."""

from __future__ import annotations

import io
from typing import Any, Final

import polars as pl
import pytest
from rich.console import Console

from evaluation.frontier import frontier
from evaluation.observed import Observed, observed
from reports.observing import show_observed, summary
from reports.plots.stuck import draw, title
from reports.report_json import report_json
from reports.run_report import Learned, build_report
from reports.stuck import against_time_alone, in_session, show_alarms_by_step, show_stuck
from state.duration import HOUR
from state.quantity import count
from tests.evaluation.cases import START, alarm
from tests.evaluation.stuck_cases import H, crowd, evidence, progress, request, said, statistic

_NONE: Final = pl.DataFrame()


def test_where_scores_are_nowhere_below_time_alone_it_says_by_how_much_and_how_many_people() -> None:
    found = frontier(evidence(*crowd()))
    times = "the 100 times that a user without guidance still waited at a step at 0.1 H; 50 times the user was stuck"
    assert against_time_alone(found) == f"Scores are nowhere below time alone: average precision +0.500 to +0.500, by {times}."
    assert title(found) == "At no share of the horizon are the engine's scores below time alone"


def test_where_they_are_below_it_names_the_looks() -> None:
    rows, scores = crowd()
    turned = [row | {"score": 0.5, "time_alone": row["score"]} if row["share"] == 0.5 else row for row in scores]
    found = frontier(evidence(rows, turned))
    assert against_time_alone(found).startswith(
        "Scores are below time alone at 0.5 H (0.500, time 1.000) in average precision, by the 100 times that a user"
    )
    assert title(found) == "The engine's scores are below time alone at 0.5 of the horizon"


def test_a_difference_that_is_not_printed_is_none() -> None:
    rows, scores = crowd(4_000)
    close = [row | {"score": 0.9 if row["user_id"] == "u0" else row["score"], "time_alone": row["score"]} for row in scores]
    found = frontier(evidence(rows, close))
    gaps = [look.time_alone.average - look.engine.average for look in found.looks if look.engine and look.time_alone]
    assert len(gaps) == 2
    assert all(0 < gap < 0.0005 for gap in gaps)
    assert found.below == []


@pytest.mark.parametrize("people", [0, 38])
def test_of_few_people_it_says_how_many_it_takes(people: int) -> None:
    found = frontier(evidence(*crowd(people)))
    assert against_time_alone(found).endswith(f"they were stuck, or were not, {count(people // 2, 'time')} at one look; it takes 20.")
    assert title(found).endswith(f": they were stuck {count(people // 2, 'time')}")


def test_a_user_who_was_stuck_at_two_steps_is_no_two_users() -> None:
    rows, scores = crowd()
    for user in [row["user_id"] for row in rows if not row["completed_at"]]:
        rows += [progress(user, "invite", 2, 2 * H, None)]
        scores += [said(user, share, 0.9, step="invite", since=2 * H) for share in (0.1, 0.5)]
    rows = [row | {"completed_at": row["completed_at"] or START + 2 * H} for row in rows if row["step_id"] == "connect"] + [
        row for row in rows if row["step_id"] == "invite"
    ]
    seen = evidence(rows, scores, statistics=[statistic(H), statistic(H, step="invite")])
    report = build_report(seen, _learned("connect", "invite"))
    assert (len({row["user_id"] for row in rows}), report.frontier.episodes, report.stuck.score.positives) == (100, 150, 100)
    times = "by the 150 times that a user without guidance still waited at a step at 0.1 H; 100 times the user was stuck."
    assert against_time_alone(report.frontier).endswith(times)
    assert in_session(report.stuck.score).startswith("None of the 100 times that a user was stuck was noticed")
    console = Console(file=io.StringIO(), width=200)
    show_stuck(console, report)
    assert isinstance(console.file, io.StringIO)
    assert "150 times a user was at a step, 66.7 % stuck, by held-out users" in console.file.getvalue()
    assert "A user counts once for each step." in console.file.getvalue()
    figure = draw(report)
    assert figure is not None
    note = " ".join(figure.texts[1].get_text().split())
    assert note.startswith("150 times a user without guidance was at a step, 100 times stuck there: ")


def _learned(*steps: str) -> Learned:
    known = {"step_id": steps, "horizon_ms": [float(H)] * len(steps), "curve_ms": [[]] * len(steps), "survival": [[]] * len(steps)}
    return Learned(_NONE, _NONE, pl.DataFrame(known), _NONE)


def test_the_errors_of_alarms_and_of_all_scores_are_told_apart() -> None:
    rows, scores = crowd()
    alarms = [alarm(f"u{n}", HOUR, score=0.6) for n in range(1, 41, 2)]
    report = build_report(evidence(rows, scores, alarms, statistics=[statistic(H)]), _learned("connect"))
    console = Console(file=io.StringIO(), width=200)
    show_stuck(console, report)
    assert isinstance(console.file, io.StringIO)
    assert "The scores of the 20 alarms are off by 40.0 points." in console.file.getvalue()
    figure = draw(report)
    assert figure is not None
    assert "Calibration of all scores: off by 10.0 points" in [axes.get_title(loc="left") for axes in figure.axes]
    verdict = report_json(report)
    assert verdict["holdoutStuck"]["calibration"]["alarms"] == 20
    assert verdict["holdoutStuck"]["calibration"]["error"] == pytest.approx(0.4)
    assert verdict["frontier"]["calibration"] == {"scores": 200, "error": verdict["frontier"]["calibrationError"]}
    assert verdict["frontier"]["calibrationError"] == pytest.approx(0.1)


def _observed(rows: list[dict[str, Any]], scores: list[dict[str, Any]], until: int = START + 9 * H) -> Observed:
    return observed(evidence(rows, scores, until=until, statistics=[statistic(H)]))


def test_the_summary_names_the_step_the_look_and_the_bound_with_the_people_behind_them() -> None:
    where, soon, worth = (words for _, words in summary(_observed(*crowd())))
    assert where == "the most users are lost at connect: 50 of 100 who began it (50.0 %) neither completed it nor went past it."
    assert soon == "after 0.1 H there (1.0 h at present) 100.0 % of the 50 called stuck are; they are 100.0 % of the 50 stuck."
    assert worth == (
        "0 of 100 have activated; of the others 50 are lost at a step, 50 went another way. Guidance that brought every one of them "
        "through would add 100: a bound, and no forecast. At most 0 completions after H would come sooner."
    )


def test_all_figures_are_whole_where_the_names_of_steps_are_not() -> None:
    step = "a_step_with_" + 5 * "a_very_long_" + "name"
    rows, scores = ([row | {"step_id": step} for row in each] for each in crowd())
    learned = _learned(step)
    seen = evidence(rows, scores, decisions=[request(1, "observing")], statistics=[statistic(H, step=step)])
    report = build_report(seen, learned)
    console = Console(file=io.StringIO(), width=100)
    show_observed(console, report)
    assert isinstance(console.file, io.StringIO)
    assert "began leaves out who had done the step before it was next; `drop_off_rate_by_step` counts them." in console.file.getvalue()
    shown = [line.split() for line in console.file.getvalue().splitlines() if line.startswith("  a_step")]
    assert all(line[0].endswith("…") for line in shown[-2:])
    losses, looks = (" ".join(line[1:]) for line in shown[-2:])
    assert losses == "100 50 0 0 50 50.0 % 0"
    assert looks == "10.0 h 50 100 % of 50 – 100 % of 50"


def test_the_summary_says_where_nothing_is_known_and_who_is_too_new() -> None:
    few = [progress("a", "connect", 1, 0, None), progress("b", "connect", 1, HOUR, None)]
    (_, where), (_, soon), (_, worth) = summary(_observed(few, [said("a", 0.1, 0.9)], until=START + H))
    assert where.startswith("the most users are lost at connect: 1 of 1 who began it")
    assert soon == "too few were called stuck there to say: 1, it takes 20."
    assert worth.startswith(
        "0 of 2 have activated; of the others 1 is lost at a step, 1 is too new to count. Guidance that brought every one"
    )
    rows, scores = crowd()
    unsure = [row | {"score": 0.6} for row in scores]
    assert (
        dict(summary(_observed(rows, unsure)))["How soon"] == "not within half of H there: at no look are 75 % of those called stuck right."
    )
    finished = [progress("a", "connect", 1, 0, HOUR)]
    said_of_all = dict(summary(_observed(finished, [])))
    assert said_of_all["Where"] == "nobody is lost at a step so far."
    assert said_of_all["How soon"] == "too few were called stuck at connect to say: 0, it takes 20."


def test_where_everybody_activates_it_says_that_the_catalog_cannot_tell_who_stays() -> None:
    rows = [progress("a", "connect", 1, 0, HOUR), progress("b", "connect", 1, 0, 2 * H)]
    seen = evidence(rows, activated={"a": HOUR, "b": 2 * H}, statistics=[statistic(H)])
    assert dict(summary(observed(seen)))["Worth at most"] == (
        "2 of 2 have activated: everybody reaches the activation so far, so this catalog cannot tell who stays. "
        "At most 1 completion after H would come sooner."
    )
    new = evidence([*rows, progress("new", "connect", 1, 2 * H, None)], activated={"a": HOUR, "b": 2 * H}, until=START + 2 * H + 1)
    said = dict(summary(observed(new)))["Worth at most"]
    assert said.startswith("2 of 3 have activated, 1 is too new to count: everybody else reaches the activation so far, so this catalog")
    assert "would add" not in said


def _printed(rows: list[dict[str, Any]], scores: list[dict[str, Any]], **horizons: int) -> str:
    statistics = [statistic(horizon, step=step) for step, horizon in horizons.items()]
    report = build_report(evidence(rows, scores, decisions=[request(1, "observing")], statistics=statistics), _learned(*horizons))
    console = Console(file=io.StringIO(), width=200)
    show_observed(console, report)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_step_whose_horizon_leaves_no_look_is_left_out_of_how_soon() -> None:
    rows, scores = crowd()
    quick = [progress(f"u{n}", "quick", 2, H, None) for n in range(0, 100, 2)]
    seldom = [progress("u0", "seldom", 3, None, None)]
    early = [said("u0", share, 0.9, step="quick", since=H) for share in (0.1, 0.5)]  # before the horizon was learned
    shown = _printed(rows + quick + seldom, scores + early, connect=H, quick=1_998)
    losses, looks = shown.split("How soon it can be known")
    assert "  quick " in losses
    assert "  quick " not in looks.split("after 0.5 H")[1].split("Scores are")[0].replace("  quick is left out", "")
    assert "quick is left out: half of H is under a second there, and nobody is scored so soon." in looks
    assert "  quick  " in _printed(rows + quick, scores + early, connect=H, quick=2_000).split("How soon it can be known")[1]


def test_where_no_step_leaves_a_look_there_is_no_table() -> None:
    names = ("one", "two")
    rows = [progress(f"u{n}", step, place, place, None) for n in range(30) for place, step in enumerate(names, 1)]
    shown = _printed(rows, [], one=1_000, two=1_000)
    assert "How soon: half of H is under a second there, and nobody is scored so soon." in shown
    assert "two and one are left out: half of H is under a second there, and nobody is scored so soon." in shown
    assert "after 0.1 H" not in shown


def _went_on(step: str = "logo") -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Thirty users wait at an optional step and raise right alarms; 24 of them complete the next one after H. All raise one there."""
    rows = [progress(f"u{n}", step, 1, 0, None) for n in range(30)]
    rows += [progress(f"u{n}", "invite", 2, None, 3 * H if n < 24 else None) for n in range(30)]
    rows += [progress(f"v{n}", "invite", 2, 0, None) for n in range(20)]
    scores = [said(f"u{n}", 0.1, 0.9, step=step) for n in range(30)] + [said(f"v{n}", 0.1, 0.9, step="invite") for n in range(20)]
    alarms = [{**alarm(f"u{n}", HOUR), "step_id": step} for n in range(30)] + [
        {**alarm(f"v{n}", HOUR), "step_id": "invite"} for n in range(20)
    ]
    return rows, scores, alarms


def test_users_of_right_alarms_who_went_on_without_help_are_counted_by_step() -> None:
    rows, scores, alarms = _went_on()
    found = frontier(evidence(rows, scores, alarms, statistics=[statistic(H, step="logo"), statistic(H, step="invite")]))
    assert [(each.step, each.stuck, each.alarms, each.right, each.went_on) for each in found.by_step] == [
        ("logo", 30, 30, 30, 24),
        ("invite", 20, 20, 20, 0),
    ]
    assert (found.right, found.went_on) == (50, 24)
    assert [each.mostly_went_on for each in found.by_step] == [True, False]


@pytest.mark.parametrize("observes", [True, False], ids=["observing", "live"])
def test_a_report_says_by_step_who_of_the_right_alarms_went_on_and_what_to_do(observes: bool) -> None:
    rows, scores, alarms = _went_on()
    decisions = [request(1, "observing")] if observes else []
    statistics = [statistic(H, step="logo"), statistic(H, step="invite")]
    report = build_report(evidence(rows, scores, alarms, decisions=decisions, statistics=statistics), _learned("logo", "invite"))
    console = Console(file=io.StringIO(), width=300)
    if observes:
        show_observed(console, report)
    else:
        show_stuck(console, report)
        show_alarms_by_step(console, report)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "After 24 of the 50 right alarms of users without guidance the user completed a later step, without help." in shown
    assert ["logo", "30", "30", "30", "24"] in [line.split() for line in shown.splitlines()]
    assert (
        "Most users of right alarms at logo were not lost (24 of 30): they took longer than is usual there (H), and went on without help."
        in shown
    )
    assert "`alarms: false` in the catalog raises none there" in shown
    assert "at invite were not lost" not in shown
    assert ("H: nine in ten who complete the step" in shown) is observes
    (logo, _) = report_json(report)["frontier"]["byStep"]
    assert logo == {"stepId": "logo", "stuck": 30, "alarms": 30, "right": 30, "wentOn": 24}


def test_times_at_steps_without_alarms_are_said_to_count_as_not_found() -> None:
    rows, scores, alarms = _went_on()
    promised = {"holdout": 1.0, "rules": 0.0, "exploration_floor": 0.0, "attribution_window_ms": 24 * HOUR, "template_share": -1.0}
    seen = evidence(
        rows,
        scores,
        alarms[30:],
        catalogs=[{"catalog_version": "p@1", **promised, "steps_without_alarms": ["logo"]}],
        decisions=[request(1, "observing") | {"catalog_version": "p@1"}],
        statistics=[statistic(H, step="logo"), statistic(H, step="invite")],
    )
    console = Console(file=io.StringIO(), width=300)
    show_alarms_by_step(console, build_report(seen, _learned("logo", "invite")))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert (
        "30 of the 50 times that a user was stuck were at steps where the catalog raises no alarm (logo), and count as not found." in shown
    )
    assert "were not lost" not in shown
