"""An archive of a log: files of messages under names that say which offsets they hold, in a directory or in S3.

::

    DIRECTORY/
    ├── archive.json     format, and the log that is archived: one log for each directory
    ├── append.lock      locked by the one process that appends
    ├── change.lock      locked while a file is written, replaced or removed
    ├── forgotten.json   people whom a process that appends must still leave out; absent where nobody waits
    └── day=2026-01-05/partition-3/offsets-00000000000000000000-00000000000000004711.parquet

A file gets its name when it is complete and durable, so a name is a promise: a crash leaves either the file or nothing. The names say where
the archive goes on, so no message is missing or twice, however often the process dies. Files are written once; only ``forget`` replaces the
contents of one, under the same name, and ``compact`` joins small files of a day that is over. After a crash of ``compact`` two files
may have the same offsets: the smaller one does not count, and is removed at the next start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from sources.archive.bucket import BucketPlace
from sources.archive.directory import Directory
from sources.archive.names import ArchiveFile, Chain, parse, resolve
from sources.archive.rows import decoded, encoded, forgotten, frame_of, is_forgotten, rows_of, without
from sources.archive.store import Store
from sources.errors import ArchiveError
from sources.log_ids import is_another
from sources.raw_log import RawRow
from sources.s3.location import Location
from state.duration import MINUTE
from state.records.subject import Subject, bare_deletion, is_about, must_go

FORMAT: Final = 1
SKEW_MS: Final = MINUTE
"""How far the clocks of those who append may be ahead of the one who forgets."""
_MARK: Final = "archive.json"
_WAITING: Final = "forgotten.json"


class _Mark(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    log: str
    id: str


class Forgotten(msgspec.Struct, frozen=True, array_like=True):
    """A person who was forgotten at ``at`` (ms) while the archive had not read the log to its end."""

    tenant: str
    ids: tuple[str, ...]
    at: int

    def concerns(self, row: RawRow) -> bool:
        """Whether a message must be left out: about the person, from before, and not a bare deletion, which every reader must read."""
        before = row.time is None or row.time <= self.at + SKEW_MS
        return before and concerns(Subject(self.tenant, self.ids), row)


def concerns(subject: Subject, row: RawRow, plain: Callable[[bytes], bytes] = bytes) -> bool:
    """Whether a message is about a person, and is no deletion without content. ``plain`` decodes a value that is not JSON."""
    if not subject.is_before(row.time):
        return False
    if row.value is None:
        return row.key is not None and is_about(b"", row.key, subject)
    return must_go(plain(row.value), row.key, row.headers, subject)


def left_of(row: RawRow, plain: Callable[[bytes], bytes] = bytes) -> RawRow:
    """What stands in place of a message about a person who is forgotten: a deletion without its content, as JSON, or nothing of it."""
    bare = None if row.value is None else bare_deletion(plain(row.value), row.headers)
    return forgotten(row) if bare is None else RawRow(row.offset, row.time, row.key, *bare)


class Archive:
    """The archive in a directory, or at a place in a bucket. Any process may read; ``append`` is for one at a time.

    Raises ``ArchiveError``, and ``ObjectStoreError`` for a bucket.
    """

    def __init__(self, place: Path | Location) -> None:
        """Open nothing yet."""
        self._store: Store = BucketPlace(place) if isinstance(place, Location) else Directory(place)
        self.directory = None if isinstance(place, Location) else place

    @property
    def place(self) -> str:
        """What messages call it: the path, or the address."""
        return self._store.place

    def where(self, file: ArchiveFile) -> str:
        """The path or address of a file."""
        return self._store.where(file.name)

    # ------------------------------------------------------------------------------------------------------------ of which log

    @property
    def exists(self) -> bool:
        """Whether there is an archive."""
        try:
            self._store.read(_MARK)
        except FileNotFoundError:
            return False
        return True

    @property
    def log(self) -> str:
        """The name of the log that is archived."""
        return self._mark().log

    @property
    def log_id(self) -> str:
        """The id of the log that is archived, empty where it is not known."""
        return self._mark().id

    def bind(self, log: str, log_id: str) -> None:
        """Create the archive for this log, or check that it is of this log. An empty id is not known, and the first known one is kept."""
        self._store.prepare()
        with self._store.changing():
            if not self.exists:
                if (foreign := self._store.foreign()) is not None:
                    raise ArchiveError(f"{self.place} contains other files ({foreign}); name an empty or new directory for the archive.")
                self._store.replace(_MARK, msgspec.json.encode(_Mark(FORMAT, log, log_id)))
        self.check_log(log, log_id)
        if log_id and not self.log_id:
            with self._store.changing():
                self._store.replace(_MARK, msgspec.json.encode(_Mark(FORMAT, log, log_id)))

    def check_log(self, log: str, log_id: str) -> None:
        """Check that the archive is of this log. An empty id is not known. Raises ``ArchiveError`` if it is of another."""
        found = self._mark()
        if found.log != log:
            raise ArchiveError(f"The archive {self.place} is of {found.log}, not of {log}; name another directory.")
        if is_another(found.id, log_id):
            raise ArchiveError(
                f"The archive {self.place} is of an event log or topic that was removed and created again; archive the new one in another "
                "directory."
            )

    def _mark(self) -> _Mark:
        try:
            found = msgspec.json.decode(self._store.read(_MARK), type=_Mark)
        except FileNotFoundError as error:
            raise ArchiveError(f"There is no archive in {self.place} ({error.filename} is missing); name the right directory.") from error
        except ValueError as error:  # a MsgspecError is one, and so is a text that is not UTF-8
            raise ArchiveError(f"{self._store.where(_MARK)} is damaged; restore it from a copy.") from error
        if found.format != FORMAT:
            raise ArchiveError(
                f"The archive {self.place} has the format {found.format}, this version of onramp reads {FORMAT}: use the version that "
                "wrote it."
            )
        return found

    # ----------------------------------------------------------------------------------------------------------------- reading

    def files(self) -> list[ArchiveFile]:
        """Return all files by their names, sorted."""
        return sorted(file for name in self._store.names() if (file := parse(name)) is not None)

    def _sizes(self) -> dict[ArchiveFile, int]:
        return {file: size for name, size in self._store.sizes() if (file := parse(name)) is not None}

    def chains(self) -> dict[int, Chain]:
        """Return which files count, by partition."""
        by_partition: dict[int, list[ArchiveFile]] = {}
        for file in self.files():
            by_partition.setdefault(file.partition, []).append(file)
        return {partition: resolve(files) for partition, files in sorted(by_partition.items())}

    def read(self, file: ArchiveFile) -> pl.DataFrame:
        """Return the table of a file. Raises ``FileNotFoundError`` if ``compact`` has joined it with others meanwhile."""
        return decoded(self._store.read(file.name), self._store.where(file.name))

    def size(self) -> tuple[int, int]:
        """Return how many files there are, and their bytes. One that is joined with others meanwhile does not count."""
        sizes = self._sizes()
        return len(sizes), sum(sizes.values())

    def bytes_of(self, chains: Iterable[Chain]) -> list[int]:
        """Return the size of the files that count, of each chain."""
        sizes = self._sizes()
        return [sum(sizes.get(span.file, 0) for span in chain.spans) for chain in chains]

    # --------------------------------------------------------------------------------------------------------------- appending

    @contextmanager
    def appending(self) -> Iterator[None]:
        """Be the one process that appends, for the block. Remove what a crash has left before."""
        with self._store.appending():
            self.tidy()
            yield

    def is_appended_to(self) -> bool:
        """Whether a process archives now, or may not have noticed yet that it does no more."""
        return self._store.is_appended_to()

    def write(self, file: ArchiveFile, rows: Sequence[RawRow]) -> None:
        """Write a new file, without the content of people who wait to be forgotten. It is durable on return."""
        with self._store.changing():
            waiting = self.waiting()
            marked = [forgotten(row) if is_forgotten(row) else row for row in rows]
            kept = [left_of(row) if any(each.concerns(row) for each in waiting) else row for row in marked]
            self._create(file, frame_of(file.partition, kept))

    def tidy(self) -> None:
        """Remove files that were not written to their end, and those whose offsets another file has."""
        with self._store.changing():
            self._store.tidy()
            for chain in self.chains().values():
                for file in chain.superseded:
                    self._store.remove(file.name)

    def compact(self, partition: int, before: str, most_bytes: int) -> int:
        """Join neighbouring files of each day before ``before`` while the sum is at most ``most_bytes``. Return how many were joined."""
        removed = 0
        with self._store.changing():
            sizes = self._sizes()
            chain = resolve(file for file in sizes if file.partition == partition)
            run: list[ArchiveFile] = []
            size = 0
            for span in (*chain.spans, None):
                file = None if span is None or span.file.day >= before or span.start != span.file.first else span.file
                own = 0 if file is None else sizes.get(file, 0)
                follows = bool(run) and file is not None and file.day == run[-1].day and file.first == run[-1].next_offset
                if not follows or size + own > most_bytes:
                    removed += self._join(run)
                    run, size = [], 0
                if file is not None:
                    run.append(file)
                    size += own
        return removed

    def _join(self, run: list[ArchiveFile]) -> int:
        if len(run) < 2:
            return 0
        joined = run[0]._replace(last=run[-1].last)
        self._create(joined, pl.concat([self.read(file) for file in run]))
        for file in run:
            self._store.remove(file.name)
        return len(run)

    # -------------------------------------------------------------------------------------------------------------- forgetting

    def waiting(self) -> list[Forgotten]:
        """Return the people whom a process that appends must still leave out."""
        try:
            return msgspec.json.decode(self._store.read(_WAITING), type=list[Forgotten])
        except FileNotFoundError:
            return []
        except ValueError as error:  # a MsgspecError is one, and so is a text that is not UTF-8
            raise ArchiveError(
                f"{self._store.where(_WAITING)} is damaged; restore it, or forget the people of the last days again."
            ) from error

    def wait_for(self, person: Forgotten) -> None:
        """Leave the person out of every file that is written from now on, until ``done``."""
        with self._store.changing():
            self._set_waiting([*(each for each in self.waiting() if each != person), person])

    def done(self, people: Sequence[Forgotten]) -> None:
        """These people's messages are all behind. Nothing more of their ids is kept."""
        with self._store.changing():
            self._set_waiting([each for each in self.waiting() if each not in people])

    def erase(self, maybe: pl.Expr, concerned: Callable[[RawRow], bool], left_of: Callable[[RawRow], RawRow] = forgotten) -> int:
        """Erase every message that is ``concerned``, of those with ``maybe``. Offsets stay. Return how many files were written again.

        ``left_of`` returns what stands in place of a message. A process may append and compact meanwhile: what it writes is looked at too.
        """
        self._store.check_erasing()
        self.tidy()
        seen: set[ArchiveFile] = set()
        written = 0
        while new := [file for file in self.files() if file not in seen]:
            for file in new:
                seen.add(file)
                with suppress(FileNotFoundError):
                    if not any(concerned(row) for row in rows_of(self.read(file).filter(maybe))):
                        continue
                    with self._store.changing():
                        changed = without(self.read(file), file.partition, concerned, left_of)
                        if changed is not None:
                            self._store.replace(file.name, encoded(changed))
                            written += 1
        return written

    # ------------------------------------------------------------------------------------------------------------------- files

    def _create(self, file: ArchiveFile, frame: pl.DataFrame) -> None:
        self._store.create(file.name, encoded(frame))

    def _set_waiting(self, people: list[Forgotten]) -> None:
        if people:
            self._store.replace(_WAITING, msgspec.json.encode(people))
        else:
            self._store.remove(_WAITING)
