"""Scenario ``stop``: how long a live job with many people in its state takes to end in order, beside a bare flow with as many keys."""

from __future__ import annotations

import json
import shutil
import signal
import sys
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
from benchmarks.speed.live import Answers, Appender, Kind, Place, cpu_seconds, live, seeded_people, wait_until_live
from benchmarks.speed.stream import People
from local.data_dir import DataDir
from local.valkey import EmbeddedValkey

_LONGEST_S = 600.0
_FIGURES = ("seconds", "cpu", "resume", "code")


def measure(
    *,
    rate: int,
    users: int,
    partitions: int,
    recovery_partitions: int,
    epoch: float,
    repeat: int,
    seed: int,
    address: str | None,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Stop job and floor in turn with SIGTERM under ``rate`` events a second, and start each again. Exits if a message was read twice."""
    runs: dict[str, list[dict[str, float]]] = {}
    with broker(address) as brokers, tempfile.TemporaryDirectory(prefix="onramp-bench-") as directory:
        place = Path(directory)
        tell(f"  {users:,} people are seeded")
        seeded = Task("seed", str(place / "seeded"), users, epoch, recovery_partitions, seed=seed, partitions=partitions, user_events=20)
        child("benchmarks.speed.growth_process", asdict(seeded))
        kinds: tuple[Kind, ...] = ("floor", "job")
        for turn in range(repeat):
            for kind in kinds:
                found = _one(kind, place, brokers, partitions, epoch, rate, users, seed, tell)
                runs.setdefault(kind, []).append(found)
                tell(
                    f"  {turn + 1} {kind}: ended with {found['code']:.0f} after {found['seconds']:.1f} s, {found['cpu']:.1f} s of CPU; "
                    f"live again after {found['resume']:.1f} s"
                )
    results: dict[str, Any] = {name: summaries(done, _FIGURES) for name, done in runs.items()}
    return {**results, "ofFloor": results["job"]["seconds"]["median"] / results["floor"]["seconds"]["median"], "runs": runs}


def lines(results: Mapping[str, Any]) -> list[str]:
    """Format the results."""
    table = [
        f"{name:6} ends {found['seconds']['median']:6.1f} s after SIGTERM ({found['cpu']['median']:.1f} s of CPU) with {found['code']['most']:.0f}, "
        f"and is live again after {found['resume']['median']:.1f} s"
        for name, found in ((name, results[name]) for name in ("floor", "job"))
    ]
    return [*table, f"the job takes {results['ofFloor']:.2f} times as long as the floor"]


def _one(
    kind: Kind, place: Path, brokers: str, partitions: int, epoch: float, rate: int, users: int, seed: int, tell: Callable[[str], None]
) -> dict[str, float]:
    work = place / "work"
    (work / "valkey").mkdir(parents=True)
    valkey = EmbeddedValkey(work / "valkey")
    valkey.start(publish=False)
    try:
        at = Place(brokers, new_topic(brokers, partitions), valkey.url, work / "data", epoch)
        DataDir.create(at.data)
        shutil.copytree(place / "seeded", at.store)
        appender, said = Appender(at), work / "said.txt"
        people, newcomers = seeded_people(users, seed), _Counting(People(users=10_000_000, seed=seed, prefix="new"))
        with Answers(valkey.url) as answers:
            with live(kind, at) as process:
                took = wait_until_live(process, appender, answers, newcomers.people, said)
                tell(f"  {kind} is ready after {took:.1f} s")
                sent = _load(appender, people, rate, 2 * epoch)
                before, begun = cpu_seconds(process.pid), time.monotonic()
                process.send_signal(signal.SIGTERM)
                used = before
                while process.poll() is None and time.monotonic() - begun < _LONGEST_S:
                    sent += _load(appender, people, rate, 0.1)
                    if process.poll() is None:
                        used = cpu_seconds(process.pid)
                seconds, code = time.monotonic() - begun, process.returncode
            appender.close()
            if code is None:
                sys.exit(f"the {kind} did not end within {_LONGEST_S:.0f} s of SIGTERM")
            if kind == "job":
                _read(said)
            appender = Appender(at)
            with live(kind, at) as process:
                resume = wait_until_live(process, appender, answers, People(users=10_000_000, seed=seed + 1, prefix="later"), said)
                process.send_signal(signal.SIGTERM)
                process.wait(_LONGEST_S)
                appender.close()
                total = _read(said) if kind == "job" else 0
            with live(kind, at) as process:  # reads what was appended last
                appender = Appender(at)
                wait_until_live(process, appender, answers, People(users=10_000_000, seed=seed + 2, prefix="last"), said)
                process.send_signal(signal.SIGTERM)
                process.wait(_LONGEST_S)
                appender.close()
        return {"seconds": seconds, "cpu": used - before, "resume": resume, "code": float(code), "sent": float(sent), "read": float(total)}
    finally:
        valkey.stop()
        shutil.rmtree(work)
