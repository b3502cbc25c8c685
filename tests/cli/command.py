"""Runs ``onramp`` the way a person does: as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.waiting import running

ROOT = Path(__file__).resolve().parents[2]


class Result(NamedTuple):
    """How a command ended, and what it said where."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which must be one JSON object on one line."""
        assert self.out.count("\n") == 1, self.out
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


def environment(**more: str) -> dict[str, str]:
    """The environment without any setting of ours but a small recovery store, which is made in a moment, and what is given."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("ONRAMP_")}
    quick = {"ONRAMP_RECOVERY_PARTITIONS": "8", "PYTHONPATH": str(ROOT), "COLUMNS": "80", "PYTHONWARNINGS": "default"}
    return {**bare, **quick, **more}


def start(*arguments: object, cwd: Path, **more: str) -> subprocess.Popen[str]:
    """Start the command and return at once."""
    return _start([], arguments, cwd, more)


def start_with_open_files(most: int, /, *arguments: object, cwd: Path, **more: str) -> subprocess.Popen[str]:
    """Start the command where the system allows it ``most`` open files."""
    return _start(["sh", "-c", f'ulimit -n {most} && exec "$0" "$@"'], arguments, cwd, more)


def _start(before: list[str], arguments: tuple[object, ...], cwd: Path, more: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*before, sys.executable, "-m", "cli", *map(str, arguments)],
        cwd=cwd,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def onramp(*arguments: object, cwd: Path, **more: str) -> Result:
    """Run the command to its end."""
    with running(start(*arguments, cwd=cwd, **more)) as process:
        out, err = process.communicate(timeout=500)
    return Result(process.returncode, out, err)
