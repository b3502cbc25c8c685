"""``onramp archive``: what it writes, says and refuses; and a process that is killed again and again while events come in."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.archive import archive
from cli.lag import lag
from flows.settings import SettingsError
from sources.archive.archive import Archive
from sources.archive.rows import rows_of
from sources.errors import ArchiveError
from sources.local_log.log import EventLog, Record
from sources.local_log.reader import LogReader, Stored
from tests.cli.command import start
from tests.support.waiting import PATIENCE, pause, running, stop, wait_until


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The archive's directory, beside a log with five messages."""
    for name, value in {"EVENT_LOG": tmp_path / "log", "ARCHIVE_DIR": tmp_path / "archive", "CATALOG": "saas"}.items():
        monkeypatch.setenv(f"ONRAMP_{name}", str(value))
    monkeypatch.chdir(tmp_path)
    append(tmp_path, 5)
    return tmp_path / "archive"


def append(tmp_path: Path, number: int) -> None:
    with EventLog(tmp_path / "log", partitions=1, retention=None) as log:
        log.append([Record(b"u", b"x")] * number)


def run(command: Callable[..., None], **options: Any) -> int:
    try:
        command(**options)
    except typer.Exit as end:
        return end.exit_code
    return 0


def test_it_archives_to_the_end_and_says_how_much(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(archive, once=True, as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == {"messages": 5, "files": 1}
    assert run(archive, once=True) == 0
    assert capsys.readouterr().out.strip() == "Archived 0 messages in 0 files."
    assert run(archive, check=True) == 0
    assert "messages" in capsys.readouterr().out


def test_a_check_finds_what_is_missing_and_what_is_damaged(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        append(tmp_path, 2)
        run(archive, once=True)
    files = Archive(place).files()
    (place / files[1].name).unlink()
    (place / files[2].name).write_bytes(b"PAR1")
    capsys.readouterr()
    assert run(archive, check=True, as_json=True) == 1
    said = capsys.readouterr()
    (partition,) = json.loads(said.out)["partitions"]
    expected = {"partition": 0, "files": 2, "first": 0, "last": 10, "messages": 7, "forgotten": 0}
    assert expected.items() <= partition.items()
    assert partition["gaps"] == [[7, 8]]
    assert "no message from offset 7 to 8" in said.err
    assert "cannot be read" in said.err


def test_a_check_finds_a_file_with_another_s_contents(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(archive, once=True)
    append(tmp_path, 2)
    run(archive, once=True)
    first, second = Archive(place).files()
    (place / second.name).write_bytes((place / first.name).read_bytes())
    assert run(archive, check=True) == 1
    assert "holds other messages than its name says" in capsys.readouterr().err


def test_without_an_archive_or_a_log_it_says_what_to_name(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArchiveError, match="There is no archive in"):
        archive(check=True)
    with pytest.raises(typer.BadParameter):
        archive(check=True, once=True)
    monkeypatch.delenv("ONRAMP_EVENT_LOG")
    with pytest.raises(SettingsError, match="no log to archive"):
        archive(once=True)


def test_lag_shows_the_archive_too(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(lag, as_json=True)
    assert "archive" not in json.loads(capsys.readouterr().out)
    run(archive, once=True)
    append(tmp_path, 3)
    capsys.readouterr()
    run(lag, as_json=True)
    found = json.loads(capsys.readouterr().out)["archive"]
    assert (found["colour"], found["messages"], found["partitions"][0]["offset"]) == ("green", 3, 5)
    run(lag)
    assert f"thearchive{place}" in "".join(capsys.readouterr().out.split()), "however it is wrapped"


@pytest.mark.slow
@pytest.mark.timing
def test_killed_again_and_again_while_events_come_in_it_has_each_once(tmp_path: Path) -> None:
    rng = random.Random(7)
    settings = {
        "ONRAMP_EVENT_LOG": str(tmp_path / "log"),
        "ONRAMP_ARCHIVE_DIR": str(tmp_path / "archive"),
        "ONRAMP_ARCHIVE_FILE_SECONDS": "0.05",
    }
    found = Archive(tmp_path / "archive")
    with EventLog(tmp_path / "log", partitions=2, retention=None) as log:
        for _ in range(6):
            with running(start("archive", cwd=tmp_path, **settings)) as process:
                before = len(found.files()) if found.exists else 0
                log.append([Record(b"k%d" % rng.randrange(9), b"%d" % rng.random()) for _ in range(500)])
                wait_until(lambda before=before: found.exists and len(found.files()) > before, "a new file", process=process)  # type: ignore[misc]
                log.append([Record(b"k%d" % rng.randrange(9), rng.randbytes(3_000)) for _ in range(200)])
                pause(rng.random() * 0.3, "the process is killed at any moment")
                stop(process)
        with running(start("archive", "--once", cwd=tmp_path, **settings)) as process:
            assert process.wait(PATIENCE) == 0
    reader = LogReader(tmp_path / "log")
    try:
        for partition in range(2):
            chain = found.chains()[partition]
            rows = [row for span in chain.spans for row in rows_of(found.read(span.file)) if row.offset >= span.start]
            whole: list[Stored] = []
            while more := reader.read(partition, len(whole), 1_000):
                whole += more
            assert [(row.offset, row.time, row.value) for row in rows] == [(each.offset, each.time, each.record.value) for each in whole]
            assert chain.superseded == ()
    finally:
        reader.close()
