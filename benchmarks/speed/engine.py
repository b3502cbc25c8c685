"""Parts that the Bytewax flows of benchmarks share: a source that times another one, sinks that count or discard, recovery stores."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir

from benchmarks.speed.meter import Meter
from flows.recovery import BACKUP_INTERVAL
from local.old_snapshots_process import OldSnapshotsProcess

T = TypeVar("T")


class Watch:
    """Follows the calls that the engine makes to a source.

    ``pauses`` are the times between the snapshot of the first partition and its next batch, one for each epoch: while an epoch is stored,
    nothing is read. ``first`` is when the first batch was asked for, which is after a resume. On one worker the engine asks for a batch
    after the last one has passed through the whole graph, so at ``processed`` all that was read has been processed.
    """

    def __init__(self, meter: Meter | None = None, *, count: Callable[[list[Any]], int] = len) -> None:
        """``count`` returns how many events a batch has."""
        self.meter = meter
        self.first: float | None = None
        self.pauses: list[float] = []
        self._count = count
        self.partitions = 0

    def asked(self, *, after_data: bool) -> None:
        """A partition is asked for a batch."""
        now = time.perf_counter()
        if self.first is None:
            self.first = now
        if after_data and self.meter is not None:
            self.meter.processed()

    def gave(self, batch: list[Any]) -> None:
        """A partition has given a batch."""
        if self.meter is not None:
            self.meter.read(self._count(batch))

    def paused(self, seconds: float) -> None:
        """The first partition was asked for a batch, ``seconds`` after its snapshot."""
        self.pauses.append(seconds)


class WatchedSource(FixedPartitionedSource[Any, Any]):
    """Another source, with a ``Watch`` on it."""

    def __init__(self, source: FixedPartitionedSource[Any, Any], watch: Watch) -> None:
        self._source, self._watch = source, watch

    def list_parts(self) -> list[str]:
        return self._source.list_parts()

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> StatefulSourcePartition[Any, Any]:
        return _WatchedPartition(self._source.build_part(step_id, for_part, resume_state), self._watch)


class _WatchedPartition(StatefulSourcePartition[Any, Any]):
    def __init__(self, partition: StatefulSourcePartition[Any, Any], watch: Watch) -> None:
        self._partition, self._watch = partition, watch
        self._after_data = False
        self._is_first = watch.partitions == 0
        self._snapshot_at: float | None = None
        watch.partitions += 1

    def next_batch(self) -> list[Any]:
        if self._snapshot_at is not None:
            self._watch.paused(time.perf_counter() - self._snapshot_at)
            self._snapshot_at = None
        self._watch.asked(after_data=self._after_data)
        self._after_data = False
        batch = list(self._partition.next_batch())
        self._after_data = bool(batch)
        self._watch.gave(batch)
        return batch

    def next_awake(self) -> datetime | None:
        return self._partition.next_awake()

    def snapshot(self) -> Any:
        if self._is_first:
            self._snapshot_at = time.perf_counter()
        return self._partition.snapshot()

    def close(self) -> None:
        self._partition.close()


class CallingSink(DynamicSink[Any]):
    """A sink that hands each batch of items to a function."""

    def __init__(self, function: Callable[[list[Any]], None]) -> None:
        self._function = function

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[Any]:  # noqa: ARG002 - the engine's signature
        return _CallingPartition(self._function)


class _CallingPartition(StatelessSinkPartition[Any]):
    def __init__(self, function: Callable[[list[Any]], None]) -> None:
        self._function = function

    def write_batch(self, items: list[Any]) -> None:
        self._function(items)


def nothing(_items: list[Any]) -> None:
    """Discard items."""


def recovery_store(directory: Path, partitions: int) -> RecoveryConfig:
    """Return the recovery store in ``directory``, which is created if it does not exist. The engine removes old snapshots itself."""
    if not directory.exists():
        directory.mkdir(parents=True)
        init_db_dir(directory, partitions)  # type: ignore[no-untyped-call]
    return RecoveryConfig(directory)  # type: ignore[no-untyped-call]


@contextmanager
def job_store(directory: Path, partitions: int) -> Iterator[RecoveryConfig]:
    """Yield the same store as a job uses it: a process beside it removes old snapshots."""
    recovery_store(directory, partitions)
    with OldSnapshotsProcess(directory):
        yield RecoveryConfig(directory, BACKUP_INTERVAL)  # type: ignore[no-untyped-call]
