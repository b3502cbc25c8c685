"""Scenario ``stop``: how long a live job with many people in its state takes to end in order, beside a bare flow with as many keys."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from benchmarks.speed.broker import broker, new_topic
from benchmarks.speed.children import child
from benchmarks.speed.figures import summaries
from benchmarks.speed.growth_process import Task
from benchmarks.speed.live import Answers, Appender, Kind, Place, cpu_seconds, live, seeded_people, wait_until_live
from benchmarks.speed.stream import People, Sent
from flows.settings import load_settings
from local.data_dir import DataDir
from local.valkey import EmbeddedValkey

_LONGEST_S = 600.0
_READ_S = 300.0
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
    with broker(address) as brokers, tempfile.TemporaryDirectory(prefix="onramp-bench-", ignore_cleanup_errors=True) as directory:
        place = Path(directory)
        tell(f"  {users:,} people are seeded")
        seeded = Task("seed", str(place / "seeded"), users, recovery_partitions, end=time.time_ns() // 1_000_000, seed=seed)
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
        f"{name:6} ends {found['seconds']['median']:6.1f} s after SIGTERM ({found['cpu']['median']:.1f} s of CPU) "
        f"with exit code {found['code']['most']:.0f}, and is live again after {found['resume']['median']:.1f} s"
        for name, found in ((name, results[name]) for name in ("floor", "job"))
    ]
    return [*table, f"the job takes {results['ofFloor']:.2f} times as long as the floor"]


def _one(
    kind: Kind, place: Path, brokers: str, partitions: int, epoch: float, rate: int, users: int, seed: int, tell: Callable[[str], None]
) -> dict[str, float]:
    work = Path(tempfile.mkdtemp(dir=place))
    (work / "valkey").mkdir(parents=True)
    valkey = EmbeddedValkey(work / "valkey")
    valkey.start(publish=False)
    try:
        at = Place(brokers, new_topic(brokers, partitions), valkey.url, work / "data", epoch)
        DataDir.create(at.data)
        shutil.copytree(place / "seeded", at.store)
        appender, people, said = _Counted(at), seeded_people(users, seed), work / "said.txt"
        with Answers(valkey.url) as answers:
            with live(kind, at) as process:
                took = wait_until_live(process, appender, answers, _newcomers(seed, "first"), said)
                tell(f"  {kind} is ready after {took:.1f} s")
                _load(appender, people, rate, 2 * epoch)
                seconds, used = _stop(process, lambda: _load(appender, people, rate, 0.1))
                code = process.returncode
            answers.waiting.clear()
            answers.found.clear()
            with live(kind, at) as process:
                resume = wait_until_live(process, appender, answers, _newcomers(seed, "second"), said)
                appender.flush()
                if kind == "job":
                    _wait_until_read(at, partitions)
                _stop(process, lambda: time.sleep(0.1))
        appender.close()
        if kind == "job":
            _check_each_was_read_once(said, appender.sent)
        return {"seconds": seconds, "cpu": used, "resume": resume, "code": float(code)}
    finally:
        valkey.stop()
        shutil.rmtree(work, ignore_errors=True)  # the embedded ClickHouse lives on for some seconds


class _Counted(Appender):
    """Counts what it appends."""

    sent = 0

    def append(self, sent: Sent) -> None:
        """Append one message."""
        super().append(sent)
        self.sent += 1


def _newcomers(seed: int, prefix: str) -> People:
    return People(users=10_000_000, seed=seed, prefix=prefix)


def _load(appender: Appender, people: People, rate: int, seconds: float) -> None:
    """Append ``rate`` events a second."""
    begun, sent = time.monotonic(), 0
    while (elapsed := time.monotonic() - begun) < seconds:
        while sent < int(elapsed * rate):
            appender.append(people.send(time.time_ns() // 1_000_000))
            sent += 1
        appender.poll()
        time.sleep(0.005)


def _stop(process: subprocess.Popen[bytes], meanwhile: Callable[[], None]) -> tuple[float, float]:
    """Send SIGTERM; return the seconds until the process has ended, and its CPU time meanwhile. Exits if it does not end."""
    begun, before = time.monotonic(), cpu_seconds(process.pid)
    used = before
    process.send_signal(signal.SIGTERM)
    while process.poll() is None:
        used = cpu_seconds(process.pid)
        meanwhile()
        if time.monotonic() - begun > _LONGEST_S:
            sys.exit(f"the process did not end within {_LONGEST_S:.0f} s of SIGTERM")
    return time.monotonic() - begun, used - before


def _wait_until_read(place: Place, partitions: int) -> None:
    """Wait until the job has committed the end of every partition. Exits if it does not within ``_READ_S``."""
    group = load_settings().kafka_group
    consumer = Consumer({"bootstrap.servers": place.brokers, "group.id": group, "log_level": 0})
    try:
        places = [TopicPartition(place.topic, number) for number in range(partitions)]
        ends = [consumer.get_watermark_offsets(each, timeout=10)[1] for each in places]
        until = time.monotonic() + _READ_S
        while (read := [max(each.offset, 0) for each in consumer.committed(places, timeout=10)]) != ends:
            if time.monotonic() > until:
                sys.exit(f"after {_READ_S:.0f} s the job has committed {read}, and the partitions end at {ends}")
            time.sleep(0.2)
    finally:
        consumer.close()


def _check_each_was_read_once(said: Path, sent: int) -> None:
    """Compare the tally of the job over both runs with what was appended. Exits if they differ."""
    tally = next(json.loads(line) for line in reversed(said.read_text(errors="replace").splitlines()) if line.startswith("{"))
    if tally["eventsRead"] != sent:
        sys.exit(f"{sent} messages were appended, and the job read {tally['eventsRead']} over both runs")
