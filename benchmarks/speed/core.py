"""Scenario ``core``: the same broker, events and fold for all contenders, and one output for each change."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.speed.broker import broker, fill, new_topic
from benchmarks.speed.children import child
from benchmarks.speed.contenders.task import Task
from benchmarks.speed.figures import Run, check_agreement, ratio, summaries
from benchmarks.speed.stream import stream
from benchmarks.trees import ROOT

PEERS: Final = ROOT / ".peers"
"""Environments of the peers, built by ``make bench-peers``."""


@dataclass(frozen=True)
class Contender:
    """``module`` in ``benchmarks/speed/contenders``; ``peer`` is the name of its environment, None for this project's."""

    module: str
    peer: str | None = None
    changelog: bool = False
    slow: bool = False
    """Reads ``--slow-events`` events."""

    def python(self) -> Path:
        """Return the interpreter that runs it."""
        return Path(sys.executable) if self.peer is None else PEERS / self.peer / "bin" / "python"

    def missing(self) -> bool:
        """Whether its environment was not built."""
        return not self.python().exists()


CONTENDERS: Final = {
    "bare loop": Contender("bare_loop"),
    "onramp": Contender("onramp"),
    "stock bytewax": Contender("stock_bytewax", slow=True),
    "quix": Contender("quix", "quix", slow=True),
    "quix, changelog": Contender("quix", "quix", changelog=True, slow=True),
    "faust": Contender("faust_table", "faust", slow=True),
}
_FIGURES: Final = ("eventsPerSecond", "cpuPerEvent", "peakMb", "longestPause", "epochs")


def measure(
    *,
    names: Sequence[str],
    events: int,
    slow_events: int,
    users: int,
    partitions: int,
    repeat: int,
    epoch: float,
    recovery_partitions: int,
    fold: str,
    log_rate: float,
    seed: int,
    address: str | None,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Run the contenders in turn, ``repeat`` times, after one short run of each to warm up. Exits if their outputs differ.

    Slow contenders read the first ``slow_events`` events, and so do the others in further runs to compare outputs with.
    """
    used = {name: CONTENDERS[name] for name in names if fold == "small" or CONTENDERS[name].peer is None}
    for name in [name for name, contender in used.items() if contender.missing()]:
        tell(f"{name} is left out: `make bench-peers` builds its environment")
        del used[name]
    slow_events = min(slow_events, events)
    sizes = sorted({slow_events if contender.slow else events for contender in used.values()})
    runs: dict[str, list[Run]] = {name: [] for name in used}
    with broker(address) as brokers, tempfile.TemporaryDirectory(prefix="onramp-bench-") as directory:
        first = Task(brokers, "", partitions, 0, 0, epoch, directory, recovery_partitions, fold)
        warming = min(2000, slow_events)
        warm_up = replace(first, topic=_topic(brokers, partitions, warming, users, log_rate, seed), events=warming)
        for name, contender in used.items():
            tell(f"warming up {name}")
            _run(contender, warm_up)
        tasks = {}
        for size in sizes:
            tell(f"{size:,} events of {users:,} people")
            tasks[size] = replace(first, topic=_topic(brokers, partitions, size, users, log_rate, seed), events=size, warm=size // 20)
        for turn in range(repeat):
            for name, contender in used.items():
                run = _run(contender, tasks[slow_events if contender.slow else events])
                runs[name].append(run)
                tell(f"  {turn + 1} {name}: {run['eventsPerSecond']:,.0f} events/s, {1e6 * run['cpuPerEvent']:.1f} us of CPU an event")
        for size in sizes:
            compared = {name: runs[name] for name in used if runs[name][0]["events"] == size}
            fast = next((name for name, contender in used.items() if not contender.slow), None)
            if fast is not None and fast not in compared:
                compared[fast] = [_run(used[fast], tasks[size])]
            check_agreement(compared, ("outputs", "digest"))
    return {"contenders": {name: describe(name, runs) for name in used}, "runs": runs}


def describe(name: str, runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Return the summaries of a contender, and its ratios to the ceiling and to ``onramp``."""
    found: dict[str, Any] = {"events": runs[name][0]["events"], "outputs": runs[name][0]["outputs"]}
    found |= summaries(runs[name], _FIGURES)
    for field, other in (("ofBareLoop", "bare loop"), ("onrampTimes", "onramp")):
        if other in runs:
            forth = ratio(runs[name], runs[other], "eventsPerSecond")
            found[field] = forth if field == "ofBareLoop" else 1 / forth
    return found


def lines(results: Mapping[str, Any]) -> list[str]:
    """Format the results as a table."""
    table = [
        f"{'contender':16} {'events/s':>9} {'least':>9} {'most':>9} {'us CPU/event':>12} {'of bare':>7} {'onramp is':>9} {'epochs':>6}"
    ]
    for name, found in results["contenders"].items():
        speed, cpu = found["eventsPerSecond"], found["cpuPerEvent"]["median"]
        epochs = f"{found['epochs']['median']:.0f}" if "epochs" in found else ""
        table.append(
            f"{name:16} {speed['median']:9,.0f} {speed['least']:9,.0f} {speed['most']:9,.0f} {1e6 * cpu:12.1f} "
            f"{found.get('ofBareLoop', float('nan')):7.2f} {found.get('onrampTimes', float('nan')):8.2f}x {epochs:>6}"
        )
    return table


def _topic(brokers: str, partitions: int, events: int, users: int, log_rate: float, seed: int) -> str:
    topic = new_topic(brokers, partitions)
    fill(brokers, topic, stream(events=events, users=users, seed=seed, span=round(1000 * events / log_rate)))
    return topic


def _run(contender: Contender, task: Task) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=task.directory) as directory:
        given = asdict(replace(task, directory=directory, changelog=contender.changelog))
        return child(f"benchmarks.speed.contenders.{contender.module}", given, python=contender.python())
