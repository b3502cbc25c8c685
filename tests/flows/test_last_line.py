"""Why the job ended stands in the last line of its log, whatever ended it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.last_line import LastLine, end, say
from flows.logs import set_up_logging
from flows.settings import load_settings
from sinks.redis.errors import StoreUnavailableError

FULL = StoreUnavailableError("Redis at localhost is full; raise maxmemory")


class PanicException(BaseException):
    """As the engine raises it from native code."""


class BytewaxRuntimeError(RuntimeError):
    """As the engine raises it around the error of a step."""


@pytest.fixture(params=["text", "json"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[str]:
    """The job writes its log in this form, to what ``capsys`` reads."""
    capsys.readouterr()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    monkeypatch.setenv("ONRAMP_LOG_JSON", str(request.param == "json").lower())
    set_up_logging(load_settings())
    yield request.param
    root.handlers[:], level = before
    root.setLevel(level)


def told(form: str, written: str) -> tuple[str, str]:
    """The last line without its form, and everything before it."""
    lines = written.splitlines()
    if form == "text":
        assert lines[-1].startswith("onramp: ")
        return lines[-1].removeprefix("onramp: "), "\n".join(lines[:-1])
    (line,) = map(json.loads, lines)
    assert line["level"] == "critical"
    return line["message"], line.get("exception", "")


def wrapped(error: Exception) -> BaseException:
    try:
        raise BytewaxRuntimeError("(src/inputs.rs:342:39): error calling a step") from error
    except BytewaxRuntimeError as around:
        return around


@pytest.mark.parametrize(
    ("error", "several", "said", "with_traceback"),
    [
        (wrapped(FULL), False, "Redis at localhost is full; raise maxmemory.", False),
        (wrapped(OSError(28, "No space left on device")), False, "free space and run the same command again", False),
        (wrapped(KeyError("redis://ana:secret@host")), False, "this is a bug in onramp (BytewaxRuntimeError", True),
        (KeyError("redis://:a/pass@with-a-secret@host"), False, "(KeyError: 'redis://:***@host')", True),
        (PanicException("Send thread panic: Any { .. }"), True, "Another process of the job has ended", False),
        (PanicException("Send thread panic: Any { .. }"), False, "this is a bug in onramp", True),
        (PanicException("index out of bounds"), True, "this is a bug in onramp", True),
    ],
)
def test_the_last_line_says_why_the_job_ended(
    form: str, capsys: pytest.CaptureFixture[str], error: BaseException, several: bool, said: str, with_traceback: bool
) -> None:
    LastLine(several=several)(type(error), error, error.__traceback__)
    sentence, before = told(form, capsys.readouterr().err)
    assert said in sentence
    assert "secret" not in sentence + before
    assert (type(error).__name__ in before) == with_traceback


@pytest.mark.parametrize("several", [False, True])
def test_who_interrupts_the_job_sees_the_interrupt_and_no_bug(capsys: pytest.CaptureFixture[str], several: bool) -> None:
    error = KeyboardInterrupt()
    LastLine(several=several)(KeyboardInterrupt, error, None)
    assert capsys.readouterr().err == "KeyboardInterrupt\n"


def test_a_job_that_cannot_run_ends_with_one_line(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        end("the catalog is gone.")
    assert ended.value.code == 1
    assert told(form, capsys.readouterr().err) == ("the catalog is gone.", "")


def test_nothing_in_the_sentence_can_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    say("no file \x1b[2J\u202e here")
    assert capsys.readouterr().err == "onramp: no file \\x1b[2J\\u202e here\n"


@pytest.mark.parametrize("as_json", [False, True])
def test_the_process_ends_with_that_line(tmp_path: Path, as_json: bool) -> None:
    """Also where the settings cannot be read, and the log is not set up yet."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "ONRAMP_DATA_DIR": str(tmp_path / "data"),
        "ONRAMP_LOG_JSON": str(as_json).lower(),
        "ONRAMP_EPOCH_SECONDS": "often",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "bytewax.run", "flows.main:flow()"],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    sentence, before = told("json" if as_json else "text", ended.stderr)
    assert "ONRAMP_EPOCH_SECONDS" in sentence
    assert (ended.returncode, before) == (1, "")
