"""An archive's files in a directory. Locks are those of the system, which end with their process."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from sources.archive.store import APPEND, CHANGE
from sources.errors import ArchiveError, ArchiveFileError
from system.sync_path import sync_path
from system.try_lock import try_lock

_WAIT_S: Final = 60.0
"""How long to wait for another process that changes files: a rewrite of one file takes seconds."""
_PROBE_S: Final = 0.5
"""Longer than another process takes to look whether one appends."""
_PAUSE_S: Final = 0.02
_NOT_FOREIGN: Final = (".", APPEND, CHANGE, "lost+found")  # of a start that was killed, or present in a new volume


class Directory:
    """The directory at ``path``, which need not exist yet. Only its owner may read what is in it."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet."""
        self.path = path
        self.place = str(path)

    def prepare(self) -> None:
        """Create the directory."""
        with _errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def check_erasing(self) -> None:
        """Do nothing: what is removed is gone."""

    def foreign(self) -> str | None:
        """Return the name of a file that is of no archive."""
        with _errors(self.path):
            return min((entry.name for entry in self.path.iterdir() if not entry.name.startswith(_NOT_FOREIGN)), default=None)

    def names(self) -> Iterator[str]:
        """Yield the names of all files in directories ``day=…``."""
        for day in self._names():
            if day.startswith("day="):
                for partition in self._names(day):
                    if partition.startswith("partition-"):
                        yield from (f"{day}/{partition}/{name}" for name in self._names(day, partition))

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield the same names with their bytes."""
        for name in self.names():
            with suppress(FileNotFoundError), _errors(self.path, missing=True):
                yield name, (self.path / name).stat().st_size

    def _names(self, *parts: str) -> list[str]:
        """The names in a directory. One that may not be read is an error: its messages would be archived again, and not be forgotten."""
        with _errors(self.path), suppress(NotADirectoryError, FileNotFoundError):
            return os.listdir(self.path.joinpath(*parts))  # noqa: PTH208 -- names, not paths
        return []

    def where(self, name: str) -> str:
        """The path of a file."""
        return str(self.path / name)

    def read(self, name: str) -> bytes:
        """Return a file. Raises ``FileNotFoundError``, and ``ArchiveFileError`` for one that cannot be read."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            raise
        except NotADirectoryError as error:
            raise FileNotFoundError(*error.args, error.filename) from error
        except OSError as error:
            raise ArchiveFileError(
                f"The archive file {self.path / name} cannot be read ({error.strerror}); restore it from a copy."
            ) from error

    def create(self, name: str, data: bytes) -> None:
        """Write a file, and the directories above it."""
        path = self.path / name
        with _errors(self.path):
            missing = [each for each in (path.parent, path.parent.parent) if not each.exists()]
            path.parent.parent.mkdir(exist_ok=True, mode=0o700)
            path.parent.mkdir(exist_ok=True, mode=0o700)
            for directory in missing:
                sync_path(directory.parent)
        self.replace(name, data)

    def replace(self, name: str, data: bytes) -> None:
        """Write a file, in the place of one of this name."""
        path = self.path / name
        with _errors(self.path):
            # It contains data about people: it is new, so that it is nobody else's, and its owner's alone.
            descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).replace(path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
            sync_path(path.parent)

    def remove(self, name: str) -> None:
        """Remove a file. Only that of ``done`` must be gone for good; others would count for nothing."""
        with _errors(self.path):
            path = self.path / name
            path.unlink(missing_ok=True)
            if path.parent == self.path:
                sync_path(self.path)

    def tidy(self) -> None:
        """Remove files that were not written to their end."""
        with _errors(self.path):
            for path in (*self.path.glob(".*.tmp"), *self.path.glob("day=*/partition-*/.*.tmp")):
                path.unlink()

    @contextmanager
    def appending(self) -> Iterator[None]:
        """Be the one process that appends."""
        with _errors(self.path):
            descriptor = os.open(self.path / APPEND, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + _PROBE_S
            while not try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise ArchiveError(f"Another process archives into {self.path}; end it, or name another directory.")
                time.sleep(_PAUSE_S)
            yield
        finally:
            os.close(descriptor)

    def is_appended_to(self) -> bool:
        """Whether a process appends now."""
        try:
            descriptor = os.open(self.path / APPEND, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return not try_lock(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Be the one process that changes files."""
        with _errors(self.path):
            descriptor = os.open(self.path / CHANGE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + _WAIT_S
            while not try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise ArchiveError(
                        f"Another process has been changing the archive {self.path} for {_WAIT_S:.0f} s; end it if it hangs."
                    )
                time.sleep(_PAUSE_S)
            yield
        finally:
            os.close(descriptor)


@contextmanager
def _errors(path: Path, *, missing: bool = False) -> Iterator[None]:
    """Turn an error of the system into a sentence; with ``missing`` not that a file is missing."""
    try:
        yield
    except FileNotFoundError as error:
        if missing:
            raise
        raise ArchiveError(f"There is no archive in {path} ({error.filename} is missing); name the right directory.") from error
    except OSError as error:
        raise ArchiveError(
            f"The archive {path} cannot be used ({error.strerror or error}); check the directory, its rights and the disk. What was "
            "written is safe."
        ) from error
