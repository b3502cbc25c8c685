"""Measures what the endpoint of metrics costs: ``python -m benchmarks.metrics_endpoint [--events N] [--repeat N]``.

The job reads the same local event log to its end without the endpoint, and with it while it is scraped once a second (Prometheus does so
every 15 seconds), alternating. The figure is the CPU time of the whole process, start-up included: on a shared machine it varies less.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Final

from benchmarks.generate import write_input
from local.recovery_positions import saved_positions
from sources.local_log.log import EventLog, Record
from sources.local_log.source import NAME

ROOT: Final = Path(__file__).parents[1]
_ADDRESS: Final = "127.0.0.1:19464"
_USER: Final = re.compile(rb'"userId":\s*"([^"]+)"')
_LONGEST: Final = 900.0


def fill(log: Path, source: Path) -> int:
    """Append the lines of ``source`` under their users' keys; return their number."""
    lines = source.read_bytes().splitlines()
    with EventLog(log, retention=None) as target:
        for start in range(0, len(lines), 1000):
            batch = lines[start : start + 1000]
            target.append([Record(found[1] if (found := _USER.search(line)) else b"visitor", line) for line in batch])
    return len(lines)


def run_once(directory: Path, data: Path, lines: int, *, scraped: bool) -> float:
    """Run the job until it has read ``lines``; return its CPU seconds."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONRAMP_")}
    environment |= {"PYTHONPATH": str(ROOT), "ONRAMP_EVENT_LOG": str(directory / "log"), "ONRAMP_DATA_DIR": str(data)}
    environment |= {"ONRAMP_CATALOG": "saas", "ONRAMP_SECRET": "a secret for measurements", "ONRAMP_RECOVERY_PARTITIONS": "8"}
    if scraped:
        environment["ONRAMP_METRICS_ADDRESS"] = _ADDRESS
    job = subprocess.Popen(
        [sys.executable, "-m", "cli", "run", "--json"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    ended = threading.Event()
    if scraped:
        threading.Thread(target=_scrape, args=(ended,), daemon=True).start()
    deadline = time.monotonic() + _LONGEST
    while sum(each.offset for each in saved_positions(data / "state", NAME).values()) < lines:
        if job.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("the job has not read its input")
        time.sleep(0.5)
    job.send_signal(signal.SIGTERM)
    assert job.stdout is not None
    read = json.loads(job.stdout.read())["eventsRead"]
    _, _, used = os.wait4(job.pid, 0)
    ended.set()
    if read != lines:
        raise SystemExit(f"the job has read {read} of {lines} lines")
    return used.ru_utime + used.ru_stime


def _scrape(ended: threading.Event) -> None:
    while not ended.wait(1.0):
        try:
            with urllib.request.urlopen(f"http://{_ADDRESS}/metrics", timeout=5) as answer:
                answer.read()
        except OSError:
            continue


def main() -> None:
    """Measure, and print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        write_input(directory / "input.jsonl", events=options.events, seed=5)
        lines = fill(directory / "log", directory / "input.jsonl")
        runs: dict[bool, list[float]] = {False: [], True: []}
        for number in range(2 * options.repeat):
            scraped = bool(number % 2)
            runs[scraped].append(run_once(directory, directory / f"data{number}", lines, scraped=scraped))
    without, with_it = statistics.median(runs[False]), statistics.median(runs[True])
    print(f"CPU seconds for {lines} events: {without:.2f} without, {with_it:.2f} with the endpoint; ratio {with_it / without:.3f}")


if __name__ == "__main__":
    main()
