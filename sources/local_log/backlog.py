"""Measures the unread messages of the local event log. It reads the files itself, so no writer or job need run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sources.backlog import Backlog, effective_retention
from sources.errors import LogError
from sources.local_log.reader import LogReader
from sources.local_log.retention import Retention
from sources.positions import Position


class LocalBacklog:
    """A connection of its own to the log in ``directory``, for one thread. Raises ``LogError``."""

    def __init__(self, directory: Path, retention: Retention) -> None:
        """Open the log. ``retention`` is what its writers keep."""
        self._reader = LogReader(directory)
        self._retention = retention

    def close(self) -> None:
        """Close the connection."""
        self._reader.close()

    def measure(self, positions: Mapping[int, Position], now: int) -> list[Backlog]:
        """Measure what is unread of all partitions, after ``positions``, at the time ``now`` (ms). Raises ``LogError``."""
        reader = self._reader
        bounds = [(partition, reader.first_bounds(partition)) for partition in range(reader.identity.partitions)]
        starts = [reader.time_of(partition, each.low) for partition, each in bounds if each.low < each.end]
        oldest = min((start for start in starts if start), default=None)
        keeps = effective_retention(
            age=self._retention.max_age_ms / 1000, size=self._retention.max_bytes, oldest=oldest, now=now, used=reader.used_bytes()
        )
        found = []
        for partition, (low, end) in bounds:
            position = positions.get(partition)
            offset = None if position is None else position.offset
            next_one = max(low, low if offset is None else offset)
            since = reader.time_of(partition, next_one) or None if next_one < end else None
            found.append(Backlog(partition, offset, low, end, since, None if position is None else position.log_time, keeps))
        return found


def measure_once(directory: Path, retention: Retention, positions: Mapping[int, Position], now: int) -> list[Backlog]:
    """Measure the log in ``directory``, which must exist. Raises ``LogError``."""
    if not directory.is_dir():
        raise LogError(f"There is no event log in {directory} yet; it begins with the first event, or with the first start of the job.")
    log = LocalBacklog(directory, retention)
    try:
        return log.measure(positions, now)
    finally:
        log.close()


def id_of(directory: Path) -> str:
    """Return the id of the log in ``directory``, which must exist. Raises ``LogError``."""
    reader = LogReader(directory)
    reader.close()
    return reader.identity.id
