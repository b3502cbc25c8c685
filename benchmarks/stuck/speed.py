"""Compares the speed of a log with that of the same events in a hundredth of the time: ``python -m benchmarks.stuck.speed``.

Cost should follow events, not log time. The log that takes longer has more looks at those who wait, and more boundaries at which something
was learned. Both run through the job without Bytewax, in turns; the CPU seconds are medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks.replication import print_line
from benchmarks.stuck.__main__ import own_world, run
from state.catalog.parse import parse
from state.catalog.plan import Plan

SHORTER: Final = 100


def squeezed(lines: Iterable[bytes]) -> list[bytes]:
    """Return the events with the time since the first one divided by ``SHORTER``, in the same order and with the same UTC offsets.

    A time with an offset takes longer to decode than one in UTC, which is not what is compared here.
    """
    events = [json.loads(line) for line in lines]
    times = [datetime.fromisoformat(event["timestamp"]) for event in events]
    first = min(times)
    for event, at in zip(events, times, strict=True):
        event["timestamp"] = (first + (at - first) // SHORTER).astimezone(at.tzinfo).isoformat()
    return [json.dumps(event).encode() for event in events]


def cpu_seconds(plan: Plan, lines: Iterable[bytes]) -> float:
    """Return what one run costs."""
    begun = time.process_time()
    run(plan, lines)
    return time.process_time() - begun


def main() -> None:
    """Run both logs in turns and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stuck.speed", description=__doc__)
    parser.add_argument("--events", type=Path, required=True, help="a log, JSON lines, also gzipped")
    parser.add_argument("--catalog", type=Path, required=True, help="its catalog")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each (default: 5)")
    given = parser.parse_args()
    world = own_world(given.events, given.catalog, ())
    plan, short = Plan(parse(world.catalog, str(given.catalog))), squeezed(world.events)
    pairs = [(cpu_seconds(plan, world.events), cpu_seconds(plan, short)) for _ in range(given.repeat)]
    as_it_is, fast = (statistics.median(each) for each in zip(*pairs, strict=True))
    print_line(
        f"{len(world.events):,} events: {as_it_is:.2f} s as they are, {fast:.2f} s squeezed; speed {fast / as_it_is:.2f} of the squeezed"
    )


if __name__ == "__main__":
    main()
