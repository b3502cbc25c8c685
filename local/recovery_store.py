"""Repairs the recovery store before a resume: removes the snapshots of epochs that did not become durable before a kill."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

from local.data_dir import DataDirError


def remove_undurable_snapshots(state: Path) -> int:
    """Remove the snapshots of epochs that did not become durable; return how many. Call it before a resume.

    Bytewax 0.21 resumes at the end of the durable epochs, but does not remove such snapshots. If the job crashes again before the same key
    was written again, they count as durable. A person's state then contains events that come again, and drops those as duplicates.

    It works on a store that has all its partitions on this machine. A store that is distributed over machines is not changed, because its
    durable epoch cannot be determined from a part of it. Raises ``DataDirError``.
    """
    try:
        return _remove(state)
    except sqlite3.Error as error:
        raise DataDirError(
            f"The recovery store {state} cannot be read or repaired ({error}); check the disk and its rights, restore the store, or use "
            "another --data-dir."
        ) from error


def _remove(state: Path) -> int:
    last, counts, frontiers = (-1, 0, 0), set[int](), Counter[int]()
    with ExitStack() as stack:
        parts = [stack.enter_context(closing(sqlite3.connect(file))) for file in sorted(state.glob("part-*.sqlite3"))]
        for part in parts:
            counts.update(count for (count,) in part.execute("SELECT part_count FROM parts"))
            last = max([last, *part.execute("SELECT ex_num, worker_count, resume_epoch FROM exs")])
        if counts != {len(parts)} or last[0] < 0:
            return 0
        execution, count, resumed = last
        for part in parts:
            for worker, frontier in part.execute("SELECT worker_index, worker_frontier FROM fronts WHERE ex_num = ?", [execution]):
                frontiers[worker] = max(frontiers[worker], frontier)
        durable = min(max(frontiers[worker], resumed) for worker in range(count))
        removed = 0
        for part in parts:
            with part:  # the inner select needs only the index; the rows are large
                found = part.execute("DELETE FROM snaps WHERE rowid IN (SELECT rowid FROM snaps WHERE snap_epoch >= ?)", [durable])
                removed += found.rowcount
    return removed
