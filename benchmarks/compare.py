"""Compares speed with an earlier commit: ``python -m benchmarks.compare --base COMMIT [--compiled] [--events N] [--only NAME …]``.

The commit is checked out into a temporary work tree. Both trees read one input file (``benchmarks.generate``: people and visitors) in the
scenarios of ``benchmarks.run_file``, one process a run, alternating: base, new, base, new. The ratio is events per second of the new tree
over those of the base, from medians; ``cpu`` is the same ratio of CPU time of the whole process, start-up included, which is steadier on a
shared machine. Exits with 1 when a ratio (of events per second, or with ``--by cpu`` of CPU time) is below ``--tolerance``.

With ``--compiled`` the new tree is a copy of this one whose engine is compiled. The base is never compiled.

Example: ``python -m benchmarks.compare --base 3f9f2d7 --events 50000 --only fold graph``
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.generate import write_input
from benchmarks.trees import checked_out, python, this_tree

SCENARIOS: Final = ("decode", "fold", "graph", "job")
TIMEOUT: Final = 900.0
"""Seconds for one run. 100,000 events take the job about half a minute on two quiet cores."""

Run = Mapping[str, float]
"""``seconds`` and ``cpu``, as ``benchmarks.run_file --scenario`` prints them."""


def measure(tree: Path, scenario: str, source: Path) -> Run:
    """Run one scenario once in ``tree``."""
    printed = python(tree, ["-m", "benchmarks.run_file", "--scenario", scenario, str(source)], timeout=TIMEOUT)
    run: dict[str, float] = json.loads(printed.splitlines()[-1])
    return run


def alternate(base: Callable[[], Run], new: Callable[[], Run], *, repeat: int) -> tuple[list[Run], list[Run]]:
    """Run both ``repeat`` times, alternating."""
    runs = [(base(), new()) for _ in range(repeat)]
    return [first for first, _ in runs], [second for _, second in runs]


def figures(events: int, base: Sequence[Run], new: Sequence[Run]) -> dict[str, Any]:
    """Return medians, spreads and ratios of the runs of one scenario."""
    found: dict[str, Any] = {}
    for name, runs in (("base", base), ("new", new)):
        speeds = sorted(events / run["seconds"] for run in runs)
        found[name] = {
            "eventsPerSecond": round(statistics.median(speeds)),
            "least": round(speeds[0]),
            "most": round(speeds[-1]),
            "runs": list(runs),
        }
    for name, what in (("ratio", "seconds"), ("cpuRatio", "cpu")):
        found[name] = round(statistics.median(run[what] for run in base) / statistics.median(run[what] for run in new), 4)
    return found


def describe(scenario: str, found: Mapping[str, Any]) -> str:
    """Format the result of one scenario as one line."""
    speeds = "   ".join(
        f"{name} {found[name]['eventsPerSecond']:>9,}/s ({found[name]['least']:,} to {found[name]['most']:,})" for name in ("base", "new")
    )
    return f"{scenario:8} {speeds}   ratio {found['ratio']:.3f}   cpu {found['cpuRatio']:.3f}"


def main() -> None:
    """Run the comparison and print a table or JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare", description="Compare the speed of this tree with an earlier commit."
    )
    parser.add_argument("--base", required=True, metavar="COMMIT", help="commit to compare with")
    parser.add_argument("--compiled", action="store_true", help="compile a copy of this tree and measure that")
    parser.add_argument("--events", type=int, default=100_000, help="lines of the input (default: 100000)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the input (default: 1)")
    parser.add_argument("--visitors", type=float, default=0.2, help="share of people who begin as anonymous visitors (default: 0.2)")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each scenario in each tree; the median counts (default: 5)")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), help="scenarios to run (default: all)")
    parser.add_argument("--tolerance", type=float, default=0.95, help="least ratio new / base that passes (default: 0.95)")
    parser.add_argument("--by", choices=("seconds", "cpu"), default="seconds", help="which ratio must pass (default: seconds)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()

    def progress(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as directory, checked_out(given.base) as base, this_tree(compiled=given.compiled) as new:
        source = Path(directory) / "events.jsonl"
        people = write_input(source, events=given.events, seed=given.seed, visitors=given.visitors)
        progress(f"{given.events:,} events of {people:,} people; base is {given.base}")

        def runner(name: str, tree: Path, scenario: str) -> Callable[[], Run]:
            def run() -> Run:
                done = measure(tree, scenario, source)
                progress(f"  {scenario} {name}: {done['seconds']:.3f} s, {done['cpu']:.3f} s of CPU")
                return done

            return run

        for scenario in given.only:
            runs = alternate(runner("base", base, scenario), runner("new", new, scenario), repeat=given.repeat)
            results[scenario] = figures(given.events, *runs)
            if not given.json:
                print(describe(scenario, results[scenario]), flush=True)
    judged = "ratio" if given.by == "seconds" else "cpuRatio"
    slow = [scenario for scenario, found in results.items() if found[judged] < given.tolerance]
    if given.json:
        asked = {name: getattr(given, name) for name in ("base", "compiled", "events", "seed", "visitors", "repeat", "by", "tolerance")}
        print(json.dumps({"benchmark": "compare", **asked, "people": people, "scenarios": results, "slow": slow}, indent=2))
    elif slow:
        print(f"below {given.tolerance}: {', '.join(slow)}")
    if slow:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
