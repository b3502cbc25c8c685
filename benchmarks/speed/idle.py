"""Scenario ``idle``: the CPU time of a job that has caught up, beside the floor of an empty flow that polls every ten milliseconds."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.speed.broker import broker, new_topic
from benchmarks.speed.children import child
from benchmarks.speed.figures import summaries
from benchmarks.speed.growth_process import Task
from benchmarks.speed.live import Answers, Appender, Kind, Place, children_of, cpu_seconds, live, wait_until_live
from benchmarks.speed.stream import People
from local.data_dir import DataDir
from local.valkey import EmbeddedValkey


def measure(
    *,
    users: int,
    partitions: int,
    recovery_partitions: int,
    epoch: float,
    settle: float,
    seconds: float,
    repeat: int,
    seed: int,
    address: str | None,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Measure for ``seconds``, ``settle`` seconds after the process has answered."""
    runs: dict[str, list[dict[str, float]]] = {"job": [], "floor": []}
    with tempfile.TemporaryDirectory(prefix="onramp-bench-") as directory, broker(address) as brokers:
        place = Path(directory)
        seeded = place / "seeded"
        tell(f"{users:,} people: filling a store")
        end = time.time_ns() // 1_000_000
        child("benchmarks.speed.growth_process", asdict(Task("seed", str(seeded), users, recovery_partitions, end=end, seed=seed)))
        kinds: tuple[Kind, ...] = ("job", "floor")
        for turn in range(repeat):
            for kind in kinds:
                found = _one(kind, place, seeded, brokers, partitions, epoch, settle, seconds)
                runs[kind].append(found)
                tell(f"  {turn + 1} {kind}: {100 * found['share']:.1f} % of a core, its children {100 * found['children']:.1f} %")
    return {kind: summaries(done, ("share", "children")) for kind, done in runs.items()} | {"runs": runs}


def lines(results: Mapping[str, Any]) -> list[str]:
    """Format the results."""
    return [
        f"{kind:6} {100 * results[kind]['share']['median']:5.1f} % of a core ({100 * results[kind]['share']['least']:.1f} to "
        f"{100 * results[kind]['share']['most']:.1f}), its child processes {100 * results[kind]['children']['median']:.1f} %"
        for kind in ("job", "floor")
    ]


def _one(
    kind: Kind, place: Path, seeded: Path, brokers: str, partitions: int, epoch: float, settle: float, seconds: float
) -> dict[str, float]:
    work = place / "work"
    (work / "valkey").mkdir(parents=True)
    valkey = EmbeddedValkey(work / "valkey")
    valkey.start(publish=False)
    try:
        at = Place(brokers, new_topic(brokers, partitions), valkey.url, work / "data", epoch)
        DataDir.create(at.data)
        shutil.copytree(seeded, at.store)
        with Answers(valkey.url) as answers, live(kind, at) as process:
            appender = Appender(at)
            wait_until_live(process, appender, answers, People(users=10_000, seed=1, prefix="new"), work / "said.txt")
            appender.close()
            time.sleep(settle)
            return _watch(process, seconds)
    finally:
        valkey.stop()
        shutil.rmtree(work)


def _watch(process: subprocess.Popen[bytes], seconds: float) -> dict[str, float]:
    """Return the shares of a core that the process and its children used over ``seconds``."""
    children = children_of(process.pid)
    before, children_before, begun = cpu_seconds(process.pid), sum(map(cpu_seconds, children)), time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - begun
    return {"share": (cpu_seconds(process.pid) - before) / took, "children": (sum(map(cpu_seconds, children)) - children_before) / took}
