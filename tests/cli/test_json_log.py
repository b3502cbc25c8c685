"""Where a service logs JSON, all that it says on standard error is one object a line; all other commands say plain sentences."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.support import failures
from cli.support.failures import IS_SERVICE, end
from flows.logs import set_up_logging
from flows.settings import SettingsError, load_settings
from tests.cli.command import onramp, start
from tests.support.waiting import PATIENCE, read_line, running, wait_until

JSON = {"ONRAMP_LOG_JSON": "true", "ONRAMP_CATALOG": "saas", "ONRAMP_SECRET": "x" * 16}
REFUSED = {"ONRAMP_KAFKA_BROKERS": "127.0.0.1:1", "ONRAMP_KAFKA_CONFIG": "socket.timeout.ms=often"}


def objects(written: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.splitlines()]


@pytest.mark.parametrize("command", ["run", "gateway", "archive"])
@pytest.mark.parametrize(
    ("wrong", "says"),
    [(REFUSED, "socket.timeout.ms"), ({"ONRAMP_EPOCH_SECONDS": "often"}, "ONRAMP_EPOCH_SECONDS")],
    ids=["Kafka", "a setting"],
)
def test_why_a_service_ended_is_the_last_object_of_its_log(tmp_path: Path, command: str, wrong: dict[str, str], says: str) -> None:
    ended = onramp(command, cwd=tmp_path, **JSON, **wrong)
    assert ended.code == 1
    last = objects(ended.err)[-1]
    assert last["level"] == "critical"
    assert says in last["message"]


def test_a_job_that_is_stopped_has_written_nothing_but_objects(tmp_path: Path) -> None:
    with running(start("run", cwd=tmp_path, **JSON, ONRAMP_EVENT_LOG="log")) as process:
        lines = list[str]()

        def shown() -> bool:
            lines.append(read_line(process.stderr, "a line of the log"))
            return "Running: " in lines[-1]

        wait_until(shown, "a line that tells how far it is", process=process)
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=PATIENCE)
    found = objects("".join(lines) + rest)
    assert found[-1]["message"] == "stopped cleanly; run the same command to resume."
    assert {each["level"] for each in found} <= {"info", "warning"}


def test_another_command_says_a_plain_sentence(tmp_path: Path) -> None:
    said = onramp("review", "list", cwd=tmp_path, **JSON, ONRAMP_REDIS_URL="redis://127.0.0.1:1")
    assert said.code == 1
    assert said.err.startswith("onramp: Redis did not answer")


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """This process is a service that logs JSON."""
    capsys.readouterr()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    monkeypatch.setenv("ONRAMP_LOG_JSON", "true")
    set_up_logging(load_settings())
    token = IS_SERVICE.set(True)
    yield
    IS_SERVICE.reset(token)
    root.handlers[:], level = before
    root.setLevel(level)


@pytest.mark.usefixtures("service")
def test_details_are_objects_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ONRAMP_LOG_LEVEL", "debug")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    for error in (SettingsError("it is wrong"), ZeroDivisionError("redis://user:hunter2@cache")):
        assert end(error) == 1
        details, sentence = objects(capsys.readouterr().err)
        assert (details["level"], sentence["level"]) == ("error", "critical")
        assert type(error).__name__ in details["message"]
        assert "hunter2" not in str(details) + str(sentence)
    assert end(KeyboardInterrupt()) == failures.INTERRUPTED
    assert objects(capsys.readouterr().err)[-1]["message"] == "interrupted."
