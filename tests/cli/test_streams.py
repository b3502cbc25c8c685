"""Standard streams that are full, closed or gone, and what else can surround a command: one sentence, an exit code, no traceback."""

from __future__ import annotations

import fcntl
import io
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import termios
from array import array
from pathlib import Path

import pytest
import typer
from typer.exceptions import Abort, TyperException

from cli.support.failures import end
from cli.support.native_stderr import capture_native_stderr
from cli.support.streams import OutputError, _Descriptor, forgiving
from flows import recovery
from flows.recovery import recovery_config
from local.data_dir import DataDir, DataDirError
from local.recovery_fault import recovery_fault
from local.recovery_store import remove_undurable_snapshots
from tests.cli.command import ROOT, Result, environment, onramp, start
from tests.cli.conftest import Inside
from tests.support.waiting import running, wait_until

EVENT = '{"eventId": "e1", "userId": "u1", "eventType": "signup", "timestamp": "2026-01-05T10:00:00Z", "payload": {}}\n'


def shell(script: str, cwd: Path, **more: str) -> Result:
    """Run ``onramp`` in a shell script, as ``$onramp``."""
    command = f"onramp={shlex.quote(shlex.join([sys.executable, '-P', '-m', 'cli']))}\n{script}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=cwd,
        env=environment(PYTHONPATH=str(ROOT), **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return Result(done.returncode, done.stdout, done.stderr)


FULL = "onramp: standard output cannot be written: No space left on device; check where it goes, and its disk.\n"


@pytest.mark.parametrize(
    ("script", "code", "err"),
    [
        ("$onramp --help >/dev/full", 1, FULL),
        ("$onramp catalog check saas >/dev/full", 1, FULL),
        ("$onramp settings --json >/dev/full", 1, FULL),
        ("$onramp settings >&-", 0, ""),
        ("$onramp settings 2>&- >/dev/null", 0, ""),
        (
            "$onramp simulate --users 5 --days 1 --out /dev/full",
            1,
            "onramp: /dev/full cannot be written: No space left on device; check its name, its rights and the disk.\n",
        ),
        ("$onramp nonsense 2>/dev/full", 2, ""),
        ("$onramp nonsense <&- >&- 2>&-", 2, ""),
        ("$onramp --help | true; exit ${PIPESTATUS[0]}", None, ""),
        (
            "mkdir gone; cd gone; rmdir ../gone; $onramp recommend u1",
            1,
            "onramp: The current directory no longer exists; change to another one.\n",
        ),
    ],
)
def test_a_stream_that_fails_is_called_by_its_name(tmp_path: Path, script: str, code: int | None, err: str) -> None:
    found = shell(script, tmp_path)
    assert found.err == err
    assert found.code == code if code is not None else found.code in {0, 141}  # the reader may be slower


def test_a_closed_standard_input_is_wrong_usage(tmp_path: Path) -> None:
    found = shell("$onramp run --input - <&-", tmp_path)
    assert (found.code, found.out) == (2, "")
    assert "standard input is closed; pipe events into the command, or name a file" in found.err
    assert not list(tmp_path.iterdir())


def test_an_odd_terminal_changes_nothing(tmp_path: Path) -> None:
    plain = onramp("settings", cwd=tmp_path, COLUMNS="120", LANG="C.UTF-8", PYTHONUTF8="1").out
    for odd in (
        {"COLUMNS": "1"},
        {"COLUMNS": "abc"},
        {"COLUMNS": "9" * 30},
        {"TERM": "odd"},
        {"LC_ALL": "C"},
        {"TZ": "Mars/Phobos"},
        {"HOME": ""},
    ):
        found = onramp("settings", "--json", cwd=tmp_path, **odd)
        assert (found.code, found.err) == (0, ""), odd
        assert found.json.keys() >= {"ONRAMP_DATA_DIR"}
    assert "ONRAMP_DATA_DIR" in plain


@pytest.mark.parametrize("seconds", [0.001, 0.05, 0.4])
def test_ctrl_c_while_the_command_starts_is_quiet(tmp_path: Path, seconds: float) -> None:
    late = f"signal.signal(signal.SIGALRM, signal.default_int_handler); signal.setitimer(signal.ITIMER_REAL, {seconds})"
    code = f"import cli, signal; {late}; cli.main(['report'])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False, timeout=300
    )
    assert "Traceback" not in done.stderr
    assert done.returncode in {1, 130, -signal.SIGALRM}, done.stderr  # 1: the command was quicker


def test_ctrl_c_during_a_callback_that_cannot_raise_ends_the_command_quietly(tmp_path: Path) -> None:
    code = """
import time, cli, cli.app
class Callback:
    def __del__(self):
        raise KeyboardInterrupt
def invoke(_):
    Callback()
    time.sleep(300)
cli.app.invoke = invoke
cli.main([])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False, timeout=200
    )
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.parametrize("name", ["pipe", "pipe.gz"])
def test_ctrl_c_during_a_command_is_130(tmp_path: Path, name: str) -> None:
    """Also where nobody reads any more what the command writes."""
    os.mkfifo(tmp_path / name)

    def is_full() -> bool:
        waiting = array("i", [0])
        fcntl.ioctl(opened, termios.FIONREAD, waiting)
        return waiting[0] > 60_000

    with running(start("simulate", "--users", 1000, "--days", 30, "--out", name, cwd=tmp_path)) as job:
        opened = os.open(tmp_path / name, os.O_RDONLY)  # returns once the command has opened the other end
        wait_until(is_full, "a full pipe", process=job)
        job.send_signal(signal.SIGINT)
        _, err = job.communicate(timeout=300)
        os.close(opened)
    assert (job.returncode, err) == (130, "onramp: interrupted.\n")


def test_ctrl_c_ends_an_import_that_waits_for_its_input(tmp_path: Path) -> None:
    (tmp_path / "mapping.yaml").write_text("userId: userId\ntimestamp: timestamp\nevent: {type: track, name: made}\n")
    os.mkfifo(tmp_path / "rows.jsonl")
    with running(start("import", "rows.jsonl", "--mapping", "mapping.yaml", cwd=tmp_path)) as job:
        opened = os.open(tmp_path / "rows.jsonl", os.O_WRONLY)  # returns once the command has opened the other end
        job.send_signal(signal.SIGINT)
        _, err = job.communicate(timeout=300)
        os.close(opened)
    assert (job.returncode, err) == (130, "onramp: interrupted.\n")


class PanicException(BaseException):
    """As the engine's native code raises it."""


def test_whatever_ends_a_command_has_a_code_and_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert [end(each) for each in (typer.Exit(3), SystemExit(), SystemExit(4), SystemExit("why"))] == [3, 0, 4, 1]
    assert capsys.readouterr().err == "onramp: why\n"
    assert [end(each) for each in (KeyboardInterrupt(), Abort(), TyperException("No such\x1boption."))] == [130, 130, 2]
    assert capsys.readouterr().err.splitlines() == 2 * ["onramp: interrupted."] + ["onramp: No such\\x1boption (see `onramp --help`)."]
    full = "called `Result::unwrap()` on an `Err` value: SqliteFailure(DiskFull), database or disk is full"
    for error, says in (
        (PanicException(full), "the disk of the data directory is full or failing"),
        (OSError(28, "No space left on device"), "the disk of the data directory is full or failing"),
        (OutputError("standard output cannot be written: No space left on device."), "standard output cannot be written"),
        (BrokenPipeError(32, "Broken pipe"), "Broken pipe."),
        (UnicodeEncodeError("utf-8", "a\udcff", 1, 2, "surrogates not allowed"), "a\\udcff is not UTF-8 text"),
        (ValueError("embedded null byte"), "has a null character"),
        (MemoryError(), "the memory is not sufficient"),
        (RuntimeError("file is not a database"), "the recovery store of the data directory is damaged"),
    ):
        assert end(error) == 1
        said = capsys.readouterr().err
        assert said.startswith("onramp: ")
        assert says in said
        assert said.count("\n") == 1


@pytest.mark.parametrize("error", [PanicException("a bug\nmore"), ZeroDivisionError("redis://user:a/p@ss-hunter2@cache"), TypeError()])
def test_the_details_of_a_bug_are_in_a_file_without_passwords(
    error: BaseException, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert end(error) == 1
    said = capsys.readouterr().err
    (log,) = tmp_path.iterdir()
    assert said.count("\n") == 1
    assert f"please report it with the file {log}." in said
    assert type(error).__name__ in said
    assert type(error).__name__ in log.read_text()
    assert log.stat().st_mode & 0o077 == 0
    assert "hunter2" not in said + log.read_text()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    end(error)
    assert "please report it with the lines above." in capsys.readouterr().err


def test_what_native_code_prints_is_kept_for_bugs_alone() -> None:
    def fail(error: Exception) -> None:
        with capture_native_stderr():
            os.write(2, b"thread panicked at \xff")
            raise error

    with pytest.raises(ZeroDivisionError) as bug:
        fail(ZeroDivisionError())
    assert bug.value.__notes__ == ["thread panicked at \\xff"]
    with pytest.raises(DataDirError) as expected:
        fail(DataDirError("In use."))
    assert not hasattr(expected.value, "__notes__")


def test_standard_error_never_fails_and_standard_output_fails_once(tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    stream = forgiving(full)
    stream.write("x\n" * 10_000)
    stream.flush()
    raw = _Descriptor(full, forgiving=False)
    with pytest.raises(OutputError, match="No space left"):
        raw.write(b"x")
    assert raw.write(b"xyz") == 3
    os.close(full)


def test_output_that_is_not_ready_is_waited_for() -> None:
    """A parent process may make the pipe non-blocking."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    text = io.TextIOWrapper(io.BufferedWriter(_Descriptor(writer, forgiving=False)), encoding="utf-8")
    program = [sys.executable, "-c", "import sys; print(len(sys.stdin.buffer.read()))"]
    with running(subprocess.Popen(program, stdin=reader, stdout=subprocess.PIPE, text=True)) as process:
        os.close(reader)
        text.write("x" * 1_000_000)
        text.flush()
        os.close(writer)
        assert process.communicate(timeout=300)[0] == "1000000\n"


def test_a_recovery_store_that_cannot_be_made_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir = DataDir.create(tmp_path / "data")

    def panic(*_: object) -> None:
        raise PanicException("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(recovery, "init_db_dir", panic)
        with pytest.raises(DataDirError, match="its disk is full or failing"):
            recovery_config(data_dir, 1)
    recovery_config(data_dir, 1)  # what was left is no obstacle
    assert data_dir.state.is_dir()


def test_the_engine_s_own_panic_is_a_sentence(tmp_path: Path) -> None:
    """A limit of the size of files does to the recovery store what a full disk does."""
    (tmp_path / "events.jsonl").write_text(EVENT)
    # Python would cut off the bytecode that it writes, too, for all processes that come later.
    found = shell("ulimit -f 8; $onramp run --input events.jsonl", tmp_path, PYTHONDONTWRITEBYTECODE="1")
    assert (found.code, found.out) == (1, "")
    assert found.err.splitlines()[-1].startswith("onramp: The recovery store cannot be created in .onramp: its disk is full or failing.")
    assert "Traceback" not in found.err
    assert "panicked" not in found.err


def test_a_disk_that_is_full_when_a_job_starts_again_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text(EVENT)
    assert shell("$onramp run --input events.jsonl", tmp_path).code == 0
    found = shell("ulimit -f 8; $onramp run --input events.jsonl", tmp_path, PYTHONDONTWRITEBYTECODE="1")
    assert (found.code, found.out) == (1, "")
    (sentence,) = found.err.splitlines()
    assert sentence.startswith("onramp: The recovery store .onramp/state cannot be read or repaired (disk I/O error): its disk is full")
    assert "Free space and run the same command again; if there is space, " in sentence
    assert sentence.endswith("restore the store, or use another --data-dir.")
    assert shell("$onramp run --input events.jsonl", tmp_path).code == 0


@pytest.mark.parametrize(
    ("code", "says"), [(sqlite3.SQLITE_IOERR_WRITE, "Free space"), (sqlite3.SQLITE_FULL, "Free space"), (11, "restore it.")]
)
def test_what_an_error_of_the_recovery_store_says_to_do(code: int, says: str) -> None:
    error = sqlite3.OperationalError("it failed")
    error.sqlite_errorcode = code
    found = str(recovery_fault(Path("data/state"), "be read", error, "restore it"))
    assert found.startswith("The recovery store data/state cannot be read (it failed)")
    assert says in found


def test_too_few_open_files_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text(EVENT)
    found = shell("ulimit -n 60; $onramp run --input events.jsonl", tmp_path)
    assert (found.code, found.out) == (1, "")
    assert found.err == "onramp: This process may open 60 files, and needs 256 or more; raise the limit (ulimit -n).\n"


@pytest.mark.parametrize("name", ["d\udcff", "a\0b"])
def test_a_data_directory_needs_a_name_that_engines_can_open(tmp_path: Path, name: str) -> None:
    for use in (DataDir.create, DataDir.open):
        with pytest.raises(DataDirError, match="--data-dir"):
            use(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_store_that_is_something_else_is_a_sentence(tmp_path: Path) -> None:
    data_dir = DataDir.create(tmp_path / "data")
    data_dir.state.write_text("no directory")
    with pytest.raises(DataDirError, match="state is not a directory"):
        recovery_config(data_dir, 1)
    data_dir.state.unlink()
    data_dir.state.mkdir()
    (data_dir.state / "part-0.sqlite3").write_text("no database, but long enough to be looked at" * 10)
    with pytest.raises(DataDirError, match="cannot be read or repaired"):
        remove_undurable_snapshots(data_dir.state)


def test_names_that_the_system_refuses_are_sentences(tmp_path: Path, inside: Inside) -> None:
    (tmp_path / "file").write_text(EVENT)
    for arguments in (
        ("run", "--input", "n" * 300),
        ("run", "--input", "a\0b"),
        ("run", "--input", "file", "--data-dir", "file"),
        ("run", "--input", "file", "--data-dir", "file/x"),
        ("run", "--input", "file", "--data-dir", "/proc/nothing"),
        ("recommend", "\udcff", "--data-dir", "d\udcff"),
        ("catalog", "check", "n" * 300),
        ("catalog", "check", "\udcff"),
        ("simulate", "--out", "a\0b"),
    ):
        found = inside(*arguments, cwd=tmp_path)
        assert found.code in {1, 2}, arguments
        assert found.err.startswith("onramp"), arguments
        assert len(found.err.splitlines()) == 1, found.err
        assert "this is a bug" not in found.err, found.err


def test_an_input_without_events_fails_and_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "array.json").write_text(f"[{EVENT}]\n")
    found = onramp("run", "--input", "array.json", cwd=tmp_path)
    assert found.code == 1
    assert "0 events" not in found.out.splitlines()[1]
    assert "onramp: No event was accepted. The input is a JSON array. Make one object a line of it: jq -c '.[]' array.json" in found.err
    again = onramp("run", "--input", "array.json", cwd=tmp_path)
    assert again.code == 1
    assert "a JSON array" in again.err
