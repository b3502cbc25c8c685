"""The local event log as it is, for the archive."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from sources.errors import OffsetGapError
from sources.local_log.reader import LogReader
from sources.local_log.source import NAME
from sources.raw_log import RawBatch, RawRow
from state.never import never

_AT_ONCE: Final = 1_000
_PAUSE_S: Final = 0.2


class LocalRawLog:
    """Reads all partitions of the log in ``directory``, which is created if there is none. ``accept``: the setting that accepts a gap."""

    name = NAME

    def __init__(self, directory: Path, *, accept_gap: bool, accept: str, stopping: Callable[[], bool] = never) -> None:
        self._directory = directory
        self._accept_gap = accept_gap
        self._accept = accept
        self._stopping = stopping
        self._reader = LogReader(directory)
        self.id = self._reader.identity.id
        self._next: dict[int, int] = {}
        self._skipped: dict[int, int] = {}

    def start(self, positions: Mapping[int, int]) -> list[int]:
        """Begin at these offsets. Blocks while another process opens the log, for ten seconds at most."""
        for partition in range(self._reader.identity.partitions):
            low, end = self._reader.first_bounds(partition)
            self._next[partition] = positions.get(partition, low)
            self._check(partition, low, end)
        return list(self._next)

    def poll(self) -> list[RawBatch]:
        """Return what is new."""
        found = [batch for partition in self._next if (batch := self._read(partition)) is not None]
        if not any(batch.rows for batch in found) and not self._stopping():
            time.sleep(_PAUSE_S)
        return found

    def check(self) -> None:
        """Do nothing: the reader holds the files of this log open, and refuses another in its place."""

    def look_again(self) -> None:
        """Do nothing: every look is at the log of now."""

    def commit(self, positions: Mapping[int, int]) -> None:
        """Do nothing: the names of the files are the position."""

    def close(self) -> None:
        """Close the log."""
        self._reader.close()

    def _read(self, partition: int) -> RawBatch | None:
        rows = self._reader.read(partition, self._next[partition], _AT_ONCE)
        if rows is None:  # not just now
            return None
        if rows and rows[0].offset != self._next[partition]:
            bounds = self._reader.first_bounds(partition)
            self._check(partition, rows[0].offset, bounds.end)
        if not rows:
            bounds = self._reader.first_bounds(partition)
            self._check(partition, bounds.low, bounds.end)
            return RawBatch(partition, (), bounds.end == self._next[partition], self._skipped.pop(partition, None))
        self._next[partition] = rows[-1].offset + 1
        raw = [RawRow(each.offset, each.time, each.record.key, each.record.value, each.record.headers) for each in rows]
        return RawBatch(partition, raw, at_end=False, skipped_to=self._skipped.pop(partition, None))

    def _check(self, partition: int, low: int, end: int) -> None:
        """Handle a position that is not in the log: raise ``OffsetGapError``, or go on at ``low``, the earliest message."""
        offset = self._next[partition]
        gap = f"The event log {self._directory} must be archived from offset {offset} of partition {partition}, which is not in it"
        if offset > end:
            raise OffsetGapError(f"{gap} (it ends at {end}): an older copy of it was put back. Archive it into another directory.")
        if offset >= low:
            return
        if not self._accept_gap:
            raise OffsetGapError(
                f"{gap} (it starts at {low}): messages were deleted before they were archived. Set {self._accept}=true to go on at {low}; "
                "the archive then has a gap."
            )
        self._next[partition] = self._skipped[partition] = low
