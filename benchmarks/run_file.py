"""Measures the speed of ``onramp run`` on a file: ``python -m benchmarks.run_file [--events N] [--repeat N] [--only NAME …] [--json]``.

Every scenario runs in its own process and reads the same events, which ``benchmarks.generate`` makes from a seed. Some of the people are
anonymous visitors first:

| scenario | what runs |
|---|---|
| ``decode`` | lines to events, nothing else |
| ``fold`` | lines to events to each person's state, in plain Python without Bytewax, learners, texts or sinks |
| ``graph`` | the whole dataflow on Bytewax, with sinks that discard everything and without recovery |
| ``recovery`` | the same with snapshots on disk |
| ``job`` | everything at default settings: Valkey, ClickHouse, recovery, dead letters, as ``onramp run`` does it |

``seconds`` is from the first read to the last durable effect; ``wall`` and ``cpu`` are those of the whole process, start-up included: on a
shared machine ``cpu`` varies less. Figures are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.run import cli_main

from benchmarks.generate import write_input
from flows.catalogs import load_catalog
from flows.onboarding import FlowParts, SideChannels, build
from flows.recovery import recovery_config
from flows.run import run, tuned_garbage_collector
from flows.settings import load_settings
from flows.stop import StopRequest
from flows.version import engine_is_compiled
from local.data_dir import DataDir
from local.old_snapshots_process import OldSnapshotsProcess
from sources.files.source import JsonlSource
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.decode import decode as decode_event
from state.decode import peek
from state.event import Event
from state.ids import Keys
from state.messages import Message
from state.person.collector import Collector
from state.person.fold import Fold
from state.person.person import Person
from system.wall_clock import wall_clock

ROOT = Path(__file__).parents[1]


class DiscardingSink(DynamicSink[Any]):
    """A sink that discards its items, so that it costs nothing."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[Any]:  # noqa: ARG002 -- the engine's signature
        return _DiscardingPartition()


class _DiscardingPartition(StatelessSinkPartition[Any]):
    def write_batch(self, items: list[Any]) -> None:
        """Discard ``items``."""


def decode(source: Path) -> float:
    begun = time.perf_counter()
    with source.open("rb") as lines:
        for number, line in enumerate(lines):
            peeked = peek(line)
            at = peeked.at or 0
            decode_event(Message(line, None, "bench", 0, number, at, at, number, peeked=peeked))
    return time.perf_counter() - begun


def fold(source: Path) -> float:
    keys = Keys(b"benchmark")
    folding, people, now = Fold(Plan(load_catalog("saas")), keys), dict[str, Person](), 0
    begun = time.perf_counter()
    with source.open("rb") as lines:
        for number, line in enumerate(lines):
            peeked = peek(line)
            now = max(now, peeked.at or 0)
            event = decode_event(Message(line, None, "bench", 0, number, now, now, number, peeked=peeked))
            if isinstance(event, Event):
                who = keys.stream_key(event.tenant, event.user)
                out = Collector(who)
                out.begin(number)
                people[who] = folding.apply(people.get(who), event, out)
    return time.perf_counter() - begun


def graph(source: Path) -> float:
    return _dataflow(source, None)


def recovery(source: Path) -> float:
    with tempfile.TemporaryDirectory() as directory:
        return _dataflow(source, Path(directory))


def _dataflow(path: Path, data: Path | None) -> float:
    settings, plan, side = load_settings(), Plan(load_catalog("saas")), SideChannels()
    source = JsonlSource(path, peek, side.batch_policy((plan,), settings.batch_size), now=wall_clock)
    flow = build(FlowParts(source, DiscardingSink(), DiscardingSink(), DiscardingSink(), ByTenant(plan), Keys(b"benchmark"), side))
    store = None if data is None else recovery_config(DataDir.create(data / "data"), settings.recovery_files(bounded=True))
    begun = time.perf_counter()
    with nullcontext() if data is None else OldSnapshotsProcess(data / "data" / "state"), tuned_garbage_collector():
        cli_main(flow, epoch_interval=timedelta(seconds=settings.epoch_seconds), recovery_config=store)  # type: ignore[no-untyped-call]
    return time.perf_counter() - begun


def job(source: Path) -> float:
    with tempfile.TemporaryDirectory() as directory:
        settings = load_settings(data_dir=Path(directory) / "data")
        outcome = run(settings, input_path=source, owner="benchmark", started=time.perf_counter(), stop=StopRequest())
    summary = outcome.summary
    seconds: float = summary["thisRun"]["eventsRead"] / summary["eventsPerSecond"]
    return seconds


SCENARIOS: dict[str, Callable[[Path], float]] = {"decode": decode, "fold": fold, "graph": graph, "recovery": recovery, "job": job}


def measure(scenario: str, source: Path) -> dict[str, float]:
    """Run one scenario in a fresh process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONRAMP_")}
    environment["ONRAMP_LOG_LEVEL"] = "error"
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run_file", "--scenario", scenario, str(source)],
        cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    return {**json.loads(done.stdout.splitlines()[-1]), "wall": time.perf_counter() - begun}


def main() -> None:
    """Run the scenarios and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run_file", description="Measure the speed of the job on a file of events.")
    parser.add_argument("--events", type=int, default=100_000, help="lines of the file (default: 100000)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the events (default: 1)")
    parser.add_argument("--visitors", type=float, default=0.2, help="share of people who begin as anonymous visitors (default: 0.2)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each scenario; the median counts (default: 3)")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), help="scenarios to run (default: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--scenario", nargs=2, metavar=("NAME", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.scenario is not None:
        name, path = arguments.scenario
        seconds = SCENARIOS[name](Path(path))
        print(json.dumps({"seconds": seconds, "cpu": time.process_time()}))
        return
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "events.jsonl"
        users = write_input(source, events=arguments.events, seed=arguments.seed, visitors=arguments.visitors)
        figures: dict[str, dict[str, Any]] = {}
        for name in arguments.only:
            runs = [measure(name, source) for _ in range(arguments.repeat)]
            figure = {what: round(statistics.median(run[what] for run in runs), 3) for what in ("seconds", "cpu", "wall")}
            figures[name] = {"eventsPerSecond": round(arguments.events / figure["seconds"]), **figure, "runs": runs}
            if not arguments.json:
                speed = f"{name:10} {figures[name]['eventsPerSecond']:>9,} events/s   {figure['seconds']:7.3f} s"
                print(f"{speed}   process: {figure['wall']:7.3f} s, {figure['cpu']:7.3f} s of CPU", flush=True)
    if arguments.json:
        about = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "compiled": engine_is_compiled(),
        }
        asked = {name: getattr(arguments, name) for name in ("events", "seed", "visitors", "repeat")} | {"users": users}
        print(json.dumps({"benchmark": "run_file", **asked, **about, "scenarios": figures}, indent=2))


if __name__ == "__main__":
    main()
