"""The demo: what it shows, and what it leaves alone."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from tests.flows.cli.command import onramp
from tests.flows.cli.conftest import Inside, Ready


def test_ends_in_tables_that_fit_the_screen(demo: Ready) -> None:
    assert demo.result.code == 0, demo.result.err
    for section in ("Activation", "Time from sign-up", "Path ", "Stuck, as noticed", "Arms", "nothing shown because", "What to type next"):
        assert section in demo.result.out
    assert max(map(len, demo.result.out.splitlines())) <= 80
    assert "Simulated 60 people" in demo.result.err


def test_what_to_type_next_works_as_it_is_printed(demo: Ready, inside: Inside) -> None:
    for command, _ in re.findall(r"^  (onramp (?:explain|recommend) .+?)(  |$)", demo.result.out, re.MULTILINE):
        result = inside(*shlex.split(command)[1:], cwd=demo.cwd)
        assert result.code == 0, result.err
        assert result.out


def test_typed_again_it_starts_over_and_says_the_same(demo: Ready, inside: Inside) -> None:
    before = _decisions(inside, demo.cwd)
    again = onramp("demo", "--users", 60, "--days", 5, "--json", cwd=demo.cwd)
    assert again.code == 0, again.err
    assert again.json["eventsRead"] == again.json["thisRun"]["eventsRead"] > 0
    assert set(again.json["truth"]) >= {"stuckPrecision", "stuckRecall"}
    assert len(_decisions(inside, demo.cwd)) == len(before) > 0


def test_never_mixes_with_data_of_ones_own(own: Ready, inside: Inside) -> None:
    before = inside("sql", "SELECT count() AS n FROM events_final", "--json", cwd=own.cwd).json
    result = onramp("demo", "--users", 5, "--days", 1, "--json", cwd=own.cwd)
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


def test_the_simulation_is_that_of_the_simulate_command(demo: Ready, inside: Inside) -> None:
    result = inside("simulate", "--users", 60, "--days", 5, "--out", "again.jsonl", "--json", cwd=demo.cwd)
    assert result.json["events"] == len((demo.cwd / "again.jsonl").read_bytes().splitlines())
    assert (demo.cwd / "again.jsonl").read_bytes() == (demo.cwd / ".onramp" / "demo" / "events.jsonl").read_bytes()
    assert json.loads((demo.cwd / ".onramp" / "demo" / "demo.json").read_text())["users"] == 60


def _decisions(inside: Inside, cwd: Path) -> list[object]:
    rows = inside("sql", "SELECT user_id, trigger, outcome FROM decisions_final", "--json", cwd=cwd).json["rows"]
    assert isinstance(rows, list)
    return rows
