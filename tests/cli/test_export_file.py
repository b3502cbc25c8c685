"""``onramp export --out``: a private file; a pipe or a device is written to, and never replaced."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.cli.conftest import HOSTILE, Inside, Ready


def test_the_file_is_for_its_owner_alone(own: Ready, inside: Inside, tmp_path: Path) -> None:
    file = tmp_path / "held.json"
    assert inside("export", HOSTILE, "--out", file, cwd=own.cwd).code == 0
    assert json.loads(file.read_text())["userId"] == HOSTILE
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_pipe_is_written_to(own: Ready, inside: Inside, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # also a writer, so that nobody waits for another
    try:
        assert inside("export", HOSTILE, "--out", pipe, cwd=own.cwd).code == 0
        assert pipe.is_fifo()
        assert json.loads(os.read(reader, 1_000_000))["userId"] == HOSTILE
    finally:
        os.close(reader)
