"""The lines for curl that ``onramp up`` prints work as they are, also those of a later start."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cli.up import _show
from local.data_dir import DataDir
from tests.support.gateway import run_gateway
from tests.support.waiting import PATIENCE

_COMMAND = re.compile(r"^  curl (?:.*\\\n)*.*$", re.MULTILINE)


@pytest.mark.parametrize("start", ["first", "later"])
def test_the_lines_for_curl_are_answered_by_the_gateway(tmp_path: Path, capsys: pytest.CaptureFixture[str], start: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed; the lines are not run")
    with run_gateway(tmp_path) as gateway:
        key = gateway.key()
        created = {"server": key, "publishable": "pk_1"} if start == "first" else {}
        _show(gateway.url, None, "127.0.0.1:9464", None, created, DataDir.create(tmp_path / "data"))
        said = capsys.readouterr().out
        assert ("with ONRAMP_SERVER_KEY set to your key" in said) == (start == "later")
        environment = {"PATH": os.environ["PATH"], **({} if start == "first" else {"ONRAMP_SERVER_KEY": key})}
        answers = [
            subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
            for line in _COMMAND.findall(said)
        ]
        assert answers[0] == '{"stored":["try-1"]}'
        assert [(each["userId"], each["eventType"]) for each in gateway.stored()] == [("ada", "signup")]
        assert "the job does not run" in answers[1], "only that is missing in this test: the key was taken"
        assert len(answers) == 2
