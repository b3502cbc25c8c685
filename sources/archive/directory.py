"""The directory of an archive.

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

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from sources.archive.names import ArchiveFile, Chain, parse, resolve
from sources.archive.rows import forgotten, frame_of, is_forgotten, read_frame, rows_of, without, write_frame
from sources.errors import ArchiveError
from sources.raw_log import RawRow
from sources.sync_path import sync_path
from state.records.subject import Subject, is_about, is_deletion

FORMAT: Final = 1
_WAIT_S: Final = 60.0
"""How long to wait for another process that changes files: a rewrite of one file takes seconds."""
_PROBE_S: Final = 0.5
"""Longer than another process takes to look whether one appends."""
_PAUSE_S: Final = 0.02
_SKEW_MS: Final = 60_000
"""How far the clocks of those who append may be ahead of the one who forgets."""
_APPEND: Final = "append.lock"
_CHANGE: Final = "change.lock"
_MARK: Final = "archive.json"
_WAITING: Final = "forgotten.json"
_NOT_FOREIGN: Final = (".", _APPEND, _CHANGE, "lost+found")  # of a start that was killed, or present in a new volume


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
        """Whether a message must be left out: about the person, from before, and not the deletion, which every reader must read."""
        before = row.time is None or row.time <= self.at + _SKEW_MS
        return before and concerns(Subject(self.tenant, self.ids), row)


def concerns(subject: Subject, row: RawRow, plain: Callable[[bytes], bytes] = bytes) -> bool:
    """Whether a message is about a person, and is not their deletion. ``plain`` decodes a value that is not JSON."""
    if row.value is None:
        return row.key is not None and is_about(b"", row.key, subject)
    value = plain(row.value)
    return is_about(value, row.key, subject) and not is_deletion(value)


class Archive:
    """The archive at ``path``. Any process may read; ``append`` is for one at a time. Raises ``ArchiveError``."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet."""
        self.path = path

    # ------------------------------------------------------------------------------------------------------------ of which log

    @property
    def exists(self) -> bool:
        """Whether there is an archive."""
        return (self.path / _MARK).is_file()

    @property
    def log(self) -> str:
        """The name of the log that is archived."""
        return self._mark().log

    @property
    def log_id(self) -> str:
        """The id of the log that is archived, empty for a topic."""
        return self._mark().id

    def bind(self, log: str, log_id: str) -> None:
        """Create the archive for this log, or check that it is of this log."""
        with _errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._changing():
            if not self.exists:
                foreign = sorted(entry.name for entry in self.path.iterdir() if not entry.name.startswith(_NOT_FOREIGN))
                if foreign:
                    raise ArchiveError(f"{self.path} contains other files ({foreign[0]}); name an empty or new directory for the archive.")
                self._replace(_MARK, msgspec.json.encode(_Mark(FORMAT, log, log_id)))
        found = self._mark()
        if found.log != log:
            raise ArchiveError(f"The archive {self.path} is of {found.log}, not of {log}; name another directory.")
        if found.id != log_id:
            raise ArchiveError(
                f"The archive {self.path} is of an event log that was removed and created again; archive the new one in another directory."
            )

    def _mark(self) -> _Mark:
        try:
            with _errors(self.path):
                found = msgspec.json.decode((self.path / _MARK).read_bytes(), type=_Mark)
        except msgspec.MsgspecError as error:
            raise ArchiveError(f"{self.path / _MARK} is damaged; restore it from a copy.") from error
        if found.format != FORMAT:
            raise ArchiveError(
                f"The archive {self.path} has the format {found.format}, this version of onramp reads {FORMAT}: use the version that wrote "
                "it."
            )
        return found

    # ----------------------------------------------------------------------------------------------------------------- reading

    def files(self) -> list[ArchiveFile]:
        """Return all files by their names, sorted."""
        names = (f"{day}/{partition}/{name}" for day, partition in self._directories() for name in self._names(day, partition))
        return sorted(file for name in names if (file := parse(name)) is not None)

    def _directories(self) -> Iterator[tuple[str, str]]:
        for day in self._names():
            if day.startswith("day="):
                yield from ((day, name) for name in self._names(day) if name.startswith("partition-"))

    def _names(self, *parts: str) -> list[str]:
        """The names in a directory. One that may not be read is an error: its messages would be archived again, and not be forgotten."""
        with _errors(self.path), suppress(NotADirectoryError, FileNotFoundError):
            return os.listdir(self.path.joinpath(*parts))  # noqa: PTH208 -- names, not paths
        return []

    def chains(self) -> dict[int, Chain]:
        """Return which files count, by partition."""
        by_partition: dict[int, list[ArchiveFile]] = {}
        for file in self.files():
            by_partition.setdefault(file.partition, []).append(file)
        return {partition: resolve(files) for partition, files in sorted(by_partition.items())}

    def read(self, file: ArchiveFile) -> pl.DataFrame:
        """Return the table of a file. Raises ``FileNotFoundError`` if ``compact`` has joined it with others meanwhile."""
        return read_frame(self.path / file.name)

    def size(self) -> tuple[int, int]:
        """Return how many files there are, and their bytes. One that is joined with others meanwhile does not count."""
        sizes = []
        with _errors(self.path):
            for file in self.files():
                with suppress(FileNotFoundError):
                    sizes.append((self.path / file.name).stat().st_size)
        return len(sizes), sum(sizes)

    def bytes_of(self, chain: Chain) -> int:
        """Return the size of the files that count."""
        with _errors(self.path):
            return sum((self.path / span.file.name).stat().st_size for span in chain.spans)

    # --------------------------------------------------------------------------------------------------------------- appending

    @contextmanager
    def appending(self) -> Iterator[None]:
        """Be the one process that appends, for the block. Remove what a crash has left before."""
        with _errors(self.path):
            descriptor = os.open(self.path / _APPEND, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + _PROBE_S
            while not _locked(descriptor):
                if time.monotonic() > deadline:
                    raise ArchiveError(f"Another process archives into {self.path}; end it, or name another directory.")
                time.sleep(_PAUSE_S)
            self.tidy()
            yield
        finally:
            os.close(descriptor)

    def is_appended_to(self) -> bool:
        """Whether a process archives now."""
        try:
            descriptor = os.open(self.path / _APPEND, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return not _locked(descriptor)
        finally:
            os.close(descriptor)

    def write(self, file: ArchiveFile, rows: Sequence[RawRow]) -> None:
        """Write a new file, without the content of people who wait to be forgotten. It is durable on return."""
        with self._changing():
            waiting = self.waiting()
            kept = [forgotten(row) if is_forgotten(row) or any(each.concerns(row) for each in waiting) else row for row in rows]
            self._put(file, frame_of(file.partition, kept))

    def tidy(self) -> None:
        """Remove files that were not written to their end, and those whose offsets another file has."""
        with self._changing():
            for path in (*self.path.glob(".*.tmp"), *self.path.glob("day=*/partition-*/.*.tmp")):
                path.unlink()
            for chain in self.chains().values():
                for file in chain.superseded:
                    (self.path / file.name).unlink()

    def compact(self, partition: int, before: str, most_bytes: int) -> int:
        """Join neighbouring files of each day before ``before`` while the sum is at most ``most_bytes``. Return how many were joined."""
        removed = 0
        with self._changing():
            chain = self.chains().get(partition, Chain((), (), ()))
            run: list[ArchiveFile] = []
            size = 0
            for span in (*chain.spans, None):
                file = None if span is None or span.file.day >= before or span.start != span.file.first else span.file
                own = 0 if file is None else (self.path / file.name).stat().st_size
                follows = bool(run) and file is not None and file.day == run[-1].day and file.first == run[-1].last + 1
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
        self._put(joined, pl.concat([self.read(file) for file in run]))
        for file in run:
            (self.path / file.name).unlink()
        return len(run)

    # -------------------------------------------------------------------------------------------------------------- forgetting

    def waiting(self) -> list[Forgotten]:
        """Return the people whom a process that appends must still leave out."""
        try:
            return msgspec.json.decode((self.path / _WAITING).read_bytes(), type=list[Forgotten])
        except FileNotFoundError:
            return []
        except msgspec.MsgspecError as error:
            raise ArchiveError(f"{self.path / _WAITING} is damaged; restore it, or forget the people of the last days again.") from error

    def wait_for(self, person: Forgotten) -> None:
        """Leave the person out of every file that is written from now on, until ``done``."""
        with self._changing():
            self._set_waiting([*(each for each in self.waiting() if each != person), person])

    def done(self, people: Sequence[Forgotten]) -> None:
        """These people's messages are all behind. Nothing more of their ids is kept."""
        with self._changing():
            self._set_waiting([each for each in self.waiting() if each not in people])

    def erase(self, maybe: pl.Expr, concerned: Callable[[RawRow], bool]) -> int:
        """Erase every message that is ``concerned``, of those with ``maybe``. Offsets stay. Return how many files were written again.

        A process may append and compact meanwhile: what it writes is looked at too.
        """
        self.tidy()
        seen: set[ArchiveFile] = set()
        written = 0
        while new := [file for file in self.files() if file not in seen]:
            for file in new:
                seen.add(file)
                with suppress(FileNotFoundError):
                    if not any(concerned(row) for row in rows_of(self.read(file).filter(maybe))):
                        continue
                    with self._changing():
                        if not (self.path / file.name).exists():
                            continue
                        changed = without(self.read(file), file.partition, concerned)
                        if changed is not None:
                            self._put(file, changed)
                            written += 1
        return written

    # ------------------------------------------------------------------------------------------------------------------- files

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with _errors(self.path):
            descriptor = os.open(self.path / _CHANGE, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                deadline = time.monotonic() + _WAIT_S
                while not _locked(descriptor):
                    if time.monotonic() > deadline:
                        raise ArchiveError(
                            f"Another process has been changing the archive {self.path} for {_WAIT_S:.0f} s; end it if it hangs."
                        )
                    time.sleep(_PAUSE_S)
                yield
            finally:
                os.close(descriptor)

    def _put(self, file: ArchiveFile, frame: pl.DataFrame) -> None:
        path = self.path / file.name
        missing = [each for each in (path.parent, path.parent.parent) if not each.exists()]
        path.parent.parent.mkdir(exist_ok=True, mode=0o700)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        for directory in missing:
            sync_path(directory.parent)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))  # it contains data about people
        write_frame(temporary, frame)
        sync_path(temporary)
        temporary.replace(path)
        sync_path(path.parent)

    def _set_waiting(self, people: list[Forgotten]) -> None:
        if people:
            self._replace(_WAITING, msgspec.json.encode(people))
        else:
            (self.path / _WAITING).unlink(missing_ok=True)
            sync_path(self.path)

    def _replace(self, name: str, data: bytes) -> None:
        temporary = self.path / f".{name}.{os.getpid()}.tmp"
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path / name)
        sync_path(self.path)


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ArchiveError(f"There is no archive in {path} ({error.filename} is missing); name the right directory.") from error
    except OSError as error:
        raise ArchiveError(
            f"The archive {path} cannot be used ({error.strerror or error}); check the directory, its rights and the disk. What was "
            "written is safe."
        ) from error


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
