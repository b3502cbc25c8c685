"""A product that observed first and then guided: what the commands that read know of its catalogs, without being given one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.cli.command import ROOT, onramp
from tests.cli.conftest import Inside, Ready

OBSERVED, GUIDED = 60, 80


def _events(first: int, users: int) -> str:
    """One user an hour: each signs up, and every second one fills in the form."""
    lines = []
    for user in range(first, first + users):
        at = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(hours=user)
        lines.append((at, user, {"eventType": "signup", "payload": {"traits": {}}}))
        if user % 2:
            lines.append((at + timedelta(minutes=5), user, {"eventType": "form_submit", "payload": {"form": "company"}}))
    return "".join(
        json.dumps({"eventId": f"e{at.isoformat()}", "userId": f"u{user}", "timestamp": at.isoformat(), **event}) + "\n"
        for at, user, event in lines
    )


@pytest.fixture(scope="module")
def guided(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """A directory where the job ran with two versions of a catalog of its own."""
    cwd = tmp_path_factory.mktemp("guided")
    text = (ROOT / "examples" / "invoices.yaml").read_text(encoding="utf-8")
    edited = text.replace("version: 1\n", "version: 2\nholdout: 0.3\nrules: 0.2\nlimits: {attribution_window: 48h}\n")
    edited = edited.replace("title: To the first invoice,", "title: To the first invoice, order: strict,")
    results = []
    for catalog, users in ((text.replace("version: 1\n", "version: 1\nobserve: true\n"), OBSERVED), (edited, OBSERVED + GUIDED)):
        (cwd / "own.yaml").write_text(catalog)
        (cwd / "events.jsonl").write_text(_events(0, users))
        results.append(onramp("run", "--input", "events.jsonl", "--catalog", "own.yaml", cwd=cwd))
        assert results[-1].code == 0, results[-1].err
    return Ready(cwd, results[-1])


def test_the_catalogs_are_on_record(guided: Ready, inside: Inside) -> None:
    sql = "SELECT catalog_version AS c, holdout, rules, attribution_window_ms AS w, strict_paths AS s FROM catalogs_final ORDER BY c"
    found = inside("sql", sql, "--json", cwd=guided.cwd).json["rows"]
    assert found == [
        {"c": "invoices@1", "holdout": 1.0, "rules": 0.0, "w": 86_400_000, "s": []},
        {"c": "invoices@2", "holdout": 0.3, "rules": 0.2, "w": 172_800_000, "s": ["everyone"]},
    ]


def test_the_report_takes_shares_from_the_record_and_leaves_out_who_came_before(guided: Ready, inside: Inside) -> None:
    verdict = inside("report", "--json", cwd=guided.cwd).json["verdict"]
    sizes = verdict["sampleRatio"]
    assert sizes["ok"]
    assert (sum(sizes["counts"].values()), sizes["observing"], sizes["unknown"]) == (GUIDED, OBSERVED, 0)
    assert sizes["shares"] == pytest.approx({"holdout": 0.3, "rules": 0.2, "adaptive": 0.5})
    said = " ".join(inside("report", cwd=guided.cwd).out.split())
    assert f"left out: {OBSERVED} who came while the catalog only observed" in said
    assert f"{OBSERVED} users are left out: they came while the catalog only observed" in said


def test_evaluate_takes_the_window_from_the_record(guided: Ready, inside: Inside) -> None:
    result = inside("evaluate", "--policy", "uniform", cwd=guided.cwd)
    assert "for its full attribution window (2.0 d)" in result.err
