"""The names of archive files. They say which offsets a file holds, so they alone say what the archive has and where it goes on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

_NAME: Final = re.compile(r"day=(\d{4}-\d\d-\d\d)/partition-(\d+)/offsets-(\d{20})-(\d{20})\.parquet")

_OFFSETS: Final = 2**63
_PARTITIONS: Final = 2**31


class ArchiveFile(NamedTuple):
    """A file with the offsets ``first`` to ``last`` of a partition. ``day`` (UTC) is that of the log when they were appended."""

    day: str
    partition: int
    first: int
    last: int

    @property
    def name(self) -> str:
        """The path in the archive."""
        return f"day={self.day}/partition-{self.partition}/offsets-{self.first:020d}-{self.last:020d}.parquet"

    @property
    def next_offset(self) -> int:
        """The offset after the last one."""
        return self.last + 1


class Span(NamedTuple):
    """A file whose rows count from offset ``start`` on: the rows before that are in the previous file too."""

    file: ArchiveFile
    start: int


class Chain(NamedTuple):
    """The files of a partition in the order of their offsets.

    ``superseded``: files whose offsets other files have as well. ``gaps``: first and last offset of what no file has.
    """

    spans: tuple[Span, ...]
    superseded: tuple[ArchiveFile, ...]
    gaps: tuple[tuple[int, int], ...]


def parse(name: str) -> ArchiveFile | None:
    """Read the path of a file in the archive. None for other files, also for those that were not written to their end."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    file = ArchiveFile(found[1], int(found[2]), int(found[3]), int(found[4]))
    sound = file.first <= file.last < _OFFSETS and file.partition < _PARTITIONS and _is_day(file.day)
    return file if sound and file.name == name else None


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def resolve(files: Iterable[ArchiveFile]) -> Chain:
    """Return which files of one partition count, so that every offset counts once. The file with more offsets wins."""
    spans: list[Span] = []
    superseded: list[ArchiveFile] = []
    gaps: list[tuple[int, int]] = []
    for file in sorted(files, key=lambda each: (each.first, -each.last, each.day)):
        covered = spans[-1].file.last if spans else None
        if covered is not None and file.last <= covered:
            superseded.append(file)
            continue
        if covered is not None and file.first > covered + 1:
            gaps.append((covered + 1, file.first - 1))
        spans.append(Span(file, file.first if covered is None else max(file.first, covered + 1)))
    return Chain(tuple(spans), tuple(superseded), tuple(gaps))


def start_of(day: str) -> int:
    """The time at which a day begins (ms, UTC)."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)
