"""The Bytewax sink for facts. It writes each row of an epoch to the spool exactly once.

A two-phase commit guarantees that:

- Bytewax calls ``snapshot()`` at the end of an epoch, before the epoch is durable. It writes the epoch's rows as one *pending* segment.
- A resume from an earlier epoch discards the pending segments after it, because those rows come again. A resume from this epoch or a
  later one promotes them to *ready*, because those rows do not come again.
- During a run a pending segment is promoted as soon as its epoch is known to be durable. Two events prove that. The first is the next
  ``snapshot()``: an epoch ends only after Bytewax has called the sources again, which it does only once the previous epoch is durable on
  the whole cluster. The second is a *heartbeat*: an empty batch that the flow derives directly from a source's batch, so it too exists
  only after the sources were called. Another batch is no proof, because a step with its own timers (``notify_at``) can emit earlier.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import polars as pl
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from sinks.clickhouse.columns import to_frame
from sinks.clickhouse.segment import SegmentName, SegmentWriter, parse_name
from sinks.clickhouse.spool import Spool
from state.records.facts import Fact, StepMetricFact
from state.records.recommendation import Erase

Batch = list[Fact | Erase]
"""The value of one item of the stream. An empty batch is a heartbeat."""

CHUNK_ROWS = 1_000
"""Rows of one kind that are kept as Python objects before they are written to disk as columns. Nothing is answered meanwhile: for 12 ms at
most, and for 22 ms at the end of an epoch, when the rest of all kinds is written.

2,000 take 22 and 37 ms, and no less for each row; 500 take 9 and 14 ms, and a quarter more (``python -m benchmarks.spool_chunks``).
"""


_TIME_DIGITS: Final = 12
_IS_GENERATION: Final = re.compile(r"[0-9a-f]{18}")


class FactPartition(StatefulSinkPartition[Batch, str]):
    """Writes the segments of one partition. Used by one worker thread; ``flush`` is called after the dataflow has ended."""

    def __init__(self, spool: Spool, partition: str, resume_state: str | None, *, chunk_rows: int = CHUNK_ROWS) -> None:
        self._spool = spool
        self._partition = partition
        self._chunk_rows = chunk_rows
        self._last = _parse_state(partition, resume_state)
        self._generation = _next_generation(time.time_ns() // 1_000_000, self._known_generations())
        self._number = self._last.number if self._last is not None else 0
        self._pending: list[SegmentName] = []
        self._rows: defaultdict[type[Fact | Erase], list[Any]] = defaultdict(list)
        self._writer: SegmentWriter | None = None
        self._recover()

    def write_batch(self, values: list[Batch]) -> None:
        """Collect the rows of some batches. Blocks only while the spool is full (see ``Spool.wait_for_room``)."""
        if not all(values):
            self._promote()
        self._spool.wait_for_room()
        waiting = self._rows
        for batch in values:
            for row in batch:
                waiting[type(row)].append(row)
        for kind in [kind for kind, rows in waiting.items() if len(rows) >= self._chunk_rows]:
            self._write_chunk(kind, waiting.pop(kind))

    def snapshot(self) -> str:
        """Make the epoch's rows durable as a pending segment and return the last one's name. Blocks for one fsync of file and directory."""
        self._promote()
        self._seal()
        return "" if self._last is None else f"{self._last.generation}.{self._last.number}"

    def flush(self) -> None:
        """Promote all rows for delivery. Call it only after the dataflow has returned normally, when every epoch is durable."""
        self._seal()
        self._promote()

    def close(self) -> None:
        """Do nothing: the dataflow may have been aborted, so pending segments stay pending."""

    def _seal(self) -> None:
        rows, self._rows = self._rows, defaultdict(list)
        for kind, chunk in rows.items():
            self._write_chunk(kind, chunk)
        writer, self._writer = self._writer, None
        if writer is None:
            return
        self._number += 1
        name = self._name(self._number)
        writer.finish(self._spool.path(name, "pending"))
        self._spool.add_pending(writer.size)
        self._pending.append(name)
        self._last = name

    def _promote(self) -> None:
        promoted, self._pending = self._pending, []
        self._spool.promote(promoted)

    def _write_chunk(self, kind: type[Fact | Erase], rows: list[Any]) -> None:
        name = self._name(self._number + 1)
        writer = self._writer = self._writer or SegmentWriter(self._spool.path(name, "tmp"))
        if not issubclass(kind, Fact):
            for erasure in rows:
                writer.erase(erasure)
            return
        frame = to_frame(kind, rows)
        if kind is StepMetricFact:
            # The row's place in the spool, which is the same for every delivery of the segment.
            place = pl.Series(range(writer.rows, writer.rows + frame.height)).cast(pl.String)
            frame.replace_column(frame.get_column_index("partial_id"), (f"{name.stem}." + place).alias("partial_id"))
        writer.add(kind.TABLE, frame)

    def _name(self, number: int) -> SegmentName:
        return SegmentName(self._partition, self._generation, number)

    def _known_generations(self) -> list[str]:
        known = self._spool.generations(self._partition)
        return known if self._last is None else [*known, self._last.generation]

    def _recover(self) -> None:
        durable, again = [], []
        for segment in self._spool.segments("pending", self._partition):
            known = self._last is not None and segment.name.generation == self._last.generation
            if known and self._last is not None and segment.name.number <= self._last.number:
                durable.append(segment.name)
            else:
                again.append(segment.path)
        again += [segment.path for segment in self._spool.segments("tmp", self._partition)]
        self._spool.promote(durable)
        self._spool.discard(again)


class FactSink(FixedPartitionedSink[Batch, str]):
    """Sink of ``(key, batch)`` items. The keys ``"0"``, ``"1"``, … name the partition.

    One partition for each process suffices; more spread the work over worker threads. The name of a partition must not change between
    runs, must be unique among the processes of a cluster, and contains only letters, digits, ``_`` and ``-``. A partition must be listed as
    long as the recovery store or the spool has it. All facts of one person must go to the same partition; otherwise a deletion could
    overtake them.
    """

    def __init__(self, spool: Spool, partitions: Sequence[str] = ("facts",)) -> None:
        for partition in partitions:
            if parse_name(f"{partition}.0.{0:012d}.tmp") is None:
                raise ValueError(f"The partition name {partition!r} must contain only letters, digits, _ and -.")
        self._spool = spool
        self._partitions = list(partitions)
        self._built: list[FactPartition] = []

    def list_parts(self) -> list[str]:
        """The partitions this process can write."""
        return self._partitions

    def part_fn(self, item_key: str) -> int:
        """Return the partition of a key: a number selects by the order of all partitions' names; any other key is hashed."""
        return int(item_key) if item_key.isdecimal() else super().part_fn(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: str | None) -> FactPartition:
        """Build or resume a partition: promote the segments that the resume state covers, and remove those whose epochs run again."""
        del step_id
        built = FactPartition(self._spool, for_part, resume_state)
        self._built.append(built)
        return built

    def flush(self) -> None:
        """Promote all rows of this process for delivery. Call it only after the dataflow has returned normally."""
        for built in self._built:
            built.flush()


def _next_generation(now: int, known: Iterable[str]) -> str:
    """Return a new generation, unique and behind all ``known``, so that generations are delivered in order.

    It begins with the time ``now`` (ms), or with the next millisecond after a known one if the clock has jumped back: a deletion that is
    delivered before older rows of the person would leave those.
    """
    newest = max((int(generation[:_TIME_DIGITS], 16) for generation in known if _IS_GENERATION.fullmatch(generation)), default=-1)
    return f"{max(now, newest + 1):0{_TIME_DIGITS}x}{secrets.token_hex(3)}"


def _parse_state(partition: str, state: str | None) -> SegmentName | None:
    if not state:
        return None
    generation, _, number = state.partition(".")
    return SegmentName(partition, generation, int(number))
