"""Measures what rows cost that are written to the spool in chunks: ``python -m benchmarks.spool_chunks [--events N]``.

A size is that of the chunks of each kind. The facts are those that the graph makes of ``benchmarks.generate``. ``longest`` is the longest
time that a batch took, in which the job answers nothing; ``seal`` is what is left for the end of the epoch.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.generate import write_input
from benchmarks.replication import print_line
from benchmarks.speed.sinks_process import collected
from sinks.clickhouse.sink import Batch, FactPartition
from sinks.clickhouse.spool import Spool

SIZES: Final = (500, 1_000, 2_000, 5_000, 20_000)


def seconds(facts: list[Batch], chunk_rows: int) -> tuple[float, float, float]:
    """Write all ``facts`` as one epoch. Return how long all batches took, the longest, and the seal."""
    with tempfile.TemporaryDirectory() as directory:
        part = FactPartition(Spool(Path(directory)), "0", None, chunk_rows=chunk_rows)
        took = []
        for batch in facts:
            begun = time.perf_counter()
            part.write_batch([batch])
            took.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        part.snapshot()
        return sum(took), max(took), time.perf_counter() - begun


def main() -> None:
    """Run all sizes in turns and print medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spool_chunks", description="Measure rows written to the spool in chunks.")
    parser.add_argument("--events", type=int, default=20_000, help="events from which the rows come (default: 20000)")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each size; medians count (default: 5)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "events.jsonl"
        write_input(source, events=given.events, seed=1)
        _, facts = collected(str(source))
    rows = sum(map(len, facts))
    runs = [[seconds(facts, size) for size in SIZES] for _ in range(given.repeat)]
    for size, found in zip(SIZES, zip(*runs, strict=True), strict=True):
        whole, longest, seal = (statistics.median(each) for each in zip(*found, strict=True))
        print_line(
            f"{size:6,} rows: {1e6 * (whole + seal) / rows:5.1f} µs a row, longest {1e3 * longest:5.1f} ms, seal {1e3 * seal:5.1f} ms"
        )


if __name__ == "__main__":
    main()
