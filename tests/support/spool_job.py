"""A job that dies inside its n-th promotion of spool segments, beside a step that emits on timers of its own.

As a program: ``spool_job.py DIRECTORY PROMOTION WORKERS HEARTBEATS``. Started again on the same directory, it first prints ``covered`` if
the resume state covers every segment that the run before had promoted, else ``not covered``; those segments are then removed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main

from sinks.clickhouse.segment import SegmentName
from sinks.clickhouse.sink import FactPartition, FactSink
from sinks.clickhouse.spool import Spool
from state.records.facts import DeadLetterFact
from tests.support.facts import make
from tests.support.waiting import pause

DIED = 7
"""Exit code of a run that died where it was told to."""

KEYS = 10_000
"""Changed keys per epoch: enough that writing a snapshot takes a while, in which timers go off."""


class Ticks(StatefulSourcePartition[tuple[str, int], int]):
    """A bounded input that touches many keys from time to time."""

    def __init__(self, done: int) -> None:
        self.done = done

    def next_batch(self) -> list[tuple[str, int]]:
        self.done += 1
        if self.done > 500:
            raise StopIteration
        pause(0.005, "the pace of the input; nothing waits for it")
        many = self.done % 15 == 1
        return [("heartbeat", 0), *((str(key), self.done) for key in range(KEYS if many else 1))]

    def snapshot(self) -> int:
        return self.done


class Source(FixedPartitionedSource[tuple[str, int], int]):
    """Two partitions, so that two workers both read."""

    def list_parts(self) -> list[str]:
        return ["0", "1"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> Ticks:
        return Ticks(resume_state or 0)


class Keep(StatefulBatchLogic[int, int, bytes]):
    """State worth a snapshot."""

    def on_batch(self, values: list[int]) -> tuple[Iterable[int], bool]:
        return values, False

    def snapshot(self) -> bytes:
        return b"x" * 200


class Poll(StatefulBatchLogic[int, int, None]):
    """Emits every millisecond by its own timer, as a step that waits for replies does."""

    at: datetime | None = None

    def on_batch(self, values: list[int]) -> tuple[Iterable[int], bool]:
        self.at = datetime.now(UTC) + timedelta(milliseconds=1)
        return (), False

    def on_notify(self) -> tuple[Iterable[int], bool]:
        self.at = datetime.now(UTC) + timedelta(milliseconds=1)
        return (0,), False

    def on_eof(self) -> tuple[Iterable[int], bool]:
        self.at = None
        return (), True

    def notify_at(self) -> datetime | None:
        return self.at

    def snapshot(self) -> None:
        return None


class DyingSpool(Spool):
    """Ends the process right after a promotion."""

    def __init__(self, directory: Path, promotion: int) -> None:
        super().__init__(directory)
        self.left = promotion

    def promote(self, names: list[SegmentName]) -> None:
        super().promote(names)
        if names:
            self.left -= 1
            if self.left == 0:
                os._exit(DIED)


class CheckingSink(FactSink):
    """Compares what was promoted before with the resume state."""

    def build_part(self, step_id: str, for_part: str, resume_state: str | None) -> FactPartition:
        promoted = self._spool.segments("ready")
        if promoted:
            generation, _, number = (resume_state or ".0").partition(".")
            covered = all((segment.name.generation, segment.name.number) <= (generation, int(number)) for segment in promoted)
            sys.stdout.write("covered\n" if covered else "not covered\n")
            sys.stdout.flush()
        for segment in promoted:
            segment.path.unlink()
        return super().build_part(step_id, for_part, resume_state)


def main(directory: Path, promotion: int, workers: int, heartbeats: bool) -> None:
    """Run to the end, or die on the way."""
    recovery = directory / "recovery"
    if not recovery.exists():
        recovery.mkdir()
        init_db_dir(recovery, 2)  # type: ignore[no-untyped-call]

    def letter(item: tuple[str, int]) -> tuple[str, Any]:
        return "0", [make(DeadLetterFact, dead_letter_id=str(item[1]))]

    flow = Dataflow("spool_job")
    kinds = op.branch("kinds", op.input("input", flow, Source()), lambda item: item[0] == "heartbeat")
    kept = op.filter("some", op.stateful_batch("keep", kinds.falses, lambda _: Keep()), lambda item: item[0] == "0")
    polled = op.stateful_batch("poll", op.filter("one", kinds.falses, lambda item: item[0] == "0"), lambda _: Poll())
    facts = op.map("facts", op.merge("rows", kept, polled), letter)
    beats: Any = op.flat_map("beats", kinds.trues, lambda _: [("0", [])] if heartbeats else [])
    op.output("output", op.merge("all", facts, beats), CheckingSink(DyingSpool(directory / "spool", promotion)))
    config = RecoveryConfig(str(recovery))  # type: ignore[no-untyped-call]
    pace = timedelta(milliseconds=60)
    cluster_main(flow, [], 0, epoch_interval=pace, recovery_config=config, worker_count_per_proc=workers)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "1")
