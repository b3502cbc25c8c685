"""The demo: what it shows, and what it leaves alone."""

from __future__ import annotations

import json
import math
import re
import shlex
import shutil
import signal
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any, cast

import pytest

from cli.support.stores import open_facts
from evaluation.scenarios import SCENARIOS
from flows.catalogs import load_catalog
from flows.inputs import ClosedLoop
from flows.settings import load_settings
from llm.client import local_model as local
from reports.demo import finish_demo
from sources.closed_loop import START, Begin
from state.duration import DAY
from tests.cli.command import onramp, start
from tests.cli.conftest import DEMO, PEOPLE, Inside, Ready
from tests.support.model_server import ModelServer, Request, changed, every, invented_link
from tests.support.waiting import pause, running, wait_until

SECTIONS = (
    "What the demo did",
    "One user's story",
    "Activation within 7 days",
    "Stuck users",
    "What the bandit's choices are worth",
    "Can this be believed?",
    "What to type next",
    "Plots: ",
)


@pytest.fixture(scope="module")
def truth(demo: Ready, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the JSON of the demo has under ``truth``, made from what the demo left: a second run would take as long as the first."""
    assert demo.result.code == 0, demo.result.err
    left, begin = demo.cwd / ".onramp" / "demo", Begin("baseline", 1, 150, START, START + 12 * DAY, {})
    loop = ClosedLoop(cast("Any", None), begin, load_catalog("saas"), left / "truth.jsonl")
    with open_facts(load_settings(data_dir=left)) as facts:
        found: dict[str, Any] = finish_demo(
            facts, cast("Any", None), loop, tmp_path_factory.mktemp("plots"), lambda *_: "", waiting=lambda: 0, silent=True
        )["truth"]
    return found


def test_ends_in_tables_that_fit_the_screen(demo: Ready) -> None:
    assert demo.result.code == 0, demo.result.err
    places = [demo.result.out.index(section) for section in SECTIONS]
    assert places == sorted(places)
    assert max(map(len, demo.result.out.splitlines())) <= 80
    assert len(demo.result.out.splitlines()) <= 90  # read in a minute


def test_what_to_type_next_works_as_it_is_printed(demo: Ready, inside: Inside) -> None:
    typed = re.findall(r"^  (onramp (?:explain|recommend|evaluate) .+?)(  |$)", demo.result.out, re.MULTILINE)
    assert typed
    for command, _ in typed:
        result = inside(*shlex.split(command)[1:], cwd=demo.cwd)
        assert result.code == 0, result.err
        assert result.out


@pytest.mark.slow
def test_it_begins_with_what_two_weeks_before_say_of_each_step(tmp_path: Path, inside: Inside) -> None:
    assert onramp("demo", "--users", "300", "--days", "3", cwd=tmp_path).code == 0
    first = "SELECT argMin(time_alone, judged_at) AS share FROM stuck_scores WHERE step_id = 'connect_source'"
    (row,) = inside("sql", first, "--json", cwd=tmp_path).json["rows"]
    assert 0.51 < row["share"] < 1.0  # one half where nothing was known


@pytest.mark.slow
def test_typed_again_it_starts_over_and_says_the_same(demo: Ready, inside: Inside, truth: dict[str, Any]) -> None:
    again = onramp(*DEMO, "--json", cwd=demo.cwd)
    assert again.code == 0, again.err
    assert {**again.json["truth"], "plots": []} == {**truth, "plots": []}
    assert again.json["eventsRead"] == again.json["thisRun"]["eventsRead"] > 0
    assert demo.result.out.count(f"{again.json['truth']['stuckAlarms']:,}") > 0
    rows = inside("sql", "SELECT count() AS n FROM decisions_final WHERE outcome = 'decided'", "--json", cwd=demo.cwd).json["rows"]
    assert rows[0]["n"] == again.json["decisions"] > 0


def test_json_has_every_figure_of_the_truth(truth: dict[str, Any]) -> None:
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


def finite(value: Any) -> bool:
    """Whether every number in ``value`` is one."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(map(finite, inner)) and not (isinstance(value, float) and not math.isfinite(value))


def test_json_holds_no_number_that_is_none(truth: dict[str, Any]) -> None:
    assert finite(truth)


def test_plots_are_pictures_that_say_what_they_find(demo: Ready, truth: dict[str, Any]) -> None:
    plots = {path.stem: path for path in (demo.cwd / ".onramp" / "demo" / "plots").glob("*.svg")}
    assert set(plots) == {Path(path).stem for path in truth["plots"]}
    assert set(plots) == {"lift", "regret", "stuck", "posteriors", "survival", "reasons"}
    for path in plots.values():
        root = ET.parse(path).getroot()
        assert root.tag.endswith("svg")
        assert sum(1 for _ in root.iter("{http://www.w3.org/2000/svg}path")) > 5
    said = "".join(ET.parse(plots["regret"]).getroot().itertext())
    assert "The bandit won" in said
    assert "random choice" in said
    stuck = "".join(ET.parse(plots["stuck"]).getroot().itertext())
    assert "time alone" in stuck
    assert all(f"after 0.{tenth} H" in stuck for tenth in range(1, 6))
    assert "timeout" not in stuck


def test_scores_are_compared_with_time_alone(demo: Ready, truth: dict[str, Any]) -> None:
    frontier = truth["frontier"]
    assert [look["share"] for look in frontier["looks"]] == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert frontier["looks"][0]["people"] >= frontier["looks"][0]["stuck"] > 0
    assert "time alone" in demo.result.out.split("Stuck users")[1].split("What the bandit")[0]


@pytest.mark.slow
def test_one_person_and_one_day_make_no_numbers(tmp_path: Path, inside: Inside) -> None:
    result = onramp("demo", "--users", 1, "--days", 1, "--population", PEOPLE, "--json", cwd=tmp_path)
    assert result.code == 0, result.err
    truth = result.json["truth"]
    for name in ("activationRate", "lift", "liftInterval", "trueLift"):
        assert truth[name] is None
    report = inside("report", cwd=tmp_path)
    assert report.code == 0, report.err
    assert "nan" not in report.out


@pytest.mark.slow
def test_in_few_days_there_is_no_table_of_nobody_and_the_scenario_is_named(tmp_path: Path) -> None:
    result = onramp("demo", "--users", 8, "--days", 3, "--scenario", "bots", "--population", PEOPLE, cwd=tmp_path)
    assert result.code == 0, result.err
    assert "Scenario bots: some accounts are automated." in result.out
    assert "No user signed up 7 days ago or longer" in result.out
    assert "activated  rate" not in result.out


def test_a_truth_of_another_form_names_its_file_and_what_can_be_read_without_it(tmp_path: Path, inside: Inside) -> None:
    result = onramp("demo", "--users", 3, "--days", 2, "--population", f"{PEOPLE} vague", cwd=tmp_path)
    assert (result.code, result.out) == (1, "")
    said = result.err.splitlines()[-1]
    assert "onset" in said
    assert "truth.jsonl" in said
    assert said.endswith("onramp report.")
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
        ("babbles", "violates the protocol"),
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
    with running(start("demo", "--users", 40, "--days", 60, "--json", "--population", f"{PEOPLE} slow", cwd=tmp_path)) as job:
        wait_until((tmp_path / ".onramp" / "demo" / "state").exists, "the job's state", within=500, process=job)
        pause(1.0, "the job gets into its input; there are 60 days of it, with a population that takes its time")
        job.send_signal(signal.SIGINT)
        out, err = job.communicate(timeout=500)
    assert (job.returncode, out) == (130, ""), err
    assert err.splitlines()[-1] == "onramp: stopped before its end; run the same command to start over."


def test_never_mixes_with_data_of_ones_own(own: Ready, inside: Inside) -> None:
    before = inside("sql", "SELECT count() AS n FROM events_final", "--json", cwd=own.cwd).json
    try:
        result = onramp("demo", "--users", 5, "--days", 1, "--json", "--population", PEOPLE, cwd=own.cwd)
        assert result.code == 0, result.err
        assert finite(json.loads(result.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON")))
        assert result.json["truth"]["plots"]
        assert inside("sql", "SELECT count() AS n FROM events_final", "--json", cwd=own.cwd).json == before
        into_demo = inside("run", "--input", "events.jsonl", "--data-dir", ".onramp/demo", cwd=own.cwd)
        assert into_demo.code == 1
        assert "belongs to the demo" in into_demo.err
    finally:
        shutil.rmtree(own.cwd / ".onramp" / "demo", ignore_errors=True)  # `own` is shared, and other tests read its messages


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path, inside: Inside) -> None:
    (tmp_path / "data" / "demo").mkdir(parents=True)
    (tmp_path / "data" / "demo" / "mine.txt").write_text("precious")
    result = inside("demo", "--users", 5, "--days", 1, "--data-dir", "data", cwd=tmp_path)
    assert (result.code, result.out) == (1, "")
    assert (tmp_path / "data" / "demo" / "mine.txt").read_text() == "precious"
    assert len(result.err.splitlines()) == 1


WORDS = "Open the page for this step, {firstName}, and take it from the top."
SMALL = ("demo", "--users", 40, "--days", 4, "--population", PEOPLE)


@pytest.mark.slow
def test_without_asking_for_a_model_none_is_asked_whatever_the_environment_names(tmp_path: Path) -> None:
    with ModelServer() as server:
        result = onramp(*SMALL, "--json", cwd=tmp_path, ONRAMP_LLM_URL=server.url, ONRAMP_LLM_API_KEY="correct-horse")
        assert result.code == 0, result.err
        assert not server.requests
    assert "llm" not in result.json


@pytest.fixture(scope="module")
def worded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ready, list[Request]]:
    """A demo with a model, one of whose answers in four is wrong; and what it was asked."""
    cwd = tmp_path_factory.mktemp("worded")
    with ModelServer(every(4, invented_link, changed(text=WORDS, confidence=0.9))) as server:
        settings = {"ONRAMP_LLM_API_KEY": "correct-horse", "ONRAMP_LLM_MODEL": "small", "ONRAMP_LLM_INPUT_PRICE": "1"}
        return Ready(cwd, onramp(*SMALL, "--llm", server.url, "--json", cwd=cwd, **settings)), server.requests


def test_with_a_model_it_tells_what_was_asked_and_what_came_of_it(worded: tuple[Ready, list[Request]]) -> None:
    (_, result), requests = worded
    assert result.code == 0, result.err
    llm = result.json["llm"]
    assert llm["calls"] == len(requests) > 3
    assert requests[0].headers["authorization"] == "Bearer correct-horse"
    assert requests[0].body["model"] == "small"
    assert sum(row["asked"] for row in llm["bySource"]) == llm["asked"]
    assert sum(row["accepted"] for row in llm["bySource"]) == llm["improved"] > 0
    assert llm["bySource"][0]["source"] == "call"
    assert {row["reason"] for row in llm["rejections"]} == {"deep_link"}
    assert llm["costDollars"] == pytest.approx(llm["inputTokens"] / 1e6)
    for example in llm["examples"]:
        assert example["text"].endswith("take it from the top.")
        assert example["template"] != example["text"]
    assert llm["examples"]
    assert "correct-horse" not in result.out + result.err


def test_with_a_model_the_tables_have_texts_beside_templates(tmp_path: Path) -> None:
    with ModelServer(changed(text=WORDS, confidence=0.9)) as server:
        result = onramp(*SMALL, "--llm", server.url, cwd=tmp_path)
    assert result.code == 0, result.err
    assert max(map(len, result.out.splitlines())) <= 80
    section = result.out.split("Model texts")[1]
    assert "the model" in section.split("asked of")[1]
    next_ = result.out.split("What to type next")[1]
    assert "one user's whole history" in next_
    assert "onramp llm try" in next_ or "llm try" in next_
    assert "take it from the top." in section.split("Templates and the texts of the model")[1]


def test_what_is_decided_about_a_model_stays_in_its_demo(tmp_path: Path, inside: Inside) -> None:
    with ModelServer(changed(text=WORDS, confidence=0.9)) as server:
        result = onramp("demo", "--users", 6, "--days", 2, "--population", PEOPLE, "--llm", server.url, "--json", cwd=tmp_path)
    assert result.code == 0, result.err
    assert result.json["llm"]["improved"] > 0
    mark = json.loads((tmp_path / ".onramp" / "demo" / "demo.json").read_bytes())
    assert mark["llm"] == "server"
    assert "Model texts" in inside("report", cwd=tmp_path).out


def test_an_address_that_is_none_is_one_sentence(tmp_path: Path, inside: Inside) -> None:
    """Before the catalog is fitted, which takes seconds."""
    result = inside("demo", "--llm", "models", cwd=tmp_path)
    assert (result.code, result.out, len(result.err.splitlines())) == (1, "", 1)
    assert "--llm cannot be used: the address must begin with http:// or https://" in result.err
    assert not (tmp_path / ".onramp").exists()


def test_without_the_local_model_it_says_what_to_type(tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> Path:
        raise local.LocalModelError("The local model is not installed; `make local-model` installs it.")

    monkeypatch.setattr(local, "weights", absent)
    result = inside("demo", "--llm", "local", cwd=tmp_path)
    assert (result.code, result.out) == (1, "")
    assert result.err.splitlines()[-1] == "onramp: The local model is not installed; `make local-model` installs it."
    assert not (tmp_path / ".onramp").exists()
