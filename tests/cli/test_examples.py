"""The files in examples/, with which a reader makes the first run and the first report."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.command import ROOT, onramp
from tests.cli.conftest import Inside, Ready

EVENTS, CATALOG = ROOT / "examples" / "events.jsonl", ROOT / "examples" / "invoices.yaml"


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    cwd = tmp_path_factory.mktemp("tried")
    return Ready(cwd, onramp("run", "--input", EVENTS, "--catalog", CATALOG, "--json", cwd=cwd))


def test_every_event_is_taken_and_no_figure_of_the_first_report_is_empty(tried: Ready, inside: Inside) -> None:
    assert tried.result.code == 0, tried.result.err
    summary = tried.result.json
    assert (summary["eventsRead"], summary["eventsAccepted"], summary["users"]) == (145, 145, 24)
    report = inside("report", cwd=tried.cwd)
    assert report.code == 0, report.err
    for step in ("company", "first_invoice", "send_invoice"):
        assert re.search(rf"^  {step} +[1-9]\d* +[1-9]\d* ", report.out, re.MULTILINE)
    assert re.search(r"^  adaptive +[1-9]\d* +[1-9]", report.out, re.MULTILINE)
    assert re.search(r"^  first_invoice +stuck:errors +[1-9]", report.out, re.MULTILINE)
    explained = inside("explain", "u-17", cwd=tried.cwd).out
    assert "stuck:errors at first_invoice" in explained
    assert "completed send_invoice" in explained


def test_with_nothing_shown_nothing_is_claimed(tried: Ready, inside: Inside) -> None:
    said = inside("report", cwd=tried.cwd).out
    assert "too few recommendations were shown to say whether being shown depends on the arm" in " ".join(said.split())
    assert "does not depend on the arm" not in said
    beliefs = re.findall(r" 0/0 +\S+ +(\S+)$", said, re.MULTILINE)
    assert len(beliefs) > 4
    assert set(beliefs) == {"–"}


def test_what_the_app_read_at_the_end_of_a_file_is_not_said_of_now(tried: Ready, inside: Inside) -> None:
    assert "u-23: at the end of the log (2026-03-13) the app showed this.\n" in inside("recommend", "u-23", cwd=tried.cwd).out


def test_the_events_the_readme_shows_are_in_the_file(tmp_path: Path) -> None:
    shown = re.findall(r'^\{"eventId".*\}$', (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert shown
    assert set(shown) <= set(EVENTS.read_text(encoding="utf-8").splitlines())
