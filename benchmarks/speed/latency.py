"""Scenario ``latency``: from the append of a sign-up to its recommendation in Redis, beside the floor of an empty flow."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.speed.broker import broker, new_topic
from benchmarks.speed.children import child
from benchmarks.speed.figures import percentiles, stalls, summaries
from benchmarks.speed.growth_process import Task
from benchmarks.speed.live import Answers, Appender, Kind, Place, live, seeded_people, sign_up, wait_until_live
from benchmarks.speed.stream import People
from local.valkey import EmbeddedValkey

_POINTS = ("p50", "p95", "p99", "max")
_LAST_WAIT_S = 20.0


def measure(
    *,
    rates: Sequence[int],
    sign_ups: float,
    users: int,
    partitions: int,
    recovery_partitions: int,
    epoch: float,
    epochs: int,
    repeat: int,
    seed: int,
    address: str | None,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Measure each rate for ``epochs`` epochs after one to warm up, job and floor in turn, in one live process for all rates of a turn."""
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {str(rate): {"job": [], "floor": []} for rate in rates}
    with tempfile.TemporaryDirectory(prefix="onramp-bench-") as directory, broker(address) as brokers:
        place = Path(directory)
        seeded = place / "seeded"
        tell(f"{users:,} people: filling a store")
        child(
            "benchmarks.speed.growth_process",
            asdict(Task("seed", str(seeded), users, recovery_partitions, end=time.time_ns() // 1_000_000, seed=seed)),
        )
        for turn in range(repeat):
            for kind in ("job", "floor"):
                found = _one(kind, rates, place, seeded, brokers, partitions, epoch, epochs, sign_ups, users, seed + turn, tell)
                for rate, one in found.items():
                    runs[rate][kind].append(one)
    results: dict[str, Any] = {}
    for rate, kinds in runs.items():
        results[rate] = {
            kind: summaries(done, (*_POINTS, "answered", "asked", "behind", "stalls", "secondsBetween")) for kind, done in kinds.items()
        }
        results[rate]["ofFloor"] = {
            point: results[rate]["job"][point]["median"] / results[rate]["floor"][point]["median"] for point in _POINTS
        }
    return {"rates": results, "runs": runs}


def lines(results: Mapping[str, Any]) -> list[str]:
    """Format the results as a table, in milliseconds."""
    heads = "".join(f"{f'{point} ms':>9}" for point in _POINTS)
    table = [f"{'events/s':>8} {'':6}{heads} {'answered':>9} {'behind s':>8} {'stalls':>7} {'s between':>9}"]
    for rate, found in results["rates"].items():
        for kind in ("job", "floor"):
            one = {name: summary["median"] for name, summary in found[kind].items()}
            delays = "".join(f"{1000 * one[point]:9.1f}" for point in _POINTS)
            ending = f"{one['behind']:8.1f} {one['stalls']:7.0f} {one['secondsBetween']:9.1f}"
            table.append(f"{rate:>8} {kind:6}{delays} {one['answered']:9.0f} {ending}")
    return table


def _one(
    kind: Kind,
    rates: Sequence[int],
    place: Path,
    seeded: Path,
    brokers: str,
    partitions: int,
    epoch: float,
    epochs: int,
    sign_ups: float,
    users: int,
    seed: int,
    tell: Callable[[str], None],
) -> dict[str, dict[str, Any]]:
    """Run one live process through all rates."""
    results: dict[str, dict[str, Any]] = {}
    work = place / "work"
    work.mkdir()
    valkey = EmbeddedValkey(work / "valkey")
    (work / "valkey").mkdir()
    valkey.start(publish=False)
    try:
        at = Place(brokers, new_topic(brokers, partitions), valkey.url, work / "data", epoch)
        with Answers(valkey.url) as answers:
            appender = Appender(at)
            people, newcomers = seeded_people(users, seed), People(users=10_000_000, seed=seed, prefix="new")
            with _seeded(kind, at, seeded) as process:
                took = wait_until_live(process, appender, answers, newcomers, work / "said.txt")
                tell(f"  {kind} is ready after {took:.1f} s")
                next_user = 1_000_000
                for rate in rates:
                    _feed(appender, answers, people, newcomers, rate, sign_ups, epoch, next_user)  # one epoch to warm up
                    _settle(answers)
                    answers.found.clear()
                    answers.waiting.clear()
                    next_user += 1_000_000
                    asked = _feed(appender, answers, people, newcomers, rate, sign_ups, epochs * epoch, next_user)
                    ended = time.time()
                    _settle(answers)
                    if not answers.found:
                        sys.exit(f"no sign-up was answered at {rate} events/s: the rate is too high for this machine")
                    next_user += 1_000_000
                    results[str(rate)] = one = describe(answers.found, asked=asked, ended=ended)
                    tell(f"  {kind} {rate}/s: " + " ".join(f"{point} {1000 * one[point]:.0f}" for point in _POINTS) + " ms")
            appender.close()
    finally:
        valkey.stop()
        shutil.rmtree(work)
    return results


def describe(found: Sequence[tuple[float, float]], *, asked: int, ended: float) -> dict[str, Any]:
    """Return percentiles, how many were answered, and where the slow ones are. ``found`` is (time of the sign-up, seconds).

    ``behind`` is how long before ``ended``, the last append, the newest answered sign-up was. If that is seconds, the rate was too high:
    the percentiles are only of those that were answered.
    """
    ordered = sorted(found)
    delays = [delay for _, delay in ordered]
    points = percentiles(delays)
    slow = stalls([at for at, _ in ordered], delays, above=max(4 * points["p50"], 0.02))
    return {**points, "asked": asked, "answered": len(found), "behind": max(0.0, ended - ordered[-1][0]), **slow}


def _seeded(kind: Kind, at: Place, seeded: Path) -> Any:
    from local.data_dir import DataDir  # noqa: PLC0415

    DataDir.create(at.data)
    shutil.copytree(seeded, at.store)
    return live(kind, at)


def _feed(
    appender: Appender, answers: Answers, people: People, newcomers: People, rate: int, sign_ups: float, seconds: float, first_user: int
) -> int:
    """Append ``rate`` events and ``sign_ups`` sign-ups a second, each when it is due; return how many sign-ups there were."""
    begun, sent, signed = time.monotonic(), 0, 0
    while (elapsed := time.monotonic() - begun) < seconds:
        at = time.time_ns() // 1_000_000
        while sent < int(elapsed * rate):
            appender.append(people.send(at))
            sent += 1
        if signed < int(elapsed * sign_ups):
            sign_up(appender, answers, newcomers, first_user + signed)
            signed += 1
        appender.poll()
        time.sleep(0.001)
    return signed


def _settle(answers: Answers) -> None:
    """Wait until answers stop coming: not everybody who signs up gets a recommendation."""
    until, known, quiet = time.monotonic() + _LAST_WAIT_S, -1, time.monotonic()
    while time.monotonic() < until and time.monotonic() - quiet < 3:
        if len(answers.found) != known:
            known, quiet = len(answers.found), time.monotonic()
        time.sleep(0.05)
