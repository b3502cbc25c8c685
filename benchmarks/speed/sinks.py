"""Scenario ``sinks``: recommendations a second into Redis and rows a second into ClickHouse, without the graph before them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.generate import write_input
from benchmarks.speed.children import child
from benchmarks.speed.figures import summaries
from benchmarks.speed.sinks_process import Task

_FIGURES = ("perSecond", "spooledPerSecond", "cpuPerEffect", "cpuPerRow", "rows", "effects")


def measure(*, events: int, rounds: int, repeat: int, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Write what the graph makes of ``events`` events, rows ``rounds`` times."""
    runs: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory(prefix="onramp-bench-") as directory:
        source = Path(directory) / "events.jsonl"
        write_input(source, events=events, seed=seed)
        for turn in range(repeat):
            for name, found in child("benchmarks.speed.sinks_process", asdict(Task(str(source), rounds))).items():
                runs.setdefault(name, []).append(found)
                tell(f"  {turn + 1} {name}: {found['perSecond']:,.0f} a second")
    return {name: summaries(done, _FIGURES) for name, done in runs.items()} | {"runs": runs}


def lines(results: Mapping[str, Any]) -> list[str]:
    """Format the results."""
    return [
        f"{name:16} {found['perSecond']['median']:9,.0f} a second ({found['perSecond']['least']:,.0f} to {found['perSecond']['most']:,.0f})"
        for name, found in results.items()
        if name != "runs"
    ]
