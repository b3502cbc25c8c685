"""Medians with their spread, percentiles, ratios between contenders, and the description of machine and commit in all results."""

from __future__ import annotations

import importlib.metadata
import itertools
import math
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.trees import ROOT
from flows.version import engine_is_compiled

REFERENCE_DECODE: Final = 290_000
"""Events per second of ``decode`` at commit 3f9f2d7 on the machine to which figures are normalised."""

Run = Mapping[str, Any]


class DisagreementError(Exception):
    """Contenders did not produce the same outputs, so their times must not be compared."""


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return median, least, most, and the spread: (most - least) / median."""
    middle = statistics.median(values)
    return {
        "median": middle,
        "least": min(values),
        "most": max(values),
        "spread": (max(values) - min(values)) / middle if middle else 0.0,
        "runs": len(values),
    }


def summaries(runs: Sequence[Run], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the summary of each of the figures ``names`` that the runs have."""
    return {name: summary([float(run[name]) for run in runs]) for name in names if all(run.get(name) is not None for run in runs)}


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that ``share`` of the values do not exceed (nearest rank). Raises ``ValueError`` without values."""
    if not values:
        raise ValueError("a percentile needs at least one value")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return p50, p95, p99 and the largest value."""
    return {"p50": percentile(values, 0.5), "p95": percentile(values, 0.95), "p99": percentile(values, 0.99), "max": max(values)}


def check_agreement(runs: Mapping[str, Sequence[Run]], fields: Sequence[str]) -> None:
    """Raise ``DisagreementError`` unless all runs of all contenders have equal ``fields``."""
    seen: dict[tuple[Any, ...], str] = {}
    for name, each in runs.items():
        for run in each:
            seen.setdefault(tuple(run[field] for field in fields), name)
    if len(seen) > 1:
        told = "; ".join(f"{name}: {', '.join(f'{f} {v}' for f, v in zip(fields, values, strict=True))}" for values, name in seen.items())
        raise DisagreementError(f"the contenders do not agree ({told})")


def ratio(runs: Sequence[Run], others: Sequence[Run], field: str) -> float:
    """Return the median of the ratios of the runs that were made in the same turn."""
    return float(statistics.median(run[field] / other[field] for run, other in zip(runs, others, strict=False)))


def stalls(at: Sequence[float], delays: Sequence[float], *, above: float) -> dict[str, float]:
    """Describe the slow ones: how many runs of consecutive events took longer than ``above``, and the median time between their starts.

    ``at`` are the times of the events in order. Runs that start an epoch apart are pauses for snapshots.
    """
    starts = [at[place] for place, delay in enumerate(delays) if delay > above and (place == 0 or delays[place - 1] <= above)]
    between = [later - earlier for earlier, later in itertools.pairwise(starts)]
    return {"stalls": len(starts), "secondsBetween": statistics.median(between) if between else 0.0}


def machine() -> dict[str, Any]:
    """Describe this machine, its load and the versions that matter."""
    names = ("bytewax", "confluent-kafka", "msgspec", "redis", "chdb", "numpy")
    return {
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "compiled": engine_is_compiled(),
        "load": [round(value, 2) for value in os.getloadavg()],
        "versions": {name: importlib.metadata.version(name) for name in names},
    }


def commit() -> str:
    """Return the commit of this tree, with ``+`` behind it if files that are in git were changed."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


def envelope(
    scenario: str, options: Mapping[str, Any], results: Mapping[str, Any], *, measured: str, decode: float | None
) -> dict[str, Any]:
    """Return the JSON object of a result.

    ``measured`` is the commit at the beginning, ``decode`` events per second of the reference in the same run, None without it.
    """
    return {
        "benchmark": "speed",
        "scenario": scenario,
        "commit": measured,
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}",
        "machine": machine(),
        "options": dict(options),
        "decode": decode,
        "normalise": None if decode is None else REFERENCE_DECODE / decode,
        "results": dict(results),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
