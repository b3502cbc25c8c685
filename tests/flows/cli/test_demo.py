"""The demo: what it shows, and what it leaves alone."""

from __future__ import annotations

import json
import math
import re
import shlex
import signal
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from evaluation.scenarios import SCENARIOS
from tests.flows.cli.command import Result, onramp, start
from tests.flows.cli.conftest import DEMO, PEOPLE, Inside, Ready

SECTIONS = (
    "Activation within 7 days",
    "Stuck, as noticed and in truth",
    "What the bandit's choices are worth",
    "Arms by trigger",
    "nothing shown because",
    "Can this be believed?",
    "What to type next",
    "Plots: ",
)


@pytest.fixture(scope="module")
def again(demo: Ready) -> Result:
    """The same demo once more, as JSON."""
    return onramp(*DEMO, "--json", cwd=demo.cwd)


def test_ends_in_tables_that_fit_the_screen(demo: Ready) -> None:
    assert demo.result.code == 0, demo.result.err
    for section in SECTIONS:
        assert section in demo.result.out
    assert max(map(len, demo.result.out.splitlines())) <= 80
    assert len(demo.result.out.splitlines()) <= 110  # about two screens


def test_what_to_type_next_works_as_it_is_printed(demo: Ready, inside: Inside) -> None:
    typed = re.findall(r"^  (onramp (?:explain|recommend|evaluate) .+?)(  |$)", demo.result.out, re.MULTILINE)
    assert typed
    for command, _ in typed:
        result = inside(*shlex.split(command)[1:], cwd=demo.cwd)
        assert result.code == 0, result.err
        assert result.out


def test_typed_again_it_starts_over_and_says_the_same(demo: Ready, inside: Inside, again: Result) -> None:
    assert again.code == 0, again.err
    assert again.json["eventsRead"] == again.json["thisRun"]["eventsRead"] > 0
    assert demo.result.out.count(f"{again.json['truth']['stuckAlarms']:,}") > 0
    rows = inside("sql", "SELECT count() AS n FROM decisions_final WHERE outcome = 'decided'", "--json", cwd=demo.cwd).json["rows"]
    assert rows[0]["n"] == again.json["decisions"] > 0


def test_json_has_every_figure_of_the_truth(again: Result) -> None:
    truth = again.json["truth"]
    fractions = "stuckPrecision stuckRecall stuckPrevalence activationRate activationRateHoldout".split()
    assert all(0 <= truth[name] <= 1 for name in fractions)
    low, high = truth["liftInterval"]
    assert low <= truth["lift"] <= high
    assert low <= truth["trueLift"] <= high
    assert truth["trueLift"] > 0.03  # guidance helps these people by design
    bandit = truth["bandit"]
    assert bandit["uniformReward"] < bandit["policyValue"] <= bandit["bestPolicyReward"]
    assert bandit["uniformReward"] <= bandit["bestFixedReward"] <= bandit["bestPolicyReward"] + 1e-9
    assert 0 <= bandit["meanReward"] <= 1
    assert bandit["uniformReward"] < bandit["referenceValue"] <= bandit["bestPolicyReward"]
    assert bandit["overall"]["decisions"] > bandit["decisions"] > 0
    errors = truth["byTrigger"]["stuck:errors"]
    assert 0 < errors["precision"] <= 1
    assert 0 < errors["recall"] <= 1
    assert truth["stuckBestTimeout"]["precision"] > 0
    assert truth["scenario"] == "baseline"
    assert truth["integrity"]
    assert all(finding["ok"] for finding in truth["integrity"]), truth["integrity"]


def test_json_holds_no_number_that_is_none(again: Result) -> None:
    def look(value: Any) -> None:
        assert not (isinstance(value, float) and not math.isfinite(value))
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            look(each)

    look(json.loads(again.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON")))


def test_plots_are_pictures_that_say_what_they_find(demo: Ready, again: Result) -> None:
    plots = {Path(path).stem: demo.cwd / path for path in again.json["truth"]["plots"]}
    assert set(plots) == {"lift", "regret", "stuck", "posteriors", "survival", "reasons"}
    for path in plots.values():
        root = ET.parse(path).getroot()
        assert root.tag.endswith("svg")
        assert sum(1 for _ in root.iter("{http://www.w3.org/2000/svg}path")) > 5
    said = "".join(ET.parse(plots["regret"]).getroot().itertext())
    assert "The bandit won" in said
    assert "random choice" in said


def test_one_person_and_one_day_make_no_numbers(tmp_path: Path, inside: Inside) -> None:
    result = onramp("demo", "--users", 1, "--days", 1, "--population", PEOPLE, "--json", cwd=tmp_path)
    assert result.code == 0, result.err
    truth = result.json["truth"]
    for name in ("activationRate", "lift", "liftInterval", "trueLift"):
        assert truth[name] is None
    report = inside("report", cwd=tmp_path)
    assert report.code == 0, report.err
    assert "nan" not in report.out


def test_in_few_days_there_is_no_table_of_nobody_and_the_scenario_is_named(tmp_path: Path) -> None:
    result = onramp("demo", "--users", 8, "--days", 3, "--scenario", "bots", "--population", PEOPLE, cwd=tmp_path)
    assert result.code == 0, result.err
    assert "Scenario bots: some accounts are automated." in result.out
    assert "Nobody signed up 7 days ago or longer" in result.out
    assert "activated  rate" not in result.out


def test_a_truth_of_another_form_names_its_file_and_what_can_be_read_without_it(tmp_path: Path, inside: Inside) -> None:
    result = onramp("demo", "--users", 3, "--days", 2, "--population", f"{PEOPLE} vague", cwd=tmp_path)
    assert (result.code, result.out) == (1, "")
    said = result.err.splitlines()[-1]
    assert "onset" in said
    assert "truth.jsonl" in said
    assert said.endswith("onramp report")
    assert inside("report", cwd=tmp_path).code == 0


def test_events_that_are_rejected_are_told_with_their_reason(tmp_path: Path) -> None:
    result = onramp("demo", "--users", 8, "--days", 2, "--population", f"{PEOPLE} timeless", cwd=tmp_path)
    assert result.code == 0, result.err
    told = " ".join(result.out.split())
    assert re.search(r"[1-9]\d* were rejected \(missing_timestamp [1-9]\d*\)", told)


def test_help_names_every_scenario(tmp_path: Path, inside: Inside) -> None:
    told = inside("demo", "--help", cwd=tmp_path).out
    assert set(SCENARIOS) <= set(re.findall(r"\w+", told))


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("dies", "ended too early, with exit code 3"),
        ("babbles", "not of the protocol"),
        ("half", "ended too early"),
    ],
)
def test_a_population_that_fails_is_one_sentence(tmp_path: Path, mode: str, said: str) -> None:
    result = onramp("demo", "--users", 3, "--days", 2, "--json", "--population", f"{PEOPLE} {mode}", cwd=tmp_path)
    assert (result.code, result.out) == (1, "")
    assert said in result.err.splitlines()[-1]
    assert result.err.count("onramp: ") == 1, result.err
    assert "Traceback" not in result.err


def test_a_population_that_is_not_there_is_one_sentence(tmp_path: Path, inside: Inside) -> None:
    result = inside("demo", "--population", "./nobody --here", cwd=tmp_path)
    assert (result.code, result.out) == (1, "")
    assert "'./nobody --here' cannot be started" in result.err
    assert len(result.err.splitlines()) == 1


def test_an_unknown_scenario_names_those_there_are(tmp_path: Path, inside: Inside) -> None:
    result = inside("demo", "--scenario", "paradise", cwd=tmp_path)
    assert result.code == 2
    assert "baseline" in result.err
    assert "harmful_arm" in result.err


def test_a_population_that_cannot_start_leaves_the_demo_before_it_alone(demo: Ready, inside: Inside) -> None:
    assert inside("demo", "--population", "./nobody", cwd=demo.cwd).code == 1
    assert inside("report", "--json", cwd=demo.cwd).json["activation"][0]["people"] == 150


def test_stopped_half_way_it_says_so(tmp_path: Path) -> None:
    running = start("demo", "--users", 40, "--days", 60, "--json", "--population", f"{PEOPLE} slow", cwd=tmp_path)
    deadline = time.monotonic() + 50
    while not (tmp_path / ".onramp" / "demo" / "state").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1.0)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=50)
    assert (running.returncode, out) == (0, ""), err
    assert err.splitlines()[-1] == "onramp: stopped before its end; run the same command to start over."


def test_never_mixes_with_data_of_ones_own(own: Ready, inside: Inside) -> None:
    before = inside("sql", "SELECT count() AS n FROM events_final", "--json", cwd=own.cwd).json
    result = onramp("demo", "--users", 5, "--days", 1, "--json", "--population", PEOPLE, cwd=own.cwd)
    assert result.code == 0, result.err
    assert inside("sql", "SELECT count() AS n FROM events_final", "--json", cwd=own.cwd).json == before
    into_demo = inside("run", "--input", "events.jsonl", "--data-dir", ".onramp/demo", cwd=own.cwd)
    assert into_demo.code == 1
    assert "belongs to the demo" in into_demo.err


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path, inside: Inside) -> None:
    (tmp_path / "data" / "demo").mkdir(parents=True)
    (tmp_path / "data" / "demo" / "mine.txt").write_text("precious")
    result = inside("demo", "--users", 5, "--days", 1, "--data-dir", "data", cwd=tmp_path)
    assert (result.code, result.out) == (1, "")
    assert (tmp_path / "data" / "demo" / "mine.txt").read_text() == "precious"
    assert len(result.err.splitlines()) == 1
