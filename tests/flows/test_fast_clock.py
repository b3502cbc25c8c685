"""One event of a device with a fast clock, in the middle of a file, is applied, and changes nothing of anybody else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.job_runs import finish
from tests.support.job_state import PLACES, differences, rows
from tests.support.populations import write_population

MONTHS_AHEAD = "2026-11-20T00:00:00Z"
"""Of the people of the file; it is the past for the job."""


@pytest.mark.slow
def test_the_job_leaves_what_it_leaves_without_that_event(tmp_path: Path) -> None:
    event = {"eventId": "e", "userId": "fast", "eventType": "page_view", "timestamp": MONTHS_AHEAD, "payload": {"path": "/x"}}
    source = tmp_path / "events.jsonl"
    write_population(source, users=25, days=4, seed=3)
    plain = finish(tmp_path / "plain", source)
    lines = source.read_bytes().splitlines(keepends=True)
    lines.insert(300, json.dumps(event).encode() + b"\n")
    source.write_bytes(b"".join(lines))
    found = finish(tmp_path / "poisoned", source, stops=[300, 301])
    assert len(found["dead_letters"]) == len(plain["dead_letters"])
    (odd,) = (row for row in rows(found, "events") if row["source_offset"] == 301)
    assert (odd["user_id"], odd["status"]) == ("fast", "applied")
    same = ("people", "decisions", "outcomes", "stuck_signals", "step_progress", "recommendations", "events", "redis")
    assert all(plain[name] for name in ("decisions", "stuck_signals", "redis"))
    without = {**PLACES, "events": ("source_offset",)}
    others = {name: [row for row in found[name] if '"fast"' not in row and ":fast}" not in row] for name in same}
    assert not differences({name: plain[name] for name in same}, others, without=without)
