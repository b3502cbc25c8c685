"""A newcomer's first report: a log, a drafted catalog, a run that only observes."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.cli.command import Result, onramp
from tests.cli.conftest import Inside, Ready

USERS, SCREEN, WIDTH = 240, 24, 100
_LOST_AT = {"upload": (2, 1), "share": (10, 2)}
"""Step -> those are lost there whose number has this remainder."""


def _log() -> str:
    """One user an hour. A step takes 1 to 9 minutes, mostly less than 3."""
    begin, lines = datetime(2026, 1, 5, tzinfo=UTC), []
    for user in range(USERS):
        at = begin + timedelta(hours=user)
        lines.append((at, user, {"eventType": "signup", "payload": {"traits": {}}}))
        for step in ("company", "upload", "share"):
            every, remainder = _LOST_AT.get(step, (1, 1))
            if user % every == remainder:
                break
            at += timedelta(minutes=1 + (user * 7 // 10 % 10) ** 3 / 100)
            lines.append((at, user, {"eventType": "track", "name": step}))
    return "".join(
        json.dumps({"eventId": f"e{number}", "userId": f"u{user}", "timestamp": at.isoformat(), **event}) + "\n"
        for number, (at, user, event) in enumerate(sorted(lines, key=lambda line: line[0]))
    )


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """A directory where the drafted catalog has observed the log."""
    cwd = tmp_path_factory.mktemp("observed")
    (cwd / "log.jsonl").write_text(_log())
    assert onramp("catalog", "draft", "--events", "log.jsonl", "--out", "drafted.yaml", cwd=cwd).code == 0
    return Ready(cwd, onramp("run", "--input", "log.jsonl", "--catalog", "drafted.yaml", cwd=cwd))


@pytest.fixture
def report(observed: Ready, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> Result:
    """The report on a terminal of usual width."""
    assert observed.result.code == 0, observed.result.err
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    return inside("report", cwd=observed.cwd)


def test_the_first_screen_says_where_users_are_lost_how_soon_it_is_known_and_what_guidance_is_worth_at_most(report: Result) -> None:
    assert report.code == 0, report.err
    lines = report.out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    screen = "\n".join(lines[:SCREEN])
    said = " ".join(screen.split())
    assert said.startswith("What observing showed 240 users began; nobody is guided")
    assert "Where: the most users are lost at upload: 119 of 239 who began it (49.8 %) neither completed it nor went past it." in said
    soon = r"How soon: after 0\.\d H there \(.+? at present\) [\d.]+ % of the \d+ called stuck are; they are [\d.]+ % of the \d+ stuck"
    assert re.search(soon, said)
    assert "96 of 240 have activated; of the others 143 are lost at a step, 1 is too new to count." in said
    assert "Guidance that brought every one of them through would add 143: a bound, and no forecast." in said
    assert "H: nine in ten who complete the step without help take no longer." in said
    assert "began leaves out who had done the step before it was next" in said
    places = [screen.index(title) for title in ("What observing showed", "Where users are lost", "How soon it can be known")]
    assert places == sorted(places)
    assert report.out.index("How soon it can be known") < report.out.index("Activation so far")


def test_it_says_nothing_that_only_an_experiment_can(report: Result) -> None:
    for section in ("Activation within 7 days", "Stuck users", "best fixed timeout"):
        assert section not in report.out


def test_json_has_the_same_of_all_steps(observed: Ready, inside: Inside) -> None:
    whole = inside("report", "--json", cwd=observed.cwd).json
    found = whole["observed"]
    assert found["tenantId"] == whole["guidance"]["tenantId"] == "default"
    steps = {step["stepId"]: step for step in found["steps"]}
    assert [(step["stepId"], step["lost"]) for step in found["steps"]] == [("upload", 119), ("share", 24), ("company", 0)]
    assert all(step["began"] == step["completed"] + step["passed"] + step["lost"] + step["tooEarly"] for step in steps.values())
    assert steps["upload"]["lostShare"] == 119 / 239
    look = next(look for look in steps["upload"]["looks"] if look["share"] == steps["upload"]["knownAtShare"])
    assert look["precision"] == look["right"] / look["called"] >= 0.75
    assert found["atMostMoreActivated"] == found["users"] - found["activated"] - found["tooEarly"] == found["lost"]
    assert found["wentAnotherWay"] == 0
    assert "the most users are lost at upload" in found["summary"]["where"]
    assert found["frontier"] == whole["verdict"]["frontier"]
    rows = inside("sql", "SELECT count() AS n FROM stuck_scores_final", "--json", cwd=observed.cwd).json["rows"]
    assert sum(each["people"] for each in found["frontier"]["looks"]) <= rows[0]["n"]


def test_a_user_is_of_the_same_group_in_explain_as_in_the_report(observed: Ready, report: Result, inside: Inside) -> None:
    (group,) = inside("report", "--json", cwd=observed.cwd).json["experiment_groups"]
    assert group["experiment_group"] == "observing"
    assert "observing" in report.out
    assert ", group observing, " in inside("explain", "u1", cwd=observed.cwd).out
    person = inside("explain", "u1", "--json", cwd=observed.cwd).json["person"]
    assert (person["userId"], person["experimentGroup"]) == ("u1", "observing")
    assert "version" not in person


def test_a_run_that_guides_is_not_reported_as_observing(demo: Ready, inside: Inside) -> None:
    assert inside("report", "--json", cwd=demo.cwd).json["observed"] is None
    assert "What observing showed" not in inside("report", cwd=demo.cwd).out
