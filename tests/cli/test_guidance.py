"""``onramp guidance``: switches for people in charge, for runs on files; what is shown of them, and what is refused."""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import pytest

from reports.switches import sentence
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
    assert f"is paused for everybody, by {getpass.getuser()}" in " ".join(paused.out.split())
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


def test_status_of_a_directory_without_a_run_says_that_guidance_is_on(tmp_path: Path, inside: Inside) -> None:
    result = inside("guidance", "status", cwd=tmp_path)
    assert (result.code, result.out.strip()) == (0, "Guidance is on.")


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
    (tmp_path / "mine.yaml").write_text("id: [")
    monkeypatch.setenv("ONRAMP_CATALOG", "mine.yaml")
    paused = inside("guidance", "pause", cwd=tmp_path)
    assert paused.code == 0
    assert (tmp_path / ".onramp" / "guidance.jsonl").exists()
    assert "Whether the job has a catalog for the tenant default is not known: mine.yaml:1: not valid YAML" in paused.err
