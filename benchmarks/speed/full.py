"""Scenario ``full``: ``onramp run`` on a file with all stores, without a model and with a scripted one, to the last row in ClickHouse."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.generate import write_input
from benchmarks.speed.figures import ratio, summaries
from benchmarks.trees import ROOT, python

_TIMEOUT_S = 3600.0
_FIGURES = ("eventsPerSecond", "modelCalls")


def measure(*, events: int, answer_after: float, repeat: int, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Run the job in turn without and with a model that answers after ``answer_after`` seconds, in a process of its own."""
    runs: dict[str, list[dict[str, Any]]] = {"no model": [], "model": []}
    with tempfile.TemporaryDirectory(prefix="onramp-bench-") as directory:
        source = Path(directory) / "events.jsonl"
        write_input(source, events=events, seed=seed)
        for turn in range(repeat):
            for name, done in runs.items():
                found = _with_model(source, answer_after) if name == "model" else _run(source)
                done.append(found)
                tell(f"  {turn + 1} {name}: {found['eventsPerSecond']:,.0f} events/s")
    described: dict[str, Any] = {name: summaries(done, _FIGURES) for name, done in runs.items()}
    return described | {"modelOfNone": ratio(runs["model"], runs["no model"], "eventsPerSecond"), "runs": runs}


def lines(results: Mapping[str, Any]) -> list[str]:
    """Format the results."""
    table = []
    for name in ("no model", "model"):
        speed = results[name]["eventsPerSecond"]
        table.append(f"{name:9} {speed['median']:9,.0f} events/s ({speed['least']:,.0f} to {speed['most']:,.0f})")
    return [*table, f"with a model: {results['modelOfNone']:.2f} of without"]


def _run(source: Path, **settings: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=source.parent) as directory:
        command = ["-m", "cli", "run", "--input", str(source), "--data-dir", f"{directory}/data", "--json"]
        summary = json.loads(python(ROOT, command, timeout=_TIMEOUT_S, **settings))
    return {"eventsPerSecond": summary["eventsPerSecond"]}


def _with_model(source: Path, answer_after: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.model_server", "--seconds", str(answer_after)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            url = server.stdout.readline().strip()
            found = _run(source, ONRAMP_LLM_URL=url, ONRAMP_LLM_CALLS_PER_SECOND="1000")
            calls, _ = server.communicate("", timeout=60)  # its standard input ends
        finally:
            server.kill()
    return found | {"modelCalls": int(calls)}
