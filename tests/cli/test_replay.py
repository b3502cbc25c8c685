"""What ``onramp replay`` takes for its range, its input and its catalog, where they are not named, and what it says if that fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.data_dir import DataDir
from tests.cli.command import ROOT
from tests.cli.conftest import Inside

SAAS = ROOT / "catalog" / "saas.yaml"


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """A file of twelve users, one an hour from 2026-01-05T00:00:00Z on."""
    path = tmp_path / "events.jsonl"
    event = {"eventType": "signup", "payload": {"traits": {"persona": "analyst"}}}
    lines = ({**event, "eventId": f"e{hour}", "userId": f"u{hour}", "timestamp": f"2026-01-05T{hour:02}:00:00Z"} for hour in range(12))
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_durations_count_back_from_the_end_of_a_file(tmp_path: Path, events: Path, inside: Inside) -> None:
    data_dir = DataDir.create(tmp_path / "d").path
    options = ("--catalog", SAAS, "--input", events, "--data-dir", data_dir, "--by", "eva")
    found = inside("replay", *options, "--from", "5h", "--to", "2h", "--json", cwd=tmp_path).json
    assert (found["from"], found["to"]) == ("2026-01-05T06:00:00.000Z", "2026-01-05T09:00:00.000Z")
    assert found["recommendations"]["before"] == 3
    nothing = inside("replay", *options, "--from", "2026-02-01T00:00:00Z", cwd=tmp_path)
    assert (nothing.code, nothing.out) == (1, "")
    assert "from 2026-01-05T00:00:00.000Z to 2026-01-05T11:00:00.000Z" in nothing.err


def test_a_pipe_is_refused_because_a_replay_reads_it_more_than_once(tmp_path: Path, inside: Inside) -> None:
    for name in ("-", "/dev/stdin"):
        result = inside("replay", "--catalog", SAAS, "--input", name, cwd=tmp_path)
        assert (result.code, "more than once" in result.err) == (2, True)
