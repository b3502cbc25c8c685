"""What a run says about itself when its counts look well and the result may not be what was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.run_notes import notes_on
from local.data_dir import DataDir, DataDirError
from sources.files.source import Progress
from state.duration import DAY, HOUR
from state.records.dead_letter import DeadLetter, encode_line


def summary(read: int = 1000, rejected: int = 0, completed: int = 50, **ignored: int) -> dict[str, Any]:
    return {
        "catalog": "shop@1",
        "eventsAccepted": read - rejected,
        "stepsCompleted": completed,
        "thisRun": {
            "eventsRead": read,
            "deadLetters": {"bad_timestamp": rejected} if rejected else {},
            "outcomes": {"shown": 95},
            "exposuresIgnored": ignored,
            "valuesUnread": {},
        },
    }


def test_an_ordinary_run_needs_no_word(tmp_path: Path) -> None:
    assert notes_on(summary(), Progress(done=True, backward=19, furthest_back=DAY), tmp_path / "none") == []


def test_a_file_that_is_hardly_sorted_is_named_with_its_first_line(tmp_path: Path) -> None:
    (note,) = notes_on(summary(), Progress(done=True, backward=21, furthest_back=170 * DAY, first_backward=57), tmp_path / "none")
    assert "21 lines" in note
    assert "170 days" in note
    assert "line 57" in note
    (note,) = notes_on(summary(), Progress(backward=100, furthest_back=5 * HOUR, first_backward=1), tmp_path / "none")
    assert "5 hours" in note


def test_nothing_but_rejects_shows_the_first_of_them(tmp_path: Path) -> None:
    letters = tmp_path / "dead_letters.jsonl"
    letters.write_bytes(encode_line(DeadLetter("bad_timestamp", "timestamp 'x' is not a time", b"{}", "f.jsonl", 0, 1, 0)))
    (note,) = notes_on(summary(1000, 1000), Progress(done=True), letters)
    assert note.startswith("Every message was rejected. The first, f.jsonl 1: timestamp 'x' is not a time;")
    assert str(letters) in note


def test_a_file_that_was_read_before_says_so(tmp_path: Path) -> None:
    (note,) = notes_on(summary(0), Progress(done=True), tmp_path / "none")
    assert "already read" in note
    assert notes_on(summary(0), None, tmp_path / "none") == []


def test_a_catalog_that_nothing_matches_is_doubted(tmp_path: Path) -> None:
    (note,) = notes_on(summary(completed=0), Progress(done=True), tmp_path / "none")
    assert "shop@1" in note
    assert notes_on(summary(99, completed=0), Progress(done=True), tmp_path / "none") == []


def test_an_app_that_echoes_wrong_ids_is_named_with_what_to_check(tmp_path: Path) -> None:
    wrong, missing = notes_on(summary(unknown_recommendation=1200, no_current_recommendation=1), None, tmp_path / "none")
    assert wrong.startswith("1,200 exposure events were ignored: they carry a recommendationId that was not issued to that user")
    assert "Check that the app sends back the recommendationId it read" in wrong
    assert missing.startswith("1 exposure event was ignored: it carries no recommendationId")


def test_a_few_late_exposures_are_normal(tmp_path: Path) -> None:
    assert notes_on(summary(unknown_recommendation=5), None, tmp_path / "none") == []
    assert len(notes_on(summary(unknown_recommendation=6), None, tmp_path / "none")) == 1


def test_values_that_were_left_out_are_counted_by_field(tmp_path: Path) -> None:
    run = summary()
    run["thisRun"]["valuesUnread"] = {"firstName": 3, "timezone": 1200}
    (note,) = notes_on(run, None, tmp_path / "none")
    assert note.startswith("Values that mean nothing were left out: firstName 3, timezone 1,200.")


def test_a_directory_belongs_to_the_first_catalog_that_used_it(tmp_path: Path) -> None:
    data_dir = DataDir.create(tmp_path / "data")
    data_dir.write_run({"clock": 1})
    data_dir.bind_catalog("shop")
    data_dir.bind_catalog("shop")
    assert data_dir.read_run() == {"clock": 1, "catalog": "shop"}
    with pytest.raises(DataDirError, match="belongs to the catalog shop, this run uses saas"):
        data_dir.bind_catalog("saas")
