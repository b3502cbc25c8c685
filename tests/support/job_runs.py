"""Runs jobs in processes of their own and brings back what they left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import IO, Any

import msgspec

from tests.support.job_driver import Plan, random_moment
from tests.support.job_state import State
from tests.support.ready_tables import make_data_dir
from tests.support.waiting import running

ROOT = Path(__file__).parents[2]
_QUICK = {"recovery_partitions": 8}
"""Each file of the recovery store is made and written durably in every run: the default number takes seconds, which no test is about."""
_PATIENCE = 500.0  # seconds for the longest run on a busy machine; a hang ends a test with its output


class JobFailedError(AssertionError):
    """The process ended otherwise than it should; what it said is in the text."""


def spawn(plan: Plan, stdin: IO[bytes] | int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    """Start the driver on ``plan``."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONRAMP_")}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.job_driver", msgspec.json.encode(plan).decode()],
        cwd=ROOT,
        env=environment,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def execute(plan: Plan, stdin: IO[bytes] | int = subprocess.DEVNULL) -> tuple[int, list[dict[str, Any]], str]:
    """Run the driver to its end: (exit code, one object for each run, what it wrote to stderr)."""
    with running(spawn(plan, stdin)) as process:
        said, complained = process.communicate(timeout=_PATIENCE)
    return process.returncode, [json.loads(line) for line in said.splitlines()], complained


def finish(
    data_dir: Path, source: Path | str, *, stops: list[int | None] | None = None, stdin: Path | None = None, **settings: Any
) -> State:
    """Run the job on ``source`` to its end, stopping in order on the way after each of ``stops`` lines, and return all it left.

    A new data directory has the tables of ClickHouse already; jobs that make them are started by ``spawn``, ``kill_often`` and commands.
    """
    if "clickhouse_url" not in settings:
        make_data_dir(data_dir)
    dump = data_dir.with_name(f"{data_dir.name}.dump")
    plan = Plan({"data_dir": str(data_dir), **_QUICK, **settings}, str(source), (*(stops or []), None), dump=str(dump))
    if stdin is None:
        code, _, complained = execute(plan)
    else:
        with stdin.open("rb") as lines:
            code, _, complained = execute(plan, lines)
    if code != 0:
        raise JobFailedError(f"the job ended with {code}:\n{complained[-4000:]}")
    state: State = json.loads(dump.read_text())
    return state


def kill_often(data_dir: Path, source: Path, kill_at: list[int], rng: Random, **settings: Any) -> int:
    """Run the job once for each of ``kill_at``, killing it a random moment after that line; return how often it was killed in time."""
    killed = 0
    for line in kill_at:
        plan = Plan({"data_dir": str(data_dir), **_QUICK, **settings}, str(source), kill_at=line, kill_in=random_moment(rng))
        code, _, complained = execute(plan)
        if code == -9:
            killed += 1
        elif code != 0:
            raise JobFailedError(f"the job ended with {code}:\n{complained[-4000:]}")
    return killed
