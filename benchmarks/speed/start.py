"""Scenario ``start``: how long commands take from their start to their end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.generate import write_input
from benchmarks.speed.figures import summaries
from benchmarks.trees import ROOT, environment, python

_TIMEOUT_S = 1800.0


def measure(*, demo_users: int, repeat: int, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Time the commands in turn, after one run of each to warm up. ``demo_users`` is the size of the demo, 0 to leave it out."""
    runs: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="onramp-bench-") as directory:
        place = Path(directory)
        write_input(place / "events.jsonl", events=2000, seed=seed)
        with (place / "events.jsonl").open("rb") as lines:
            user = str(json.loads(next(lines))["userId"])
        data = str(place / "data")
        python(ROOT, ["-m", "cli", "run", "--input", str(place / "events.jsonl"), "--data-dir", data], timeout=_TIMEOUT_S)
        commands = {
            "python -c pass": ["-c", "pass"],
            "onramp --help": ["-m", "cli", "--help"],
            "onramp recommend": ["-m", "cli", "recommend", user, "--data-dir", data],
        }
        if demo_users:
            commands["onramp demo"] = ["-m", "cli", "demo", "--users", str(demo_users), "--data-dir", str(place / "demo")]
        for name, command in commands.items():
            if name != "onramp demo":
                _timed(command)
        for turn in range(repeat):
            for name, command in commands.items():
                found = _timed(command)
                runs.setdefault(name, []).append(found)
                tell(f"  {turn + 1} {name}: {found['seconds']:.2f} s, {found['cpu']:.2f} s of CPU")
    return {name: summaries(done, ("seconds", "cpu")) for name, done in runs.items()} | {"runs": runs}


def lines(results: Mapping[str, Any]) -> list[str]:
    """Format the results."""
    return [
        f"{name:18} {found['seconds']['median']:6.2f} s ({found['seconds']['least']:.2f} to {found['seconds']['most']:.2f}), "
        f"{found['cpu']['median']:.2f} s of CPU"
        for name, found in results.items()
        if name != "runs"
    ]


def _timed(command: list[str]) -> dict[str, float]:
    """Run a command, whatever it answers; return its time, and the CPU time of it and of what it waited for."""
    begun, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, *command], cwd=ROOT, env=environment(), timeout=_TIMEOUT_S, capture_output=True, check=False)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"seconds": time.perf_counter() - begun, "cpu": cpu}
