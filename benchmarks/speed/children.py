"""Runs the processes of scenarios: each gets its task as JSON, and prints its result as the last line of its output."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.trees import ROOT, environment

_TIMEOUT_S: Final = 3600.0


def child(module: str, task: Mapping[str, Any], *, python: Path = Path(sys.executable)) -> dict[str, Any]:
    """Run ``module`` with ``task`` in a new process and return its result. Exits with its error if it fails."""
    command = [str(python), "-m", module, json.dumps(task)]
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment(), timeout=_TIMEOUT_S, capture_output=True, text=True, check=False)
    except subprocess.TimeoutExpired:
        sys.exit(f"{module} took more than {_TIMEOUT_S:.0f} s")
    found = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not found:
        sys.exit(f"{module} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(found[-1])
    return result
