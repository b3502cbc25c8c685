"""Scenario ``growth``: what a larger number of people costs, and the same events over more log time."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.saas_people import START
from benchmarks.speed.children import child
from benchmarks.speed.figures import ratio, summaries, summary
from benchmarks.speed.growth_process import Task
from benchmarks.speed.seeding import PREFIX
from benchmarks.speed.stream import stream

_MODULE = "benchmarks.speed.growth_process"
_FIGURES = ("eventsPerSecond", "cpuPerEvent", "resumeSeconds", "bytesPerUser", "storeBytesPerUser", "timers", "longestPause", "wholeEpochs")
_ENDLESS = 10**12
_GUESS = 20_000.0
"""Events a second that a job is thought to manage before it was measured: an input must last for all epochs."""
PER = 100_000
"""``--epoch`` and ``--log-rate`` are those at this number of people. They grow with it: each epoch wakes the same share of the people, and
everybody is as active at all sizes."""


def measure(
    *,
    sizes: Sequence[int],
    epoch: float,
    fixed_epoch: bool,
    epochs: int,
    recovery_partitions: int,
    user_events: int,
    log_rate: float,
    fixed_log_rate: bool,
    density_events: int,
    dense_rate: float,
    sparse: int,
    repeat: int,
    seed: int,
    most_events: int,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Measure all sizes, each beside its floor, then dense and sparse input."""
    results: dict[str, Any] = {"sizes": {}}
    rate = _GUESS
    with tempfile.TemporaryDirectory(prefix="onramp-bench-") as directory:
        place = Path(directory)
        for users in sizes:
            own_epoch = max(0.2, at_size(users, epoch, fixed=fixed_epoch))
            own_rate = at_size(users, log_rate, fixed=fixed_log_rate)
            seeded = place / f"seeded-{users}"
            tell(f"{users:,} people: filling a store")
            first = Task("seed", str(seeded), users, recovery_partitions, user_events=user_events, end=START, seed=seed)
            child(_MODULE, asdict(first))
            events = min(most_events, int(2 * max(rate, _GUESS) * own_epoch * epochs))
            source = place / "events.jsonl"
            _write(source, events=events, users=users, seed=seed, rate=own_rate)
            runs: dict[str, list[dict[str, Any]]] = {"job": [], "floor": []}
            for turn in range(repeat):
                for kind, done in runs.items():
                    store = place / "store"
                    shutil.copytree(seeded, store)
                    task = Task("job", str(store), users, recovery_partitions, str(source), events, own_epoch, epochs, seed=seed + turn)
                    if kind == "floor":
                        beside = runs["job"][-1]
                        paced, ended = beside["eventsPerSecond"], max(1, min(epochs, len(beside["pauses"])))
                        task = replace(task, kind="floor", rate=paced, epochs=ended, events=_ENDLESS)
                    found = child(_MODULE, asdict(task))
                    found["longestPause"] = max(found["pauses"], default=None)
                    done.append(found)
                    shutil.rmtree(store)
                    tell(f"  {turn + 1} {kind}: {_described(found)}")
            rate = max(run["eventsPerSecond"] for run in runs["job"])
            results["sizes"][str(users)] = describe(runs) | {"epoch": own_epoch, "logRate": own_rate}
            shutil.rmtree(seeded)
        results["density"] = _density(place, density_events, dense_rate, sparse, epoch, recovery_partitions, repeat, seed, tell)
    compare_sizes(results["sizes"])
    return results


def at_size(users: int, figure: float, *, fixed: bool) -> float:
    """What ``figure``, which is that of ``PER`` people, is with so many. ``fixed``: the same."""
    return figure if fixed else figure * users / PER


def describe(runs: Mapping[str, Sequence[dict[str, Any]]]) -> dict[str, Any]:
    """Return the summaries of the job and its floor, and the ratios of what the floor has too."""
    found: dict[str, Any] = {kind: summaries(done, _FIGURES) for kind, done in runs.items()}
    for kind, done in runs.items():
        pauses = [pause for run in done for pause in run["pauses"]]
        if pauses:
            found[kind]["pause"] = summary(pauses)
    found["ofFloor"] = {"resumeSeconds": ratio(runs["job"], runs["floor"], "resumeSeconds")}
    if "pause" in found["job"] and "pause" in found["floor"]:
        found["ofFloor"]["pause"] = found["job"]["pause"]["median"] / found["floor"]["pause"]["median"]
    found["runs"] = {kind: list(done) for kind, done in runs.items()}
    return found


def compare_sizes(sizes: Mapping[str, dict[str, Any]]) -> None:
    """Add to each size its throughput as a share of that of the smallest."""
    smallest = sizes[min(sizes, key=int)]
    for found in sizes.values():
        for name, field, forth in (("ofSmallest", "eventsPerSecond", 1), ("ofSmallestByCpu", "cpuPerEvent", -1)):
            found[name] = (found["job"][field]["median"] / smallest["job"][field]["median"]) ** forth


def lines(results: Mapping[str, Any]) -> list[str]:
    """Format the results as a table."""
    table = [
        "".join(
            (
                f"{'people':>9} {'epoch s':>7} {'events/s':>9} {'of least':>8} {'us CPU':>7} {'B/user':>7} {'store B':>8} {'timers':>9} ",
                f"{'resume s':>8} {'floor':>7} {'pause s':>8} {'floor':>7} {'ratio':>6}",
            )
        )
    ]
    for users, found in results["sizes"].items():
        job, floor = found["job"], found["floor"]
        table.append(
            f"{int(users):9,} {found['epoch']:7.1f} {job['eventsPerSecond']['median']:9,.0f} {found['ofSmallest']:8.2f} "
            f"{1e6 * job['cpuPerEvent']['median']:7.0f} {job['bytesPerUser']['median']:7,.0f} {job['storeBytesPerUser']['median']:8,.0f} "
            f"{job['timers']['median']:9,.0f} {job['resumeSeconds']['median']:8.2f} {floor['resumeSeconds']['median']:7.2f} "
            f"{_median(job):8.3f} {_median(floor):7.3f} {found['ofFloor'].get('pause', float('nan')):6.2f}"
        )
    for name, found in results["density"].items():
        if name in ("dense", "sparse"):
            speed = found["eventsPerSecond"]
            table.append(f"{name}: {speed['median']:,.0f} events/s ({speed['least']:,.0f} to {speed['most']:,.0f})")
    density = results["density"]
    table.append(f"sparse of dense: {density['sparseOfDense']:.2f}, by CPU {density['sparseOfDenseByCpu']:.2f}")
    table += [f"rows, {name}: " + ", ".join(f"{each} {count:,}" for each, count in rows.items()) for name, rows in density["rows"].items()]
    return table


def _median(found: Mapping[str, Any]) -> float:
    return float(found["pause"]["median"]) if "pause" in found else float("nan")


def _density(
    place: Path,
    events: int,
    rate: float,
    sparse: int,
    epoch: float,
    recovery_partitions: int,
    repeat: int,
    seed: int,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Measure the same events at ``rate`` events a second of log time, and over ``sparse`` times the log time, from an empty store on."""
    users, runs = max(10, events // 20), dict[str, list[dict[str, Any]]]()
    sources = {name: place / f"{name}.jsonl" for name in ("dense", "sparse")}
    for name, slower in (("dense", 1), ("sparse", sparse)):
        _write(sources[name], events=events, users=users, seed=seed, old=False, rate=rate / slower)
    for turn in range(repeat):
        for name, source in sources.items():
            store = place / "store"
            task = Task("fresh", str(store), users, recovery_partitions, str(source), events, epoch, seed=seed)
            found = child(_MODULE, asdict(task))
            runs.setdefault(name, []).append(found)
            shutil.rmtree(store)
            tell(f"  {turn + 1} {name}: {found['eventsPerSecond']:,.0f} events/s")
    described: dict[str, Any] = {name: summaries(done, ("eventsPerSecond", "cpuPerEvent")) for name, done in runs.items()}
    compared = {
        "sparseOfDense": ratio(runs["sparse"], runs["dense"], "eventsPerSecond"),
        "sparseOfDenseByCpu": ratio(runs["dense"], runs["sparse"], "cpuPerEvent"),
        "rows": {name: found[0]["rows"] for name, found in runs.items()},
    }
    return described | compared


def _write(path: Path, *, events: int, users: int, seed: int, rate: float, old: bool = True) -> None:
    """Write the events of people at ``rate`` events a second of log time."""
    span = round(1000 * events / rate)
    with path.open("wb") as file:
        for sent in stream(events=events, users=users, seed=seed, span=span, prefix=PREFIX, old=old):
            file.write(sent.line + b"\n")


def _described(found: Mapping[str, Any]) -> str:
    pauses = ", ".join(f"{pause:.2f}" for pause in found["pauses"])
    speed, memory, resume = found["eventsPerSecond"], found["bytesPerUser"], found["resumeSeconds"]
    return f"{speed:,.0f} events/s, {memory:,.0f} B/user, resume {resume:.2f} s, pauses {pauses}"
