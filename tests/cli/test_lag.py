"""``onramp lag`` and ``onramp doctor`` in this process: what they print, and the exit code."""

from __future__ import annotations

import json
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.doctor import doctor
from cli.lag import lag
from local.data_dir import DataDir
from sources.archive.archive import Archive
from sources.archive.names import ArchiveFile
from sources.backlog import Thresholds
from sources.errors import ArchiveError
from sources.local_log.backlog import id_of
from sources.local_log.log import EventLog, Record
from sources.local_log.source import NAME
from sources.raw_log import RawRow
from system.wall_clock import wall_clock


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of a job that has read the first of five messages, which came a minute ago."""
    given = {"EVENT_LOG": tmp_path / "log", "CATALOG": "saas", "SECRET": "a secret of the tests", "LAG_RED_SECONDS": 1800}
    for name, value in given.items():
        monkeypatch.setenv(f"ONRAMP_{name}", str(value))
    monkeypatch.chdir(tmp_path)
    with EventLog(tmp_path / "log", partitions=1, retention=None, now=lambda: wall_clock() - 60_000) as log:
        log.append([Record(b"u", b"x")] * 5)
    state = DataDir.create(tmp_path / "data").state
    state.mkdir()
    with sqlite3.connect(state / "part-0.sqlite3") as part:
        part.execute("CREATE TABLE parts (part_count INTEGER)")
        part.execute("INSERT INTO parts VALUES (1)")
        part.execute("CREATE TABLE snaps (step_id TEXT, state_key TEXT, snap_epoch INTEGER, ser_change BLOB)")
        position = pickle.dumps((1, 1, wall_clock() - 90_000, 2, 0))
        part.execute("INSERT INTO snaps VALUES ('onboarding.messages', 'event-log:0', 1, ?)", [position])
    part.close()
    return tmp_path / "data"


def run(command: Callable[..., None], **options: Any) -> int:
    try:
        command(**options)
    except typer.Exit as end:
        return end.exit_code
    return 0


@pytest.mark.parametrize(("amber", "red", "colour", "code"), [(900, 1800, "green", 0), (15, 1800, "amber", 0), (15, 30, "red", 1)])
def test_lag_has_a_colour_and_red_is_a_failure(
    amber: int, red: int, colour: str, code: int, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONRAMP_LAG_AMBER_SECONDS", str(amber))
    monkeypatch.setenv("ONRAMP_LAG_RED_SECONDS", str(red))
    assert run(lag, as_json=True, data_dir=place) == code
    found = json.loads(capsys.readouterr().out)
    (partition,) = found["partitions"]
    assert (found["colour"], found["messages"], found["positions"]) == (colour, 4, "the newest snapshot")
    assert (partition["offset"], partition["end"], partition["lost"]) == (1, 5, 0)
    assert 60 <= partition["seconds"] < partition["watermarkAgeSeconds"]
    assert run(lag, as_json=False, data_dir=place) == code
    said = capsys.readouterr()
    assert said.out.startswith(f"{colour}  the event log")
    assert ("4 messages unread" in said.out) == (colour != "green")
    assert ("docs/runbook.md" in said.err) == (colour == "red")


def archive_of(place: Path, log_id: str) -> None:
    """Let the archive have the first message, from a minute ago."""
    archive = Archive(DataDir(place).archive)
    archive.bind(NAME, log_id)
    archive.write(ArchiveFile("2026-01-05", 0, 0, 0), [RawRow(0, wall_clock() - 60_000, b"u", b"x")])


@pytest.mark.parametrize(("wait", "colour", "code"), [(0, "red", 1), (3600, "green", 0)])
def test_a_red_archive_is_a_failure_too(
    wait: int, colour: str, code: int, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONRAMP_LAG_AMBER_SECONDS", "900")
    monkeypatch.setattr("flows.lag.archive_thresholds_of", lambda _: Thresholds(15 + wait, 30 + wait, 0.25))
    archive_of(place, id_of(place.parent / "log"))
    assert run(lag, as_json=True, data_dir=place) == code
    found = json.loads(capsys.readouterr().out)
    assert (found["colour"], found["archive"]["colour"], found["archive"]["messages"]) == ("green", colour, 4)
    assert run(lag, as_json=False, data_dir=place) == code
    said = capsys.readouterr()
    assert ("the archive is too far behind, see docs/runbook.md, 'The archive is behind'" in said.err) == (colour == "red")
    assert ("See docs/runbook.md, 'The archive is behind'" in " ".join(said.out.split())) == (colour == "red")
    assert "The lag grows" not in said.out + said.err


def test_an_archive_of_another_log_has_no_lag_of_zero(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive_of(place, "another log")
    with pytest.raises(ArchiveError, match="is of an event log or topic that was removed and created again"):
        run(lag, as_json=False, data_dir=place)
    assert capsys.readouterr().out.startswith("amber  the event log"), "the job is shown all the same"


def test_a_check_that_failed_is_a_failure_and_a_warning_is_none(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place.chmod(0o755)
    assert run(doctor, as_json=True, data_dir=place) == 0
    found = json.loads(capsys.readouterr().out)
    statuses = {each["check"]: each["status"] for each in found["checks"]}
    assert (found["ok"], statuses["data directory"], statuses["lag"]) == (True, "warn", "warn")
    (place / "state" / "part-0.sqlite3").unlink()
    assert run(doctor, as_json=False, data_dir=place) == 1
    said = capsys.readouterr()
    assert "fail  recovery store: " in said.out
    assert "1 check failed" in said.err
