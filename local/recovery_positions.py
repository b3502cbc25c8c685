"""Reads from the recovery store which partitions were read and written, and up to where, with or without a running job.

It changes nothing.
"""

from __future__ import annotations

import io
import pickle
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

from typing_extensions import override

from local.recovery_fault import recovery_fault

INPUT: Final = "onboarding.messages"
"""The step that reads the input."""
SINKS: Final = ("onboarding.clickhouse", "onboarding.recommendations")
"""The steps that write to sinks with several partitions."""
_VERSION: Final = 1


class SavedPosition(NamedTuple):
    """The next offset of a partition and its log time (ms), as of the newest snapshot. ``log``: the id of the log, empty if not known."""

    offset: int
    log_time: int
    log: str = ""


class _Plain(pickle.Unpickler):
    """Loads the pickles that Bytewax writes. Those of a source are tuples of numbers and texts; anything else is refused."""

    @override
    def find_class(self, _module: str, _name: str, /) -> Any:
        raise pickle.UnpicklingError("it holds more than numbers and texts")


def saved_positions(state: Path, source: str) -> dict[int, SavedPosition]:
    """Return partition → position of ``source``: a topic, or ``event-log``. Empty where nothing was saved.

    The newest snapshot counts, which may be an epoch ahead of what is durable. Raises ``DataDirError`` for a store that cannot be read.
    """
    found: dict[int, tuple[int, SavedPosition]] = {}
    for key, epoch, change in _select(state, "SELECT state_key, snap_epoch, ser_change FROM snaps WHERE step_id = ?", INPUT):
        name, _, index = str(key).rpartition(":")
        position = _position(change) if name == source and change is not None else None
        if position is not None and epoch >= found.get(int(index), (-1, position))[0]:
            found[int(index)] = epoch, position
    return {partition: position for partition, (_, position) in found.items()}


def saved_partitions(state: Path, step: str, source: str = "") -> set[int]:
    """Return the numbers of all partitions of ``step`` that the store has, those without a position too. Of the input: those of ``source``.

    Bytewax refuses a resume where a partition of the store is not listed any more. Raises ``DataDirError`` for a store that cannot be read.
    """
    found = (str(key).rpartition(":") for (key,) in _select(state, "SELECT DISTINCT state_key FROM snaps WHERE step_id = ?", step))
    return {int(index) for name, _, index in found if name == source and index.isdecimal()}


def _select(state: Path, query: str, step: str) -> Iterator[tuple[Any, ...]]:
    try:
        for file in sorted(state.glob("part-*.sqlite3")):
            with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=1.0)) as part:
                yield from part.execute(query, [step])
    except (sqlite3.Error, OSError) as error:
        raise recovery_fault(state, "be read", error, "check the disk and its rights") from error


def _position(change: bytes) -> SavedPosition | None:
    """The position in a snapshot of a source; None for another version, and for a spare partition that does not exist yet."""
    loaded = plain_value(change)
    if not isinstance(loaded, tuple) or len(loaded) < 3 or loaded[0] != _VERSION:
        return None
    offset, log_time = loaded[1:3]
    log = loaded[5] if len(loaded) > 5 and isinstance(loaded[5], str) else ""
    return SavedPosition(offset, log_time, log) if isinstance(offset, int) and isinstance(log_time, int) else None


def plain_value(change: bytes) -> Any:
    """Return the numbers and texts of a snapshot; None if it holds anything else."""
    try:
        return _Plain(io.BytesIO(change)).load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, AttributeError):
        return None
