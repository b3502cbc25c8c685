"""``onramp explain`` says why a user is on a path, and when the path changed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import ROOT, onramp
from tests.cli.conftest import Inside, Ready

CATALOG = (ROOT / "examples" / "invoices.yaml").read_text(encoding="utf-8").partition("paths:")[0]
PATHS = """
paths:
  - {id: freelancer, title: Alone, match: {rechtsform: Freiberufler}, steps: [company, first_invoice]}
  - {id: company, title: Together, match: {rechtsform: GmbH}, steps: [first_invoice, company, send_invoice]}
  - {id: everyone, title: All, steps: [company]}
"""
SENT: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("ana", "signup", {"traits": {"rechtsform": "Freiberufler", "seats": 3, "firstName": "Ana", "e-mail": "ana@example.org", "team": [1]}}),
    ("ana", "form_submit", {"form": "company"}),
    ("ana", "track", {"name": "invoice_created"}),
    ("ana", "identify", {"traits": {"rechtsform": "GmbH"}}),
    ("ana", "step_completed", {"step": "send_invoice"}),
    ("bo", "signup", {"traits": {"rechtsform": "GmbH"}}),
    ("bo", "identify", {"traits": {"seats": 1}}),
    ("bo", "identify", {"traits": {"rechtsform": "?"}}),
    ("bo", "identify", {"traits": {"rechtsform": "?"}}),
    ("bo", "form_submit", {"form": "company"}),
)


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    cwd = tmp_path_factory.mktemp("moved")
    (cwd / "catalog.yaml").write_text(CATALOG + PATHS, encoding="utf-8")
    begin = datetime(2026, 1, 5, 10, tzinfo=UTC)
    with Path(cwd / "events.jsonl").open("w", encoding="utf-8") as file:
        for number, (user, kind, payload) in enumerate(SENT):
            name = {"name": payload["name"]} if kind == "track" else {}
            at = (begin + timedelta(minutes=number)).isoformat()
            event = {"eventId": f"e{number}", "userId": user, "eventType": kind, "timestamp": at, "payload": payload, **name}
            file.write(json.dumps(event) + "\n")
    return Ready(cwd, onramp("run", "--input", "events.jsonl", "--catalog", "catalog.yaml", cwd=cwd))


def history(moved: Ready, inside: Inside, user: str) -> list[str]:
    """The entries on events and progress, in order, without hour."""
    assert moved.result.code == 0, moved.result.err
    told = inside("explain", user, "--json", cwd=moved.cwd).json["timeline"]
    return [f"{each['at'][14:16]} {each['inWords']}" for each in told if each["kind"] in ("event", "progress")]


def test_traits_steps_and_the_change_of_path_are_told_and_each_step_once(moved: Ready, inside: Inside) -> None:
    assert history(moved, inside, "ana") == [
        "00 signup rechtsform Freiberufler, seats 3, team [1]",  # not what identifies somebody
        "00 reached company (step 2)",
        "01 form_submit form company",
        "01 completed company (step 2, 0 attempts, 0 errors)",
        "01 reached first_invoice (step 1)",
        "02 track invoice_created",
        "02 completed first_invoice (step 1, 0 attempts, 0 errors)",
        "02 reached send_invoice (step 3)",  # on the new path, since the progress before it
        "03 identify rechtsform GmbH",
        "03 path changed from freelancer to company",
        "04 step_completed step send_invoice",
        "04 completed send_invoice (step 3, 0 attempts, 0 errors)",
    ]


def test_the_change_has_its_time_also_where_all_steps_changed_since(moved: Ready, inside: Inside) -> None:
    assert history(moved, inside, "bo") == [
        "05 signup rechtsform GmbH",
        "05 reached company (step 1)",
        "06 identify seats 1",
        "07 identify rechtsform ?",
        "07 path changed from company to everyone",
        "08 identify rechtsform ?",
        "09 form_submit form company",
        "09 completed company (step 1, 0 attempts, 0 errors)",
    ]
