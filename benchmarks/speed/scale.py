"""Scenario ``scale``: the graph on one, two and four processes, from the local event log and from a broker; also with all stores."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from benchmarks.speed import scale_stores
from benchmarks.speed.broker import broker, fill, new_topic
from benchmarks.speed.figures import ratio, summaries
from benchmarks.speed.scale_process import Task
from benchmarks.speed.stream import Sent, stream
from benchmarks.trees import ROOT, environment
from sources.local_log.log import EventLog, Record
from tests.support.ports import port_of, reserve

INPUTS: Final = ("log", "kafka", "stores")
"""The event log or a broker, with sinks that discard; the whole job over a broker, with its stores."""
_TIMEOUT_S = 3600.0
_MODULE = "benchmarks.speed.scale_process"


def measure(
    *,
    processes: Sequence[int],
    inputs: Sequence[str],
    events: int,
    users: int,
    partitions: int,
    repeat: int,
    seed: int,
    address: str | None,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Run each number of processes in turn, on each of ``inputs``."""
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {}
    with tempfile.TemporaryDirectory(prefix="onramp-bench-") as directory, ExitStack() as stack:
        for name in inputs:
            task, brokers = Task(0, []), "" if name == "log" else stack.enter_context(broker(address))
            if name == "kafka":
                task = replace(task, brokers=brokers, topic=new_topic(brokers, partitions))
                fill(brokers, task.topic, _recent(events, users, seed))
            elif name == "log":
                task = replace(task, log=str(Path(directory) / "log"))
                _append(Path(task.log), _recent(events, users, seed), partitions)
            done: dict[str, list[dict[str, Any]]] = {str(count): [] for count in processes}
            runs[name] = done
            for turn in range(repeat):
                for count in processes:
                    if name == "stores":
                        found = scale_stores.measure(brokers, _recent(events, users, seed), processes=count, partitions=partitions)
                    else:
                        found = _one(task, count)
                    if found["events"] != events:
                        sys.exit(f"{count} processes read {found['events']} events of {events}")
                    done[str(count)].append(found)
                    cost = 1e6 * found["cpuPerEvent"]
                    tell(f"  {turn + 1} {name}, {count}: {found['eventsPerSecond']:,.0f} events/s, {cost:.0f} us of CPU")
    return {"inputs": {name: describe(done) for name, done in runs.items()}, "runs": runs}


def describe(done: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Return summaries, and what more processes gain over the smallest number: speed, CPU an event, the share that is not parallel."""
    least = min(done, key=int)
    found: dict[str, Any] = {}
    for count, runs in done.items():
        found[count] = summaries(runs, ("eventsPerSecond", "cpuPerEvent"))
        found[count]["speedup"] = faster = ratio(runs, done[least], "eventsPerSecond")
        found[count]["cpuRatio"] = ratio(runs, done[least], "cpuPerEvent")
        found[count]["serialShare"] = serial_share(faster, int(count) // int(least))
    return found


def serial_share(speedup: float, processes: int) -> float | None:
    """Return the share of the work that is not parallel, by Amdahl's law; None for one process. It counts added work as such a share."""
    return None if processes < 2 else (processes / speedup - 1) / (processes - 1)


def lines(results: Mapping[str, Any]) -> list[str]:
    """Format the results as a table."""
    table = [f"{'input':6} {'processes':>9} {'events/s':>9} {'speed':>6} {'us CPU/event':>12} {'of one':>7} {'not parallel':>12}"]
    for name, counts in results["inputs"].items():
        for count, found in counts.items():
            serial = found["serialShare"]
            table.append(
                f"{name:6} {count:>9} {found['eventsPerSecond']['median']:9,.0f} {found['speedup']:5.2f}x "
                f"{1e6 * found['cpuPerEvent']['median']:12.1f} {found['cpuRatio']:6.2f}x {'' if serial is None else f'{serial:.2f}':>12}"
            )
    return table


def _recent(events: int, users: int, seed: int) -> Iterator[Sent]:
    """Yield events at a thousand a second of log time, which end now."""
    span = events
    return stream(events=events, users=users, seed=seed, start=time.time_ns() // 1_000_000 - span, span=span)


def _append(directory: Path, messages: Iterator[Sent], partitions: int) -> None:
    at = 0
    with EventLog(directory, partitions=partitions, retention=None, now=lambda: at) as log:
        while batch := list(islice(messages, 500)):
            at = batch[-1].at
            log.append([Record(sent.key.encode(), sent.line) for sent in batch])


def _one(task: Task, count: int) -> dict[str, Any]:
    held = [reserve() for _ in range(count)]
    addresses = [f"127.0.0.1:{port_of(each)}" for each in held]
    for each in held:
        each.close()
    started = [
        subprocess.Popen(
            [sys.executable, "-m", _MODULE, json.dumps(asdict(replace(task, process=process, addresses=addresses)))],
            cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for process in range(count)
    ]  # fmt: skip
    results = []
    try:
        for process in started:
            said, complained = process.communicate(timeout=_TIMEOUT_S)
            if process.returncode:
                sys.exit(f"a process of {count} ended with {process.returncode}:\n{complained[-2000:]}")
            results.append(json.loads(said.splitlines()[-1]))
    finally:
        for process in started:
            process.kill()
            process.wait()
    return joined(results)


def joined(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the result of a whole cluster: it begins with its first process and ends with its last."""
    events = sum(result["events"] for result in results)
    seconds = max(result["ended"] for result in results) - min(result["begun"] for result in results)
    return {"events": events, "eventsPerSecond": events / seconds, "cpuPerEvent": sum(result["cpu"] for result in results) / events}
