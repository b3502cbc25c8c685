"""The directory ``rejected/`` of the spool: segments that ClickHouse refused or that nobody can read, until an operator moves them back.

For a segment it has::

    <segment>.ready            what was not inserted
    <segment>.error.txt        why ClickHouse refused it
    <segment>.unreadable.txt   or why it cannot be read: then nobody knows what people it deletes
    <segment>.deleted          people who were deleted since, where the file could not be read to take their rows out; a segment too
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sinks.clickhouse.errors import SegmentDamaged
from sinks.clickhouse.segment import Segment, read_segment, write_segment
from state.records.recommendation import Erase
from system.sync_path import sync_path

_STAGES = ("ready", "pending")
_REFUSED, _UNREADABLE, _DELETED = ".error.txt", ".unreadable.txt", ".deleted"


class Counts(NamedTuple):
    """Segments in the directory, and how many of them nobody can read."""

    all: int
    unreadable: int


class Rejected:
    """The directory, of the spool ``spool``. A deletion must reach it: an operator may move a file back at any time."""

    def __init__(self, spool: Path) -> None:
        """Open nothing yet."""
        self.directory = spool / "rejected"
        self._spool = spool

    def count(self) -> Counts:
        """Count the segments. Reads the directory. Raises ``OSError``."""
        names = {path.name for path in self.directory.iterdir()}
        stems = [name.removesuffix(".ready") for name in names if name.endswith(".ready")]
        return Counts(len(stems), sum(stem + _UNREADABLE in names for stem in stems))

    def add(self, path: Path, reason: str, *, unreadable: bool) -> Path:
        """Move a segment here, and return its new path. The reason is left out where the disk has no space for it."""
        for suffix in (_REFUSED, _UNREADABLE):
            self._beside(path.stem, suffix).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._beside(path.stem, _UNREADABLE if unreadable else _REFUSED).write_text(reason + "\n", encoding="utf-8")
        target = self.directory / path.name
        path.rename(target)
        sync_path(self.directory)
        sync_path(path.parent)
        return target

    def erase(self, erasures: Sequence[Erase]) -> None:
        """Take the rows of deleted people out of every segment here. Raises ``OSError`` (disk full): then call it again."""
        with self._locked():
            for left in self.directory.glob("*.tmp"):  # of a process that was killed while it wrote
                left.unlink(missing_ok=True)
            for path in sorted(self.directory.glob("*.ready")):
                self._erase_from(path, erasures)
            for path in self.directory.glob(f"*{_DELETED}"):
                if not any((at / f"{path.stem}.{stage}").exists() for at in (self.directory, self._spool) for stage in _STAGES):
                    self.clear([path.stem])  # an operator removed the segment, and nobody needs the ids any more

    def erase_from(self, path: Path, erasures: Sequence[Erase]) -> None:
        """Take the rows of deleted people out of a segment of the spool, which may have been here. Raises ``OSError`` like ``erase``."""
        with self._locked():
            self._erase_from(path, erasures)

    def replace(self, path: Path, segment: Segment) -> None:
        """Write a segment of the spool again, or remove it if it is empty. Atomic, and durable when it returns. Raises ``OSError``."""
        with self._locked():
            self._replace(path, segment)

    def read(self, path: Path) -> Segment:
        """Read a segment of the spool, which may have been here, without people deleted meanwhile. Raises like ``read_segment``."""
        segment, deleted = read_segment(path), self._deleted_since(path.stem)
        return segment.without(deleted) if deleted else segment

    def clear(self, stems: Iterable[str]) -> None:
        """Remove what is noted of segments that were delivered."""
        for stem in stems:
            for suffix in (_REFUSED, _UNREADABLE, _DELETED):
                self._beside(stem, suffix).unlink(missing_ok=True)

    def _erase_from(self, path: Path, erasures: Sequence[Erase]) -> None:
        try:
            segment = read_segment(path)
        except FileNotFoundError:
            return
        except SegmentDamaged:  # it may be mended, by an upgrade for one
            deleted = list(dict.fromkeys((*self._deleted_since(path.stem), *erasures)))
            self._replace(self._beside(path.stem, _DELETED), Segment({}, deleted, 0))
            return
        kept = segment.without(erasures)
        if kept.rows < segment.rows:
            self._replace(path, kept)

    def _replace(self, path: Path, segment: Segment) -> None:
        if segment.rows or segment.erasures:
            write_segment(path, segment, by=self._beside(path.stem, ".tmp"))
        else:
            path.unlink(missing_ok=True)
            self.clear([path.stem])
        sync_path(path.parent)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """For the block, let no other process write segments again, also no other thread: one would undo what the other did."""
        self.directory.mkdir(exist_ok=True)
        handle = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _deleted_since(self, stem: str) -> list[Erase]:
        try:
            return read_segment(self._beside(stem, _DELETED)).erasures
        except FileNotFoundError:
            return []

    def _beside(self, stem: str, suffix: str) -> Path:
        return self.directory / f"{stem}{suffix}"
