"""The one directory in which a job keeps everything that it keeps on this machine.

.onramp/
├── FORMAT               version of this layout
├── job.lock             held by the one process that may write
├── run.json             what the job remembers between runs
├── secret.key           where ONRAMP_SECRET is not set and real services are (secret.check: which secret this directory goes with)
├── state/               Bytewax recovery
├── clickhouse/          embedded ClickHouse: one process at a time
├── valkey/              embedded Valkey, its address and password
├── spool/               rows on their way to ClickHouse
└── dead_letters.jsonl
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from local.file_lock import FileLock
from local.private_files import write_private

FORMAT: Final = 1
_MARK: Final = "onramp-data"
_HARMLESS: Final = (".gitignore", ".FORMAT.", "lost+found")  # what a crash in ``create`` leaves, and what a fresh volume holds
_LOCK_WAIT: Final = 0.5  # outlasts a look at the lock by another process, not a job; in seconds


class DataDirError(Exception):
    """The directory cannot be used as asked. The text is one sentence for the user."""


class DataDir:
    """The directory at ``path``, which exists and has the layout of this version. Get one from ``create`` or ``open``."""

    def __init__(self, path: Path) -> None:
        """For ``create`` and ``open``."""
        self.path = path
        self.state = path / "state"
        self.clickhouse = path / "clickhouse"
        self.valkey = path / "valkey"
        self.spool = path / "spool"
        self.dead_letters = path / "dead_letters.jsonl"
        self.secret_key = path / "secret.key"
        self.secret_check = path / "secret.check"
        self._run = path / "run.json"
        self._lock = FileLock(path / "job.lock")

    @classmethod
    def create(cls, path: Path) -> DataDir:
        """Make the directory, or use the one that is there. Raises ``DataDirError`` when it is not ours or not of this format."""
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)  # it holds what people did
            if not (path / "FORMAT").exists():
                foreign = [entry.name for entry in path.iterdir() if not entry.name.startswith(_HARMLESS)]
                if foreign:
                    example = min(foreign)
                    raise DataDirError(f"{path} holds other files ({example}); choose an empty or new directory with --data-dir.")
                write_private(path / ".gitignore", b"*\n")  # nobody commits people's data by accident
                write_private(path / "FORMAT", f"{_MARK} {FORMAT}\n".encode())
            data_dir = cls.open(path)
            for room in (data_dir.clickhouse, data_dir.valkey, data_dir.spool):
                room.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise DataDirError(f"The data directory {path} cannot be used: {error.strerror or error}.") from error
        return data_dir

    @classmethod
    def open(cls, path: Path) -> DataDir:
        """Use a directory that a job made. Raises ``DataDirError`` when there is none, or none of this format."""
        try:
            mark, _, version = (path / "FORMAT").read_text(errors="replace").strip().partition(" ")
        except (FileNotFoundError, NotADirectoryError):
            raise DataDirError(
                f"There is no data in {path} yet; run `onramp demo` or `onramp run` first, or name it with --data-dir."
            ) from None
        except OSError as error:
            raise DataDirError(f"The data directory {path} cannot be read: {error.strerror or error}.") from error
        if mark != _MARK or version != str(FORMAT):
            raise DataDirError(
                f"The data directory {path} has the format {version or mark or '(none)'}, this version of onramp reads {FORMAT}: "
                "use the version that wrote it, or start afresh with another --data-dir."
            )
        return cls(path)

    @contextmanager
    def lock(self, owner: str) -> Iterator[None]:
        """Hold the directory alone: to write, or to open the embedded ClickHouse. ``owner`` says who, as in ``onramp run``.

        Raises ``DataDirError`` when another process holds it, and names that process. A holder that was killed leaves no lock.
        """
        if not self._lock.acquire(f"{os.getpid()} {holder}", _LOCK_WAIT):
            raise DataDirError(f"{self.describe_owner()}; wait for it, stop it, or choose another directory with --data-dir.")
        try:
            yield
        finally:
            self._lock.release()

    def is_running(self) -> bool:
        """Whether a process (this one included) holds the directory: then nobody else may open the embedded ClickHouse in it."""
        return self._lock.is_held()

    def describe_owner(self) -> str:
        """Who holds the directory, as the beginning of a sentence."""
        pid, _, owner = self._lock.note().partition(" ")
        return f"The data directory {self.path} is in use by process {pid or '(just starting)'}{f' ({holder})' if holder else ''}"

    def bind_catalog(self, catalog_id: str) -> None:
        """Let the directory belong to a product's catalog, for good. Call it while holding the lock.

        Raises ``DataDirError`` where it belongs to another one: its people would be judged by a product that is not theirs.
        """
        content = self.read_run()
        owner = content.setdefault("catalog", catalog_id)
        if owner != catalog_id:
            raise DataDirError(
                f"The data directory {self.path} belongs to the catalog {owner}, this run uses {catalog_id}: name the right one with "
                "--catalog, or choose another directory with --data-dir."
            )
        self.write_run(content)

    def read_run(self) -> dict[str, Any]:
        """Return what the last ``write_run`` kept; empty before the first. Raises ``DataDirError`` when the file was damaged."""
        try:
            content = json.loads(self._run.read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise DataDirError(f"{self._run} is damaged ({error}); restore it, or start afresh with another --data-dir.") from error
        if not isinstance(content, dict):
            raise DataDirError(f"{self._run} is damaged (not an object); restore it, or start afresh with another --data-dir.")
        return content

    def write_run(self, content: dict[str, Any]) -> None:
        """Replace what the job remembers, in one piece; durable on return. Call it while holding the lock. Raises ``OSError``."""
        write_private(self._run, json.dumps(content, indent=2, sort_keys=True).encode() + b"\n")
