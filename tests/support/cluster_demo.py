"""Runs the job as two processes, kills one in the middle, and compares with a run without the kill. Run it by ``make cluster-demo``.

The broker is Apache Kafka where Java and the jars of ``make real-kafka`` are there, else the test broker; both speak Kafka's protocol over
TCP. ClickHouse is the real engine behind its HTTP interface.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.support.apache_kafka import LIBS, run_apache_kafka
from tests.support.job_cluster import EXACT, ClusterJob, Story, differing, killed_in_the_middle, stale, twice, undisturbed
from tests.support.job_state import State, rows
from tests.support.kafka_feed import Feed
from tests.support.populations import with_bad_lines
from tests.support.tansu import run_tansu

PARTITIONS = 6


class Broker(Protocol):
    """What the demo needs of a broker."""

    @property
    def brokers(self) -> str:
        """Its addresses."""
        ...

    def new_topic(self, partitions: int = 1) -> str:
        """Create a topic and return its name."""
        ...


@contextmanager
def a_broker(directory: Path) -> Iterator[tuple[str, Broker]]:
    """Yield a broker and what it is."""
    if shutil.which("java") and LIBS.is_dir():
        with run_apache_kafka(directory / "kafka") as kafka:
            yield "Apache Kafka", kafka
    else:
        with run_tansu() as tansu:
            yield "the test broker, over Kafka's protocol", tansu


def said_at(began: float) -> Callable[[str], None]:
    """Prints sentences with the seconds since ``began``."""

    def say(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:6.1f} s  {text}\n")
        sys.stdout.flush()

    return say


def main() -> int:
    """Tell the story; return 0 if nothing was lost and nothing is there twice."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--users", type=int, default=60, help="simulated users (default: 60)")
    parser.add_argument("--processes", type=int, default=2, help="processes of the job (default: 2)")
    parser.add_argument("--kill", type=int, default=1, help="number of the process that is killed (default: 1; 0 keeps the state)")
    options = parser.parse_args()
    say, lines = said_at(time.monotonic()), with_bad_lines(options.users, 9, seed=4)

    with tempfile.TemporaryDirectory() as name, a_broker(Path(name)) as (what, broker):
        directory = Path(name)
        feed = Feed(broker, broker.new_topic(PARTITIONS), PARTITIONS)
        say(f"Two runs of {options.processes} processes read {len(lines)} messages of {options.users} users from {what}.")

        def run(group: str, story: Callable[[ClusterJob], Story]) -> State:
            job = ClusterJob(feed, broker.new_topic(), directory / group, options.processes, lambda text: say(_sentence(text)), group=group)
            return job.live(story)

        killed = run("killed", killed_in_the_middle(lines, options.kill, say))
        say("The job was stopped in order. Now the same messages without a kill.")
        quiet = run("quiet", undisturbed)
        say("The job was stopped in order.")
    different, doubled = differing(killed, quiet), twice(killed)
    say("With the kill and without it, compared through Redis and ClickHouse:")
    for table in EXACT:
        say(f"  {table}: {different.get(table) or f'{len(rows(killed, table))} rows, the same in both'}.")
    say(f"  decisions: {len(rows(killed, 'decisions'))} and {len(rows(quiet, 'decisions'))}; {doubled} of them twice.")
    late = stale(killed)
    say(f"  Redis: {len(rows(killed, 'redis'))} records, {len(late)} of them not the newest.")
    say("  (Decisions may differ: alarms depend on what was learned when, and the second run had everything to read at once.)")
    say("Nothing was lost, and nothing is there twice." if not (different or doubled or late) else "THE RUNS DIFFER.")
    return 1 if different or doubled or late else 0


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


if __name__ == "__main__":
    sys.exit(main())
