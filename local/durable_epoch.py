"""The files of the recovery store, and up to which epoch they are durable. It needs the standard library only, so that it loads at once."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def part_files(state: Path) -> list[Path]:
    """Return the files of the store, in order; none where there is no store."""
    return sorted(state.glob("part-*.sqlite3"))


def is_whole(parts: Sequence[sqlite3.Connection]) -> bool:
    """Return whether these are all the partitions of the store. Raises ``sqlite3.Error``."""
    return {count for part in parts for (count,) in part.execute("SELECT part_count FROM parts")} == {len(parts)}


def durable_epoch(parts: Sequence[sqlite3.Connection]) -> int | None:
    """Return the epoch at which a resume begins: the snapshots of all epochs before it are durable.

    None if these are not all the partitions of the store, or no job has begun on it. Raises ``sqlite3.Error``.
    """
    if not is_whole(parts):
        return None
    executions: list[tuple[int, int, int]] = []
    for part in parts:
        executions += part.execute("SELECT ex_num, worker_count, resume_epoch FROM exs")
    if not executions:
        return None
    last, count, resumed = max(executions)
    frontiers = Counter[int]()
    for part in parts:
        for worker, frontier in part.execute("SELECT worker_index, worker_frontier FROM fronts WHERE ex_num = ?", [last]):
            frontiers[worker] = max(frontiers[worker], frontier)
    return min(max(frontiers[worker], resumed) for worker in range(count))
