"""Measures appends to the event log: ``python -m benchmarks.event_log [--seconds S] [--repeat N] [--clients N] [--json]``.

Clients append one event, or a hundred, and each waits until its events are flushed to disk before it sends the next. One thread takes all
that has gathered while the last commit ran, and commits it at once (group commit): the gateway does it in this way. Contenders:

| contender | what stores |
|---|---|
| ``floor`` | one SQLite table with ``synchronous=FULL`` and a row an event: no partitions, checksums or lock of writers |
| ``log`` | ``EventLog.append``: partitions by key, offsets, a checksum, the lock of writers |
| ``log, read`` | the same, while another process reads all partitions as the job's source does |

``single`` is one client without group commit: the time of one append. Contenders take turns in each repetition, in a new directory;
``events/s`` and the percentiles are medians, ``of floor`` is the median of the ratios within a repetition. ``cpu`` is that of this process.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sources.local_log.log import EventLog, Record
from sources.local_log.reader import LogReader

Append = Callable[[list[Record]], Any]
VALUE = (
    b'{"eventId": "0f3c9a52-7d1e-4b6a-9c39-52a0f3c9a527", "userId": "u-%06d", "eventType": "track", "name": "dashboard_created", '
    b'"timestamp": "2026-03-02T09:00:05.120Z", "payload": {"charts": 2, "template": "weekly_numbers", "source": "warehouse"}}'
)


@contextmanager
def floor(directory: Path) -> Iterator[Append]:
    database = sqlite3.connect(directory / "log.db", isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE log(position INTEGER PRIMARY KEY, part INT, at INT, key TEXT, value BLOB)")

    def append(records: list[Record]) -> None:
        now = time.time_ns() // 1_000_000
        database.execute("BEGIN")
        database.executemany(
            "INSERT INTO log(part, at, key, value) VALUES (0, ?, ?, ?)", [(now, record.key, record.value) for record in records]
        )
        database.execute("COMMIT")

    yield append
    database.close()


@contextmanager
def log(directory: Path) -> Iterator[Append]:
    with EventLog(directory / "log") as opened:
        yield opened.append


@contextmanager
def log_read(directory: Path) -> Iterator[Append]:
    process = multiprocessing.get_context("spawn").Process(target=_follow, args=(directory / "log",), daemon=True)
    process.start()
    with EventLog(directory / "log") as opened:
        yield opened.append
    process.kill()
    process.join(10)


def _follow(directory: Path) -> None:
    reader = LogReader(directory)
    places = dict.fromkeys(range(reader.identity.partitions), 0)
    while True:
        for partition, place in places.items():
            if rows := reader.read(partition, place, 1_000):
                places[partition] = rows[-1].offset + 1
        time.sleep(0.005)


CONTENDERS = {"floor": floor, "log": log, "log, read": log_read}


def single(append: Append, size: int, seconds: float) -> tuple[int, list[float]]:
    """One client after the other. Returns how many events were stored, and the time of each append."""
    stored, took, until = 0, [], time.perf_counter() + seconds
    while (begun := time.perf_counter()) < until:
        append(_records(stored, size))
        took.append(time.perf_counter() - begun)
        stored += size
    return stored, took


def grouped(append: Append, size: int, seconds: float, clients: int) -> tuple[int, list[float]]:
    """Clients that each wait for their own events. They are no threads: each that was answered sends again, and is in the next commit."""
    begun = [time.perf_counter()] * clients
    waiting = list(range(clients))
    stored, took, until = 0, [], time.perf_counter() + seconds
    gathered: list[tuple[int, list[Record]]] = []
    awake, done = threading.Condition(), False

    def take() -> list[tuple[int, list[Record]]]:
        with awake:
            awake.wait_for(lambda: gathered or done, timeout=60)
            batch = gathered[:]
            gathered.clear()
            return batch

    def commit() -> None:
        nonlocal stored
        while batch := take():
            append([record for _, records in batch for record in records])
            now = time.perf_counter()
            with awake:
                for client, records in batch:
                    took.append(now - begun[client])
                    waiting.append(client)
                    stored += len(records)
                awake.notify_all()

    thread = threading.Thread(target=commit, daemon=True)
    thread.start()
    number = 0
    while time.perf_counter() < until:
        with awake:
            if not awake.wait_for(lambda: waiting, timeout=60):
                sys.exit("the log does not answer; its error stands above")
            sending, waiting[:] = waiting[:], []
        for client in sending:  # while the last commit runs, as requests arrive one by one
            begun[client] = time.perf_counter()
            records = _records(number, size)
            number += size
            with awake:
                gathered.append((client, records))
                awake.notify_all()
    with awake:
        done = True
        awake.notify_all()
    thread.join(60)
    return stored, took


def _records(first: int, size: int) -> list[Record]:
    return [Record(b"u-%06d" % (n * 7_919 % 50_000), VALUE % (n * 7_919 % 50_000)) for n in range(first, first + size)]


def measure(contender: str, size: int, mode: str, seconds: float, clients: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory, CONTENDERS[contender](Path(directory)) as append:
        append(_records(0, 10))
        begun, cpu = time.perf_counter(), time.process_time()
        stored, took = single(append, size, seconds) if mode == "single" else grouped(append, size, seconds, clients)
        wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    took.sort()
    return {
        "events_per_second": stored / wall,
        "p50_ms": 1e3 * took[len(took) // 2],
        "p99_ms": 1e3 * took[int(len(took) * 0.99)],
        "cpu_us_per_event": 1e6 * cpu / stored,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = []
    for mode, size in (("single", 1), ("single", 100), ("group commit", 1), ("group commit", 100)):
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
        for _ in range(asked.repeat):
            for name, found in runs.items():
                found.append(measure(name, size, mode, asked.seconds, asked.clients))
        for name, found in runs.items():
            medians = {figure: statistics.median(run[figure] for run in found) for figure in found[0]}
            ratios = [run["events_per_second"] / least["events_per_second"] for run, least in zip(found, runs["floor"], strict=True)]
            rows.append({"mode": mode, "batch": size, "contender": name, **medians, "of_floor": statistics.median(ratios)})
    if asked.json:
        print(json.dumps({"clients": asked.clients, "seconds": asked.seconds, "repeat": asked.repeat, "rows": rows}, indent=2))
        return
    print(f"{'':14} {'batch':>5} {'contender':10} {'events/s':>9} {'of floor':>8} {'p50 ms':>7} {'p99 ms':>7} {'cpu µs/event':>12}")
    for row in rows:
        print(
            f"{row['mode']:14} {row['batch']:5} {row['contender']:10} {row['events_per_second']:9,.0f} {row['of_floor']:8.2f} "
            f"{row['p50_ms']:7.2f} {row['p99_ms']:7.2f} {row['cpu_us_per_event']:12.1f}"
        )


if __name__ == "__main__":
    main()
