"""Measures what the files and the keys of the recovery store cost: ``python -m benchmarks.recovery_files [--files N …] [--keys N …]``.

A bare Bytewax flow on a store that is filled with ``--keys`` keys of 800 bytes. *Resume*: a run that finds them, and has no input. *Pause*:
from the snapshot of the source to its next batch, in epochs of half a second in each of which 500 of the keys change. *By the engine*: it
removes old snapshots itself. *Beside it*: a process does, as in a job (``local/old_snapshots.py``). Prints one line for each number of
files and of keys, and each way.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from flows.recovery import BACKUP_INTERVAL
from local.old_snapshots_process import OldSnapshotsProcess

CHANGED: Final = 500
_EPOCH: Final = timedelta(seconds=0.5)
_LONG: Final = timedelta(hours=1)
_STATE: Final = b"x" * 800
_LOOK_SECONDS: Final = 0.2

Item = tuple[str, int]


class _Source(FixedPartitionedSource[Item, None]):
    """Emits ``CHANGED`` of ``keys`` keys in each of ``epochs`` epochs, or all in the first if that is 0. ``pauses`` is filled meanwhile.

    ``filled``: the keys are there, and none is emitted to fill the store.
    """

    def __init__(self, keys: int, epochs: int = 0, *, filled: bool = False) -> None:
        self.keys, self.epochs, self.filled = keys, epochs, filled
        self.pauses: list[float] = []

    def list_parts(self) -> list[str]:
        return ["keys"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Keys:  # noqa: ARG002 -- the engine's signature
        return _Keys(self)


class _Keys(StatefulSourcePartition[Item, None]):
    def __init__(self, source: _Source) -> None:
        self._source = source
        self._batches = self._by_epoch() if source.epochs else iter(()) if source.filled else self._all()
        self._snapshot_at: float | None = None

    def next_batch(self) -> list[Item]:
        if self._snapshot_at is not None:
            self._source.pauses.append(time.perf_counter() - self._snapshot_at)
            self._snapshot_at = None
        return next(self._batches)

    def next_awake(self) -> datetime | None:
        return datetime.now(UTC) + timedelta(milliseconds=5) if self._source.epochs else None

    def snapshot(self) -> None:
        self._snapshot_at = time.perf_counter()

    def _all(self) -> Iterator[list[Item]]:
        for begin in range(0, self._source.keys, 1_000):
            yield [_item(number) for number in range(begin, min(begin + 1_000, self._source.keys))]

    def _by_epoch(self) -> Iterator[list[Item]]:
        for epoch in range(self._source.epochs):
            yield [_item((epoch * CHANGED + number) % self._source.keys) for number in range(CHANGED)]
            while len(self._source.pauses) <= epoch:
                yield []


def _item(number: int) -> Item:
    """An item for the key of this number. Keys in order of their numbers are in no order, as those of users are."""
    return f"{number * 2_654_435_761 % 2**32:08x}", 1


class _State(StatefulBatchLogic[int, int, bytes]):
    def on_batch(self, values: list[int]) -> tuple[list[int], bool]:  # noqa: ARG002 -- the engine's signature
        return [], False

    def snapshot(self) -> bytes:
        return _STATE


class _Nowhere(DynamicSink[Any]):
    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Discard:  # noqa: ARG002 -- the engine's signature
        return _Discard()


class _Discard(StatelessSinkPartition[Any]):
    def write_batch(self, items: list[Any]) -> None:
        """Discard ``items``."""


def _run(source: _Source, directory: str, epoch: timedelta, *, beside: bool = False) -> float:
    """Run the flow to its end; return its seconds of CPU, and those of the process that removes old snapshots."""
    flow = Dataflow("keys")
    kept = op.stateful_batch("state", op.input("input", flow, source), lambda _state: _State())
    op.output("output", kept, _Nowhere())
    began = _cpu_seconds()
    config = RecoveryConfig(directory, BACKUP_INTERVAL if beside else timedelta(0))  # type: ignore[no-untyped-call]
    with OldSnapshotsProcess(Path(directory), _LOOK_SECONDS, idle=not beside):
        cli_main(flow, epoch_interval=epoch, recovery_config=config)  # type: ignore[no-untyped-call]
    return _cpu_seconds() - began


def _cpu_seconds() -> float:
    """The CPU time of this process, and of children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    """Run both measurements for each number of files and of keys."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--files", type=int, nargs="+", default=[1, 16, 32, 64, 128])
    parser.add_argument("--keys", type=int, nargs="+", default=[100_000], help="keys in the store (default: 100000)")
    parser.add_argument("--epochs", type=int, default=15, help="epochs for the pause (default: 15)")
    given = parser.parse_args()
    for files, keys, beside in itertools.product(given.files, given.keys, (False, True)):
        with tempfile.TemporaryDirectory() as directory:
            init_db_dir(directory, files)  # type: ignore[no-untyped-call]
            _run(_Source(keys), directory, _LONG)
            resume = _run(_Source(keys, filled=True), directory, _LONG)
            source = _Source(keys, given.epochs)
            cpu = (_run(source, directory, _EPOCH, beside=beside) - resume) / given.epochs
        pause, longest = statistics.median(source.pauses) * 1000, max(source.pauses) * 1000
        epoch = f"pause {pause:7.1f} ms, longest {longest:7.1f} ms, {cpu * 1000:6.1f} ms of CPU"
        way = "beside it" if beside else "by the engine"
        print(f"{files:4} files, {keys:9,} keys, {way:13}: {epoch}, resume {resume:5.1f} s of CPU", flush=True)


if __name__ == "__main__":
    main()
