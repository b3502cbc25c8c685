"""Mends a recovery store before a resume: what a killed run wrote of epochs that never became durable must not count."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path


def remove_undurable_snapshots(state: Path) -> int:
    """Remove what a killed run wrote of epochs that never became durable; return how many snapshots. Call it before a resume.

    Bytewax 0.21 resumes where the durable epochs end, but lets such snapshots lie. A second crash, before the same key has been written
    again, makes them pass for durable ones: the person then remembers events that will come again, and takes them for duplicates.

    Works on a store that has all its partitions here. One that is spread over machines is left alone: how far it is durable cannot be told
    from a part of it.
    """
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
            with part:  # the inner select can do with the index; the rows themselves are large
                found = part.execute("DELETE FROM snaps WHERE rowid IN (SELECT rowid FROM snaps WHERE snap_epoch >= ?)", [durable])
                removed += found.rowcount
    return removed
