"""``onramp guidance``: switches for operators, for runs on files; what is shown of them, and what is refused."""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import pytest

from local.data_dir import DataDir
from reports.switches import sentence
from sources.local_log.log import EventLog
from tests.cli.command import ROOT, onramp
from tests.cli.conftest import Inside, Ready

ONE_TENANT = (ROOT / "catalog" / "saas.yaml").read_text().replace("\nversion:", "\ntenants: [acme]\nversion:", 1)


def signups(path: Path, *users: str) -> None:
    with path.open("a") as file:
        for number, user in enumerate(users):
            event = {
                "eventId": f"{user}-1", "userId": user, "eventType": "signup", "timestamp": f"2026-01-05T10:00:{number:02}Z",
                "payload": {"traits": {"persona": "analyst"}},
            }  # fmt: skip
            file.write(json.dumps(event) + "\n")


def reasons(inside: Inside, cwd: Path) -> dict[str, str]:
    rows = inside("sql", "SELECT user_id, reason FROM decisions_final WHERE trigger = 'signup'", "--json", cwd=cwd).json["rows"]
    return {row["user_id"]: row["reason"] for row in rows}


def test_a_pause_holds_for_the_next_run_on_a_file_and_is_told_with_who_and_why(tmp_path: Path, inside: Inside) -> None:
    run = ("run", "--input", "events.jsonl", "--json")
    signups(tmp_path / "events.jsonl", "ann")
    assert onramp(*run, cwd=tmp_path).code == 0
    paused = inside("guidance", "pause", "--because", "the text is [wrong]", cwd=tmp_path)
    assert paused.code == 0, paused.err
    said = " ".join(paused.out.split())
    assert f"will be paused for everybody, by {getpass.getuser()}, when the next run on a file goes on" in said
    before = inside("guidance", "status", "--json", cwd=tmp_path).json
    assert (before["paused"], before["switches"], [each["action"] for each in before["waiting"]]) == (False, [], ["pause"])

    signups(tmp_path / "events.jsonl", "ben", "cyd")
    assert onramp(*run, cwd=tmp_path).code == 0
    told = inside("guidance", "status", "--json", cwd=tmp_path).json
    assert (told["paused"], told["share"], told["waiting"]) == (True, 1.0, [])
    (switch,) = told["switches"]
    assert (switch["action"], switch["by"], switch["because"]) == ("pause", getpass.getuser(), "the text is [wrong]")
    assert switch["inForceAt"].startswith("2026-01-05T10:00:00.000")
    found = reasons(inside, tmp_path)
    assert found["ann"] != "guidance_paused"
    assert (found["ben"], found["cyd"]) == ("guidance_paused", "guidance_paused")
    report = inside("report", cwd=tmp_path).out
    assert "Guidance is paused for everybody." in report
    assert "the text is [wrong]" in report
    assert inside("report", "--json", cwd=tmp_path).json["guidance"]["paused"] is True

    for arguments in (("resume", "--by", "eva"), ("ramp", "0.25", "--by", "eva")):
        assert inside("guidance", *arguments, cwd=tmp_path).code == 0
    shown = inside("guidance", "status", cwd=tmp_path).out
    assert "Guidance is paused for everybody." in shown
    listed = [line.split() for line in shown.splitlines() if " eva " in line or getpass.getuser() in line]
    assert [words[2] for words in listed] == ["ramp", "resume", "pause"]
    assert "when it is read" in " ".join(listed[0])


@pytest.mark.parametrize(
    ("paused", "share", "said"),
    [
        (False, 1.0, "Guidance is on."),
        (False, 0.25, "Guidance is on for 25.0 % of the users; the others get none."),
        (True, 1.0, "Guidance is paused for everybody."),
        (True, 0.25, "Guidance is paused for everybody; after that 25.0 % of the users may be guided."),
    ],
)
def test_what_holds_is_one_sentence(paused: bool, share: float, said: str) -> None:
    assert sentence({"paused": paused, "share": share, "switches": []}) == said


def test_status_names_what_it_is_about_and_says_where_there_is_no_data(tmp_path: Path, inside: Inside) -> None:
    nothing = inside("guidance", "status", cwd=tmp_path)
    assert (nothing.code, nothing.out) == (1, "")
    assert "There is no data in .onramp yet" in nothing.err
    DataDir.create(tmp_path / ".onramp")
    result = inside("guidance", "status", cwd=tmp_path)
    assert (result.code, result.out.split("\n")[:2]) == (0, ["  Guidance is on.", "  That is about runs on files in .onramp."])


@pytest.mark.parametrize("arguments", [("guidance", "pause"), ("guidance", "status"), ("forget", "u-1", "--yes"), ("export", "u-1")])
def test_the_directory_around_that_of_onramp_up_is_not_taken_for_it(tmp_path: Path, inside: Inside, arguments: tuple[str, ...]) -> None:
    DataDir.create(tmp_path / ".onramp")
    DataDir.create(tmp_path / ".onramp" / "live").bind_input("the event log")
    refused = inside(*arguments, "--data-dir", ".onramp", cwd=tmp_path)
    assert (refused.code, refused.out) == (1, "")
    assert "has its data in .onramp/live: name that directory with --data-dir" in " ".join(refused.err.split())
    assert not list(tmp_path.glob(".onramp/*.jsonl"))
    DataDir(tmp_path / ".onramp").bind_input("files")
    if arguments[0] == "guidance":
        assert inside(*arguments, "--data-dir", ".onramp", cwd=tmp_path).code == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("ramp",), "SHARE"),
        (("ramp", "1.5"), "1.5"),
        (("ramp", "half"), "half"),
        (("pause", "--by", ""), "--by"),
        (("pause", "--by", "undefined"), "undefined"),
        (("pause", "--tenant", "a:b"), "tenantId"),
    ],
)
def test_what_the_job_would_reject_is_not_sent(tmp_path: Path, inside: Inside, arguments: tuple[str, ...], complaint: str) -> None:
    DataDir.create(tmp_path / ".onramp")
    result = inside("guidance", *arguments, cwd=tmp_path)
    assert result.code in (1, 2)
    assert complaint in result.err
    assert not (tmp_path / ".onramp" / "guidance.jsonl").exists()


def test_the_demo_is_not_switched(demo: Ready, inside: Inside) -> None:
    result = inside("guidance", "pause", "--data-dir", demo.cwd / ".onramp" / "demo", cwd=demo.cwd)
    assert result.code == 1
    assert "belongs to the demo" in result.err


@pytest.mark.parametrize("arguments", [("pause", "--tenant", "acmee"), ("pause",), ("ramp", "0.5"), ("status",)])
def test_a_tenant_whom_the_job_has_no_catalog_for_is_not_switched(
    tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    DataDir.create(tmp_path / ".onramp")
    (tmp_path / "catalogs").mkdir()
    (tmp_path / "catalogs" / "one.yaml").write_text(ONE_TENANT)
    monkeypatch.setenv("ONRAMP_CATALOG", "catalogs")
    refused = inside("guidance", *arguments, cwd=tmp_path)
    assert (refused.code, refused.out) == (1, "")
    assert f"no catalog in catalogs is for the tenant {'acmee' if '--tenant' in arguments else 'default'}, only for acme" in refused.err
    assert "--tenant" in refused.err
    assert not (tmp_path / ".onramp" / "guidance.jsonl").exists()
    assert inside("guidance", "pause", "--tenant", "acme", cwd=tmp_path).code == 0
    assert [each["action"] for each in inside("guidance", "status", "--tenant", "acme", "--json", cwd=tmp_path).json["waiting"]] == [
        "pause"
    ]


def test_a_pause_does_not_wait_until_a_catalog_is_mended(tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job runs with what it read at its start."""
    DataDir.create(tmp_path / ".onramp")
    (tmp_path / "mine.yaml").write_text("id: [")
    monkeypatch.setenv("ONRAMP_CATALOG", "mine.yaml")
    paused = inside("guidance", "pause", cwd=tmp_path)
    assert paused.code == 0
    assert (tmp_path / ".onramp" / "guidance.jsonl").exists()
    assert "Whether the job has a catalog for the tenant default is not known: mine.yaml:1: not valid YAML" in paused.err


# a job that is live


@pytest.mark.parametrize(("reads", "variable"), [("the event log", "ONRAMP_EVENT_LOG"), ("the topic acts", "ONRAMP_KAFKA_BROKERS")])
@pytest.mark.parametrize("arguments", [("pause",), ("resume",), ("ramp", "0.5"), ("status",)])
def test_a_live_job_is_not_switched_without_the_setting_of_its_input(
    tmp_path: Path, inside: Inside, reads: str, variable: str, arguments: tuple[str, ...]
) -> None:
    DataDir.create(tmp_path / "jd").bind_input(reads)
    refused = inside("guidance", *arguments, "--data-dir", "jd", cwd=tmp_path)
    assert (refused.code, refused.out) == (1, "")
    assert f"reads {reads}, and {variable} is not set here. Set {variable}" in refused.err
    assert not list(tmp_path.glob("jd/*.jsonl")), "nothing was written, and nothing was done"


def test_a_switch_for_another_topic_or_for_a_log_that_is_not_there_is_refused(
    tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    DataDir.create(tmp_path / "jd").bind_input("the topic acts")
    monkeypatch.setenv("ONRAMP_KAFKA_BROKERS", "127.0.0.1:1")
    refused = inside("guidance", "pause", "--data-dir", "jd", cwd=tmp_path)
    assert refused.code == 1
    assert "reads the topic acts, and the settings here name the topic onboarding.events" in refused.err
    monkeypatch.delenv("ONRAMP_KAFKA_BROKERS")
    monkeypatch.setenv("ONRAMP_EVENT_LOG", "mistyped")
    refused = inside("guidance", "pause", cwd=tmp_path)
    assert refused.code == 1
    assert "There is no event log mistyped, so no job reads it" in refused.err
    assert {path.name for path in tmp_path.iterdir()} == {"jd"}


@pytest.mark.parametrize("arguments", [("pause",), ("resume",), ("ramp", "0.5")])
def test_a_directory_that_does_not_exist_is_not_switched(tmp_path: Path, inside: Inside, arguments: tuple[str, ...]) -> None:
    refused = inside("guidance", *arguments, "--data-dir", "none", cwd=tmp_path)
    assert (refused.code, refused.out) == (1, "")
    assert "There is no data in none yet" in refused.err
    assert not (tmp_path / "none").exists()


def test_a_pause_of_a_live_job_does_not_wait_until_the_notes_of_the_directory_are_mended(
    tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DataDir.create(tmp_path / "jd").path
    (data / "run.json").write_text("{")
    EventLog(tmp_path / "log", retention=None).close()
    monkeypatch.setenv("ONRAMP_EVENT_LOG", "log")
    paused = inside("guidance", "pause", "--data-dir", "jd", cwd=tmp_path)
    assert paused.code == 0, paused.err
    assert "is paused for everybody" in " ".join(paused.out.split())
    assert "run.json is damaged" in paused.err


def test_status_tells_of_a_switch_that_the_live_job_has_not_read_yet(
    tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    EventLog(tmp_path / "log", retention=None).close()
    monkeypatch.setenv("ONRAMP_EVENT_LOG", "log")
    assert inside("guidance", "ramp", "0.1", "--by", "eva", cwd=tmp_path).code == 0
    assert inside("guidance", "pause", "--tenant", "acme", cwd=tmp_path).code == 0
    shown = inside("guidance", "status", cwd=tmp_path).out
    assert "The job has not told yet that it has read what was switched since:" in shown
    (line,) = [line for line in shown.splitlines() if " eva " in line]
    assert "ramp 10.0 %" in line
    assert "when it is read" in line
    waiting = inside("guidance", "status", "--json", cwd=tmp_path).json["waiting"]
    assert [(each["action"], each["share"], each["by"]) for each in waiting] == [("ramp", 0.1, "eva")]


def test_a_switch_that_was_written_for_runs_on_files_does_not_wait_for_the_live_job(
    tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    DataDir.create(tmp_path / ".onramp")
    assert inside("guidance", "pause", "--json", cwd=tmp_path).json["live"] is False
    EventLog(tmp_path / "log", retention=None).close()
    monkeypatch.setenv("ONRAMP_EVENT_LOG", "log")
    assert inside("guidance", "status", "--json", cwd=tmp_path).json["waiting"] == []
    sent = inside("guidance", "ramp", "0.1", "--json", cwd=tmp_path).json["id"]
    assert [each["id"] for each in inside("guidance", "status", "--json", cwd=tmp_path).json["waiting"]] == [sent]
