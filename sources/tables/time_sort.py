"""Sorts events by time in bounded memory: sorted parts go to temporary files and are merged."""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from types import TracebackType
from typing import IO, Final, Self

_MEMORY_BYTES: Final = 64 * 1024 * 1024
_MOST_PARTS: Final = 100
"""Files that are open at once. When there are so many, they are merged into one."""
_COST: Final = 150
"""Bytes of an event in memory beside its text."""
_HEAD: Final = struct.Struct("<qI")
_at = itemgetter(0)

_Timed = tuple[int, bytes]


class SortError(Exception):
    """A temporary file cannot be written. The text is one sentence for the user."""


class TimeSort:
    """Takes events in any order and gives them back by time; those of the same time in their first order. Raises ``SortError``."""

    def __init__(self, directory: Path | None = None, *, memory_bytes: int = _MEMORY_BYTES) -> None:
        """Temporary files, which nobody else sees, lie in ``directory``; None takes the system's."""
        self._directory = directory
        self._memory_bytes = memory_bytes
        self._held: list[_Timed] = []
        self._held_bytes = 0
        self._parts: list[IO[bytes]] = []
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    def add(self, at: int, line: bytes) -> None:
        """Take one event."""
        self._held.append((at, line))
        self._held_bytes += len(line) + _COST
        if self._held_bytes >= self._memory_bytes:
            self._spill()

    def in_order(self) -> Iterator[bytes]:
        """Yield the lines by time, once; nothing may be added afterwards."""
        self._held.sort(key=_at)
        for _, line in heapq.merge(*map(_read, self._parts), self._held, key=_at):
            yield line

    def _spill(self) -> None:
        self._held.sort(key=_at)
        if len(self._parts) == _MOST_PARTS:
            merged = self._write(heapq.merge(*map(_read, self._parts), key=_at))
            for part in self._parts:
                part.close()
            self._parts = [merged]
        self._parts.append(self._write(self._held))
        self._held, self._held_bytes = [], 0

    def _write(self, events: Iterable[_Timed]) -> IO[bytes]:
        try:
            part: IO[bytes] = TemporaryFile(dir=self._directory, prefix=".onramp-import-")  # noqa: SIM115 - the stack closes it
            self._open.callback(part.close)
            for at, line in events:
                part.write(_HEAD.pack(at, len(line)) + line)
            part.flush()
        except OSError as error:
            where = self._directory or gettempdir()
            raise SortError(
                f"The temporary files for sorting cannot be written to {where} ({error.strerror}); free space, or name another directory."
            ) from error
        return part


def _read(part: IO[bytes]) -> Iterator[_Timed]:
    part.seek(0)
    while head := part.read(_HEAD.size):
        at, length = _HEAD.unpack(head)
        yield at, part.read(length)
