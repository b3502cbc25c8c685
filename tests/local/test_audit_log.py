"""The audit log: every entry is there, in order, and a change of an earlier one is found."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from local.audit_log import AuditError, AuditLog


def log_in(directory: Path) -> AuditLog:
    return AuditLog(directory / "audit.jsonl", lambda: 1_767_600_000_000)


def test_who_did_what_and_when_is_there_for_its_owner_alone(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    with log.of("guidance.pause", by="eva", tenant="default") as entry:
        entry["id"] = "s1"
    with pytest.raises(ValueError, match="no"), log.of("keys.revoke", by="eva", id="k1"):
        raise ValueError("no")
    first, second = log.entries()
    assert {name: first[name] for name in ("at", "by", "action", "outcome", "tenant", "id")} == {
        "at": "2026-01-05T08:00:00.000Z", "by": "eva", "action": "guidance.pause", "outcome": "done", "tenant": "default", "id": "s1",
    }  # fmt: skip
    assert (second["action"], second["outcome"], second["id"]) == ("keys.revoke", "failed", "k1")
    assert log.faults() == []
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o777 == 0o600


def test_what_takes_long_has_an_entry_when_it_begins_and_one_when_it_ends(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    with log.begun("forget", by="eva", tenant="default") as entry:
        assert [each["outcome"] for each in log.entries()] == ["begun"]
        entry["receipt"] = {}
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), log.begun("forget", by="eva"):
            raise error
    assert [(each["outcome"], "receipt" in each) for each in log.entries()] == [
        ("begun", False), ("done", True), *[("begun", False), ("failed", False)] * 2,
    ]  # fmt: skip


@pytest.mark.parametrize("change", ["edit", "remove", "insert"])
def test_a_line_that_was_changed_is_found(tmp_path: Path, change: str) -> None:
    log, path = log_in(tmp_path), tmp_path / "audit.jsonl"
    for number in range(3):
        log.append("export", by="eva", number=number)
    lines = path.read_bytes().splitlines(keepends=True)
    changed = {
        "edit": [lines[0], lines[1].replace(b"eva", b"ben"), lines[2]],
        "remove": [lines[0], lines[2]],
        "insert": [lines[0], lines[0], *lines[1:]],
    }[change]
    path.write_bytes(b"".join(changed))
    assert log.faults() != []


def test_half_a_line_of_a_power_cut_costs_no_later_entry(tmp_path: Path) -> None:
    log, path = log_in(tmp_path), tmp_path / "audit.jsonl"
    log.append("export", by="eva", number=1)
    with path.open("ab") as file:
        file.write(b'{"at": "2026')
    log.append("export", by="eva", number=2)
    assert [entry["number"] for entry in log.entries()] == [1, 2]
    assert log.faults() == ["line 2 is no entry"]


@pytest.mark.parametrize("size", [10, 65_400, 65_536, 3_000_000])
def test_an_entry_of_any_length_is_followed_by_a_sound_one(tmp_path: Path, size: int) -> None:
    log, path = log_in(tmp_path), tmp_path / "audit.jsonl"
    for number in range(2):
        log.append("export", by="eva", number=number, long="x" * size)
    assert log.faults() == []
    with path.open("ab") as file:
        file.write(b"x" * size)
    log.append("export", by="eva")
    log.append("export", by="eva")
    assert log.faults() == ["line 3 is no entry"]


def append_many(directory: Path, by: str) -> None:
    log = log_in(directory)
    for number in range(25):
        log.append("export", by=by, number=number)


@pytest.mark.timing
def test_entries_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=append_many, args=(tmp_path, by)) for by in ("ann", "ben", "cyd")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    log = log_in(tmp_path)
    assert sorted((entry["by"], entry["number"]) for entry in log.entries()) == [
        (by, number) for by in ("ann", "ben", "cyd") for number in range(25)
    ]
    assert log.faults() == []


def test_nothing_happens_where_nothing_can_be_recorded(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").mkdir()
    happened = []
    with pytest.raises(AuditError, match="nothing was done"), log_in(tmp_path).of("forget", by="eva"):
        happened.append(True)
    assert happened == []


def test_a_log_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert (log_in(tmp_path).entries(), log_in(tmp_path).faults(), list(tmp_path.iterdir())) == ([], [], [])
