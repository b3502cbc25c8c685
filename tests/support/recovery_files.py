"""The files of a recovery store, written and read as Bytewax does it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from bytewax.recovery import init_db_dir

from local.durable_epoch import part_files

Rows = dict[tuple[str, str], bytes | None]
# What Bytewax 0.21 reads at a resume from an epoch.
RESUME = """
WITH newest AS (SELECT step_id, state_key, max(snap_epoch) AS snap_epoch FROM snaps WHERE snap_epoch < ? GROUP BY step_id, state_key)
SELECT step_id, state_key, ser_change FROM snaps JOIN newest USING (step_id, state_key, snap_epoch)
"""


class RecoveryFiles:
    """A store in a new directory, on which a job of one worker has begun."""

    def __init__(self, directory: Path, parts: int = 2) -> None:
        directory.mkdir(exist_ok=True)
        init_db_dir(directory, parts)  # type: ignore[no-untyped-call]
        self.directory = directory
        self.parts = [sqlite3.connect(file, isolation_level=None) for file in part_files(directory)]
        self.parts[0].execute("PRAGMA journal_mode = WAL")
        self.execution = -1
        self.begin(workers=1, at=1)

    def begin(self, *, workers: int, at: int) -> None:
        """A job begins, which resumes at epoch ``at``."""
        self.execution += 1
        self.workers = workers
        self.parts[0].execute("INSERT INTO exs (ex_num, worker_count, resume_epoch) VALUES (?, ?, ?)", [self.execution, workers, at])

    def write(self, epoch: int, keys: Iterable[str], *, step: str = "flow.fold", state: bool = True) -> None:
        """Write a snapshot of each key, each to the file that has its key. Without ``state`` it is that of a key that was discarded."""
        for key in keys:
            self.file_of(key).execute(
                "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (step_id, state_key, snap_epoch) DO UPDATE SET ser_change = excluded.ser_change",
                [step, key, epoch, f"{key} at {epoch} of {self.execution}".encode() if state else None],
            )

    def close_epoch(self, epoch: int, *, ahead: int = 0) -> None:
        """Everything before ``epoch`` is durable. All workers but the first are ``ahead`` of that."""
        for worker in range(self.workers):
            self.parts[worker % len(self.parts)].execute(
                "INSERT INTO fronts (ex_num, worker_index, worker_frontier) VALUES (?, ?, ?)"
                " ON CONFLICT (ex_num, worker_index) DO UPDATE SET worker_frontier = excluded.worker_frontier",
                [self.execution, worker, epoch + (ahead if worker else 0)],
            )

    def resumed_at(self, epoch: int) -> Rows:
        return {(step, key): change for part in self.parts for step, key, change in part.execute(RESUME, [epoch])}

    def epochs(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for part in self.parts:
            for key, epoch in part.execute("SELECT state_key, snap_epoch FROM snaps ORDER BY snap_epoch"):
                found.setdefault(key, []).append(epoch)
        return found

    def committed(self) -> set[int]:
        return {epoch for part in self.parts for (epoch,) in part.execute("SELECT commit_epoch FROM commits")}

    def close(self) -> None:
        for part in self.parts:
            part.close()

    def file_of(self, key: str) -> sqlite3.Connection:
        return self.parts[sum(key.encode()) % len(self.parts)]
