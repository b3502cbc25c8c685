"""``onramp catalog draft`` and ``onramp catalog fit`` on logs like a reader's."""

from __future__ import annotations

import gzip
import json
import os
import re
from pathlib import Path

import pytest

from cli.catalog_fit import readable
from cli.support.events_file import EventsFile
from state.catalog.evidence_weights import render
from tests.cli.command import ROOT
from tests.cli.conftest import Inside
from tests.evaluation import two_step_log

EVENTS = ROOT / "examples" / "events.jsonl"
CATALOG = """\
id: mine
version: 1
product: Mine
observe: true
steps:
  - id: one  # the first
    title: one
    typical: 5m
    complete: [{type: track, name: one}]
  - {id: two, title: two, usual: 2h, complete: [{type: track, name: two}]}
paths:
  - {id: all, title: all, steps: [one, two]}
"""


def _line(number: int, user: int, second: int, name: str) -> str:
    time = f"2026-01-05T{10 + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"
    kind = {"eventType": "track", "name": name} if name else {"eventType": "signup", "payload": {"traits": {}}}
    return json.dumps({"eventId": f"e{number}-{user}-{name}", "userId": f"u{user}", "timestamp": time, **kind})


def _write_log(path: Path, *, users: int, second: int) -> None:
    """Everybody needs 40 s for the first step; the first so many go on to the second, a minute later."""
    lines = [
        (user * 60 + after, _line(0, user, user * 60 + after, name)) for user in range(users) for after, name in ((0, ""), (40, "one"))
    ]
    lines += [(user * 60 + 100, _line(0, user, user * 60 + 100, "two")) for user in range(second)]
    path.write_text("\n".join(line for _, line in sorted(lines)) + "\n")


def test_a_draft_passes_the_check_and_is_the_same_twice(tmp_path: Path, inside: Inside) -> None:
    (tmp_path / "log.jsonl.gz").write_bytes(gzip.compress(EVENTS.read_bytes()))
    result = inside("catalog", "draft", "--events", "log.jsonl.gz", "--product", "Ledgerly", "--out", "mine.yaml", cwd=tmp_path)
    assert (result.code, result.out) == (0, "")
    assert result.err.startswith("onramp: mine.yaml has 3 steps, and users are activated by invoice_sent.")
    checked = inside("catalog", "check", "mine.yaml", cwd=tmp_path)
    assert (checked.code, checked.out) == (0, "mine.yaml is valid: draft 1 with 1 path, 3 steps, 0 arms.\n")
    shown = inside("catalog", "draft", "--events", EVENTS, "--product", "Ledgerly", cwd=tmp_path)
    assert shown.out == (tmp_path / "mine.yaml").read_text()
    assert "steps: [company, invoice_created, invoice_sent]\n" in shown.out


def test_who_switched_guidance_is_no_user_of_the_log(tmp_path: Path, inside: Inside) -> None:
    _write_log(tmp_path / "log.jsonl", users=60, second=20)
    switch = {"eventId": "s", "userId": "boss", "eventType": "guidance_switched", "timestamp": "2026-01-05T09:00:00Z"}
    (tmp_path / "more.jsonl").write_text(
        json.dumps({**switch, "payload": {"action": "pause"}}) + "\n" + (tmp_path / "log.jsonl").read_text()
    )
    plain, more = (inside("catalog", "draft", "--events", name, "--json", cwd=tmp_path).json for name in ("log.jsonl", "more.jsonl"))
    assert plain["users"] == 60
    assert {**more, "linesLeftOut": {}} == {**plain, "linesLeftOut": {}}


def test_an_existing_catalog_is_not_overwritten(tmp_path: Path, inside: Inside) -> None:
    (tmp_path / "mine.yaml").write_text("mine")
    result = inside("catalog", "draft", "--events", EVENTS, "--out", "mine.yaml", cwd=tmp_path)
    assert (result.code, (tmp_path / "mine.yaml").read_text()) == (2, "mine")
    assert "there is already 'mine.yaml'" in result.err


def test_bad_lines_are_counted_and_named(tmp_path: Path, inside: Inside) -> None:
    bad = ["not JSON", '{"eventId": "x"}', "[1"]
    lines = EVENTS.read_text().splitlines()
    (tmp_path / "log.jsonl").write_text("\n".join([*lines[:5], *bad, *lines[5:]]) + "\n")
    result = inside("catalog", "draft", "--events", "log.jsonl", "--json", cwd=tmp_path)
    assert result.code == 0
    assert result.json["linesLeftOut"] == {"missing_event_type": {"lines": 1, "firstLine": 7}, "not_json": {"lines": 2, "firstLine": 6}}
    assert "2 lines were left out, the first is line 6: the message is not JSON" in result.err
    assert result.json["events"] == 145


def test_a_file_is_read_twice_for_a_fit_but_its_faults_are_told_once(tmp_path: Path, inside: Inside) -> None:
    _write_log(tmp_path / "log.jsonl", users=60, second=20)
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write("not JSON\n")
    (tmp_path / "mine.yaml").write_text(CATALOG)
    result = inside("catalog", "fit", "--events", "log.jsonl", "--catalog", "mine.yaml", "--json", cwd=tmp_path)
    assert result.json["linesLeftOut"] == {"not_json": {"lines": 1, "firstLine": result.json["linesLeftOut"]["not_json"]["firstLine"]}}
    assert result.err.count("left out") == 1


def test_a_fit_of_a_fitted_catalog_changes_nothing(tmp_path: Path, inside: Inside) -> None:
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(line for _, line in two_step_log.lines(1_500)))
    (tmp_path / "mine.yaml").write_text(two_step_log.CATALOG)
    arguments = ("catalog", "fit", "--events", "log.jsonl", "--catalog", "mine.yaml", "--write")
    first = inside(*arguments, cwd=tmp_path)
    assert first.code == 0
    assert re.search(r'^\+  evidence: \{.*, weights: "[^"]{20}…"\}$', first.out, re.MULTILINE)
    again = inside(*arguments, cwd=tmp_path)
    assert (again.out, again.code) == ("", 0)
    assert again.err.endswith("onramp: nothing changes.\n")


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ("[one, two], activated_by: [one]", "60 users did it after activation, when nobody waits at it."),
        ("[two, one]", "60 users did it in another order or at once, when nobody waits at it."),
    ],
)
def test_a_fit_says_who_did_a_step_without_having_waited_at_it(paths: str, said: str, tmp_path: Path, inside: Inside) -> None:
    _write_log(tmp_path / "log.jsonl", users=60, second=60)
    (tmp_path / "mine.yaml").write_text(CATALOG.replace("[one, two]", paths))
    arguments = ("catalog", "fit", "--events", "log.jsonl", "--catalog", "mine.yaml")
    few = "0 completions by users who waited at it, too few to set its times (50 are needed)"
    assert f": {few}. {said}\n" in inside(*arguments, cwd=tmp_path).err
    found = inside(*arguments, "--json", cwd=tmp_path).json["steps"]
    assert {each["completedAfterActivation"] + each["completedOutOfTurn"] for each in found if each["completions"] == 0} == {60}


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    assert not EventsFile(tmp_path / "log", "onramp").can_be_read_again


def test_the_end_of_weights_is_left_out_of_the_diff_on_a_terminal() -> None:
    weights = render(dict.fromkeys(range(50), (0.5, 0.01)))
    diff = f'+  evidence: {{trust: [1, 1, 1, 1, 1, 1], weights: "{weights}"}}\n+  - {{id: long, title: "{"x" * 500}"}}\n'
    assert readable(diff) == diff.replace(weights, f"{weights[:20]}…")


@pytest.mark.parametrize("command", [["draft"], ["fit", "--catalog", "mine.yaml"]])
@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "The input is empty"), (b"[{}]\n", "jq -c '.[]' log.jsonl | onramp catalog "), (b"\x1f\x8bbroken", "is damaged")],
)
def test_a_log_without_events_is_refused_in_one_sentence(
    tmp_path: Path, inside: Inside, command: list[str], content: bytes, words: str
) -> None:
    (tmp_path / "mine.yaml").write_text(CATALOG)
    (tmp_path / "log.jsonl").write_bytes(content)
    result = inside("catalog", *command, "--events", "log.jsonl", cwd=tmp_path)
    assert (result.code, result.out) == (1, "")
    assert words in result.err
    assert "Traceback" not in result.err


def test_fit_shows_the_diff_and_writes_when_told(tmp_path: Path, inside: Inside) -> None:
    _write_log(tmp_path / "log.jsonl", users=60, second=20)
    (tmp_path / "mine.yaml").write_text(CATALOG)
    arguments = ("catalog", "fit", "--events", "log.jsonl", "--catalog", "mine.yaml")
    result = inside(*arguments, cwd=tmp_path)
    assert result.code == 0
    assert [line for line in result.out.splitlines() if line[0] in "+-"] == [
        "--- mine.yaml",
        "+++ mine.yaml",
        "-    typical: 5m",
        "+    typical: 40s",
        "+    measured: 60",
        "+    usual: 40s",
        "+    waiting: [0.01, 0.01, 0.01, 0.01, 0.01, 0.01]",
    ]
    assert "onramp: one: 60 completions; typical 40s, usual 40s, waiting [0.01, 0.01, 0.01, 0.01, 0.01, 0.01].\n" in result.err
    assert "onramp: two: 20 completions, too few to set its times (50 are needed).\n" in result.err
    assert (tmp_path / "mine.yaml").read_text() == CATALOG
    assert inside(*arguments, "--write", "--json", cwd=tmp_path).json["written"] is True
    assert (tmp_path / "mine.yaml").read_text() == CATALOG.replace(
        "typical: 5m", "typical: 40s\n    measured: 60\n    usual: 40s\n    waiting: [0.01, 0.01, 0.01, 0.01, 0.01, 0.01]"
    )
    again = inside(*arguments, "--write", cwd=tmp_path)
    assert (again.code, again.out) == (0, "")
    assert again.err.endswith("onramp: nothing changes.\n")


def _write_log_of_tenants(path: Path, **seconds: int) -> None:
    """60 users of each tenant, who need so long for the first step."""
    lines = []
    for tenant, second in seconds.items():
        for user in range(60):
            for at, name in ((user * 60, ""), (user * 60 + second, "one"), (user * 60 + second + 5, "two")):
                event = json.loads(_line(0, user, at, name))
                lines.append((at, json.dumps(event if tenant == "default" else {**event, "tenantId": tenant})))
    path.write_text("\n".join(line for _, line in sorted(lines)) + "\n")


def test_a_fit_measures_only_the_tenants_of_the_catalog(tmp_path: Path, inside: Inside) -> None:
    _write_log_of_tenants(tmp_path / "log.jsonl", acme=40, other=4_000, default=8_000)
    (tmp_path / "mine.yaml").write_text(f"tenants: [acme]\n{CATALOG}")
    arguments = ("catalog", "fit", "--events", "log.jsonl", "--catalog", "mine.yaml")
    found = inside(*arguments, "--json", cwd=tmp_path).json
    assert found["steps"][0]["completions"] == 60
    assert found["steps"][0]["changes"]["usual"] == "40s"
    assert found["eventsOfOtherTenants"] == 2 * 60 * 3
    assert inside(*arguments, cwd=tmp_path).err.count("onramp: 360 events of other tenants than acme were left out.\n") == 1


def test_an_event_without_a_tenant_is_of_the_tenant_default(tmp_path: Path, inside: Inside) -> None:
    _write_log_of_tenants(tmp_path / "log.jsonl", acme=4_000, default=40)
    (tmp_path / "mine.yaml").write_text(f"tenants: [default]\n{CATALOG}")
    found = inside("catalog", "fit", "--events", "log.jsonl", "--catalog", "mine.yaml", "--json", cwd=tmp_path).json
    assert (found["steps"][0]["completions"], found["steps"][0]["changes"]["usual"]) == (60, "40s")


def test_a_fit_takes_one_tenant_of_several(tmp_path: Path, inside: Inside) -> None:
    _write_log_of_tenants(tmp_path / "log.jsonl", acme=40, other=4_000)
    (tmp_path / "mine.yaml").write_text(CATALOG)
    arguments = ("catalog", "fit", "--events", "log.jsonl", "--catalog", "mine.yaml")
    assert inside(*arguments, "--json", cwd=tmp_path).json["steps"][0]["completions"] == 120
    assert inside(*arguments, "--tenant", "acme", "--json", cwd=tmp_path).json["steps"][0]["completions"] == 60
    (tmp_path / "mine.yaml").write_text(f"tenants: [acme]\n{CATALOG}")
    refused = inside(*arguments, "--tenant", "other", cwd=tmp_path)
    assert (refused.code, "the catalog is for acme" in refused.err) == (2, True)


@pytest.mark.parametrize("command", [["draft"], ["fit", "--catalog", "mine.yaml"]])
def test_a_log_without_the_tenant_is_refused_with_those_that_it_has(tmp_path: Path, inside: Inside, command: list[str]) -> None:
    _write_log_of_tenants(tmp_path / "log.jsonl", acme=40, other=4_000)
    (tmp_path / "mine.yaml").write_text(CATALOG)
    result = inside("catalog", *command, "--events", "log.jsonl", "--tenant", "acne", cwd=tmp_path)
    assert (result.code, result.out) == (1, "")
    assert "the log holds no event of the tenant acne; it has events of acme and other." in result.err


def test_a_draft_of_a_log_of_several_tenants_says_that_they_are_mixed(tmp_path: Path, inside: Inside) -> None:
    _write_log_of_tenants(tmp_path / "log.jsonl", acme=40, other=4_000)
    mixed = inside("catalog", "draft", "--events", "log.jsonl", "--json", cwd=tmp_path)
    assert mixed.json["users"] == 120
    assert "the log has events of 2 tenants, acme and other, which the draft mixes; choose one with --tenant." in mixed.err
    assert "tenants:" not in mixed.json["catalog"]
    one = inside("catalog", "draft", "--events", "log.jsonl", "--tenant", "acme", "--json", cwd=tmp_path)
    assert (one.json["users"], one.json["eventsOfOtherTenants"]) == (60, 180)
    assert "mixes" not in one.err
    assert "tenants: [acme]" in one.json["catalog"]
    only = inside("catalog", "draft", "--events", EVENTS, "--tenant", "default", "--json", cwd=tmp_path)
    assert ("tenants:" in only.json["catalog"], only.json["eventsOfOtherTenants"]) == (False, 0)


def test_a_fit_tells_which_traits_of_the_log_the_catalog_does_not_keep(tmp_path: Path, inside: Inside) -> None:
    _write_log(tmp_path / "log.jsonl", users=60, second=20)
    traits = {"plan": "pro", "age": 30, "email": "ana@example.com"}
    event = {"eventId": "i", "userId": "u1", "eventType": "identify", "timestamp": "2026-01-05T20:00:00Z", "payload": {"traits": traits}}
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write(json.dumps(event) + "\n")
    (tmp_path / "mine.yaml").write_text(f"traits: [age]\n{CATALOG}")
    arguments = ("catalog", "fit", "--events", "log.jsonl", "--catalog", "mine.yaml")
    assert inside(*arguments, "--json", cwd=tmp_path).json["traitsNotKept"] == {"plan": 1}
    assert "Traits that the catalog does not keep were left out: plan 1." in inside(*arguments, cwd=tmp_path).err


def test_a_catalog_with_faults_is_not_fitted(tmp_path: Path, inside: Inside) -> None:
    (tmp_path / "bad.yaml").write_text("id: 3\n")
    result = inside("catalog", "fit", "--events", EVENTS, "--catalog", "bad.yaml", cwd=tmp_path)
    assert (result.code, result.out) == (1, "")
    assert "bad.yaml:1: id: " in result.err
