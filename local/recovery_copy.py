"""Copies the recovery store while a job writes it: all of its files as they were at the end of one epoch.

Each file is an SQLite database of its own. A read transaction on every file holds them at nearly the same moment, and ``frozen_store``
makes sure that this moment belongs to one epoch for all of them. The job goes on meanwhile, because the files are in WAL mode. It must be
another process: the engine has an SQLite of its own, and two of them in one process cancel each other's locks.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

from local.data_dir import DataDirError
from local.durable_epoch import durable_epoch, is_whole, part_files
from local.recovery_fault import recovery_fault
from local.recovery_positions import plain_value
from local.recovery_store import remove_undurable_snapshots

_TRIES: Final = 200
_PAUSE: Final = 0.02  # seconds; an epoch ends within some milliseconds, and lasts far longer
_WAIT: Final = 10.0  # seconds for a file that is locked for a moment
_PAGES: Final = 1024  # copied between two reports of progress

_CLICKHOUSE: Final = "onboarding.clickhouse"
_DEAD_LETTERS: Final = "onboarding.dead_letters"


class FrozenStore:
    """The store at the end of an epoch. ``frozen_store`` makes one, which is valid inside its block only.

    ``epoch`` is the one at which a resume begins; None if no job has begun on the store.
    """

    def __init__(self, state: Path, parts: list[tuple[Path, sqlite3.Connection]], epoch: int | None) -> None:
        self._state = state
        self._parts = parts
        self.epoch = epoch

    def last_segments(self) -> dict[str, str]:
        """Return partition of the spool → its last segment in this epoch, as ``generation.number``; empty for one without."""
        return {key: text for key, text in self._values(_CLICKHOUSE).items() if isinstance(text, str)}

    def dead_letter_bytes(self) -> int | None:
        """Return the length of the dead-letter file at this epoch; None if the job has none."""
        length = self._values(_DEAD_LETTERS).get("file")
        return length if isinstance(length, int) else None

    def copy_to(self, directory: Path, on_bytes: Callable[[int], object]) -> None:
        """Copy all files into the new ``directory``, without what was not durable. ``on_bytes`` gets the size of each piece.

        Raises ``DataDirError``.
        """
        directory.mkdir(mode=0o700)
        with _errors(self._state):
            for file, part in self._parts:
                copy_database(part, directory / file.name, on_bytes)
        remove_undurable_snapshots(directory)

    def _values(self, step: str) -> dict[str, Any]:
        """The newest durable snapshot of each key of a step whose state consists of numbers and texts."""
        found: dict[str, tuple[int, Any]] = {}
        before = -1 if self.epoch is None else self.epoch
        with _errors(self._state):
            for _, part in self._parts:
                rows = part.execute(
                    "SELECT state_key, snap_epoch, ser_change FROM snaps WHERE step_id = ? AND snap_epoch < ?", [step, before]
                )
                for key, epoch, change in rows:
                    if epoch >= found.get(key, (-1, None))[0]:
                        found[key] = epoch, None if change is None else plain_value(change)
        return {key: value for key, (_, value) in found.items()}


@contextmanager
def frozen_store(state: Path) -> Iterator[FrozenStore]:
    """Hold all files of the store at the end of one epoch for the block. A job may run; it does not wait.

    An epoch is whole in every file if the durable epoch was the same before the first file was held and after the last one, and no file
    has removed what only a later epoch replaces. Raises ``DataDirError``, also for a store that is distributed over machines.
    """
    files = part_files(state)
    if not files:  # no job has begun
        yield FrozenStore(state, [], None)
        return
    with ExitStack() as stack:
        with _errors(state):
            parts = [(file, stack.enter_context(closing(open_to_read(file)))) for file in files]
            if not is_whole([part for _, part in parts]):
                raise DataDirError(
                    f"The recovery store {state} does not have all of its files on this machine; back up where all of them can be read."
                )
            epoch = _hold([part for _, part in parts], state)
        yield FrozenStore(state, parts, epoch)


def keys_by_step(state: Path) -> dict[str, int]:
    """Return step → for how many keys the store has a state. Raises ``DataDirError``."""
    found: Counter[str] = Counter()
    with _errors(state):
        for file in part_files(state):
            with closing(open_to_read(file)) as part:
                found.update(dict(part.execute("SELECT step_id, count(DISTINCT state_key) FROM snaps GROUP BY step_id")))
    return {step.rpartition(".")[2]: count for step, count in sorted(found.items())}


def open_to_read(file: Path) -> sqlite3.Connection:
    """Open an SQLite database that others write. It never changes the database, nor checkpoints it. Raises ``sqlite3.Error``."""
    return sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=_WAIT, isolation_level=None)


def copy_database(source: sqlite3.Connection, target: Path, on_bytes: Callable[[int], object]) -> None:
    """Copy a database to the new file ``target``, as of the open transaction of ``source``. Raises ``sqlite3.Error`` and ``OSError``."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    (size,) = source.execute("PRAGMA page_size").fetchone()
    done = 0

    def report(_status: int, remaining: int, total: int) -> None:
        nonlocal done
        on_bytes((total - remaining - done) * size)
        done = total - remaining

    with closing(sqlite3.connect(target)) as copy:
        source.backup(copy, pages=_PAGES, progress=report)


def _hold(parts: list[sqlite3.Connection], state: Path) -> int | None:
    for _attempt in range(_TRIES):
        before = durable_epoch(parts)
        for part in parts:
            part.execute("BEGIN")
            part.execute("SELECT count(*) FROM parts").fetchone()  # a transaction begins with its first read
        epoch = durable_epoch(parts)
        replaced = max((last for part in parts for (last,) in part.execute("SELECT commit_epoch FROM commits")), default=-1)
        if epoch == before and (epoch is None or replaced < epoch):
            return epoch
        for part in parts:
            part.execute("ROLLBACK")
        time.sleep(_PAUSE)
    raise DataDirError(f"The epochs of the job on {state} are too short for a copy between two of them; raise ONRAMP_EPOCH_SECONDS.")


@contextmanager
def _errors(state: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise recovery_fault(state, "be copied", error, "check the disk and its rights") from error
