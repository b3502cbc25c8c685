"""The audit log of a data directory: who did what to people's data and to guidance, and when. Entries are only appended.

One JSON object a line. ``at`` is the wall clock, ``by`` who did it, ``action`` what, ``outcome`` ``begun``, ``done`` or ``failed``; further
fields depend on the action. ``link`` is a digest of the line before, so that ``faults`` finds a line that was changed or removed.
An entry holds no content of users and no user id: users are named by their keyed hash (``state.ids.Keys.stream_key``).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from state.times import rfc3339

_TAIL: Final = 64 * 1024
"""Bytes at the end that are read first to find the last line; doubled until it is whole."""

Entry = dict[str, Any]


class AuditError(Exception):
    """The log cannot be written or read. The text is one sentence for the user."""


class AuditLog:
    """The log in the file ``path``, which only its owner may read. Several processes may append at once. ``now`` is in milliseconds."""

    def __init__(self, path: Path, now: Callable[[], int]) -> None:
        """Open nothing yet."""
        self._path = path
        self._now = now

    @contextmanager
    def of(self, action: str, *, by: str, **what: Any) -> Iterator[Entry]:
        """Record what the block does: as ``done``, or as ``failed`` if it raises. The block may add fields to the dict that it gets.

        Raises ``AuditError`` before the block if nothing can be recorded. A process that is killed in the block leaves no entry; if the
        block takes long, use ``begun``.
        """
        self._check()
        try:
            yield what
        except BaseException:
            self.append(action, by=by, outcome="failed", **what)
            raise
        self.append(action, by=by, **what)

    @contextmanager
    def begun(self, action: str, *, by: str, **what: Any) -> Iterator[Entry]:
        """Like ``of``, and record the beginning too, so that a block that is killed has left an entry. Raises ``AuditError``."""
        self.append(action, by=by, outcome="begun", **what)
        with self.of(action, by=by, **what) as entry:
            yield entry

    def append(self, action: str, *, by: str, outcome: str = "done", **what: Any) -> Entry:
        """Append one entry, durably, and return it. Raises ``AuditError``."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                size = os.fstat(descriptor).st_size
                last, torn = _last_line(descriptor, size)
                link = _link(last) if size else ""
                entry = {"at": rfc3339(self._now()), "by": by, "action": action, "outcome": outcome, **what, "link": link}
                left = memoryview((b"\n" if torn else b"") + json.dumps(entry).encode() + b"\n")
                while left:
                    left = left[os.write(descriptor, left) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise AuditError(
                f"The audit log {self._path} cannot be written ({error.strerror}); mend that, then repeat the command."
            ) from error
        return entry

    def entries(self) -> list[Entry]:
        """Return all entries, the oldest first; none where there is no file. Raises ``AuditError``."""
        found = (_entry(line) for line in self._lines())
        return [entry for entry in found if entry is not None]

    def faults(self) -> list[str]:
        """Return a sentence for each line that is no entry or does not follow from the line before. Raises ``AuditError``."""
        found: list[str] = []
        before: bytes | None = None
        for number, line in enumerate(self._lines(), 1):
            entry = _entry(line)
            if entry is None:
                found.append(f"line {number} is no entry")
            elif entry.get("link") != ("" if before is None else _link(before)):
                found.append(f"the line before line {number} was changed or taken out")
            before = line
        return found

    def _check(self) -> None:
        """Raise ``AuditError`` where no entry can be written."""
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600))
        except OSError as error:
            raise AuditError(
                f"The audit log {self._path} cannot be written ({error.strerror}), so nothing was done; "
                "check its rights and the disk, and repeat the command."
            ) from error

    def _lines(self) -> list[bytes]:
        try:
            return self._path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise AuditError(
                f"The audit log {self._path} cannot be read ({error.strerror}); check its rights and the disk, and repeat the command."
            ) from error


def _last_line(descriptor: int, size: int) -> tuple[bytes, bytes]:
    """The last line without its newline; and the same again if it has none, because a power cut tore it, else nothing.

    A torn line stays, and counts as one that is not an entry.
    """
    reach, tail = _TAIL, b""
    while len(tail) < size and tail.count(b"\n") < 2:
        tail, reach = os.pread(descriptor, reach, max(0, size - reach)), 2 * reach
    whole, _, torn = tail.rpartition(b"\n")
    return torn or whole.rpartition(b"\n")[2], torn


def _link(line: bytes) -> str:
    return hashlib.blake2b(line, digest_size=16).hexdigest()


def _entry(line: bytes) -> Entry | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "action" in entry else None
