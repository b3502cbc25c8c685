"""What a data directory has read from files: how far, and how to recognise them again.

An input is known by its base name, so that a data directory and its inputs can be moved, and by a hash of its beginning: a grown file goes
on where it ended, a changed one is refused. The same content under another name is another input: its events are then recognised by their
ids. Nothing is ever skipped because it looks alike.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec

from sources.errors import InputError

HEAD_BYTES = 64 * 1024
"""How much of the beginning is hashed, at most: what was there when the file was last opened."""

_VERSION = 1


class InputState(msgspec.Struct, gc=False):
    """How far one file was read. Bytes are those of the text, unpacked; ``size`` and ``head_bytes`` those of the file as it lies there."""

    position: int = 0
    """Where the next line starts."""
    line: int = 0
    """Lines before ``position``, blank ones included."""
    unterminated_bytes: int = 0
    """Bytes after ``position`` that were taken as the last line, although no newline ended it. 0 = none."""
    head: str = ""
    head_bytes: int = 0
    size: int = 0
    """How long the file was at ``seen_at``: its lines up to there are judged by that clock."""
    seen_at: int = 0


class InputPositions(msgspec.Struct, gc=False):
    """Everything that outlives a run. ``log_time``, ``seq`` and ``ticked`` (the slot of the last tick) go on from file to file."""

    log_time: int
    seq: int = 0
    ticked: int = 0
    streams: int = 0
    """Pipes read so far; each is an input of its own and never resumed."""
    inputs: dict[str, InputState] = {}
    version: int = _VERSION


def load(snapshot: Any, log_time: int) -> InputPositions:
    """Read a snapshot back; None gives a fresh ledger that starts at ``log_time``. Raises ``InputError`` for one of a later version."""
    if snapshot is None:
        return InputPositions(log_time)
    if snapshot.get("version") != _VERSION:
        raise InputError(
            f"The data directory was written by another version of Onramp (input ledger {snapshot.get('version')}, here {_VERSION}); "
            "use that version, or a new data directory."
        )
    return msgspec.convert(snapshot, InputPositions)


def dump(positions: InputPositions) -> dict[str, Any]:
    """Return the ledger as plain data: dicts, strings and integers."""
    plain: dict[str, Any] = msgspec.to_builtins(positions)
    return plain


def identify_file(positions: InputPositions, path: Path, descriptor: int, now: int) -> InputState:
    """Return the state of the file at ``path``, new or known. Raises ``InputError`` if it is not the one that was read under this name."""
    size = os.fstat(descriptor).st_size
    state = positions.inputs.get(path.name)
    if state is None:
        state = positions.inputs[path.name] = InputState(size=size, seen_at=now)
    elif size < state.head_bytes or _head(descriptor, state.head_bytes) != state.head:
        raise InputError(
            f"{path} is not the file that this data directory has read as {path.name}: its beginning differs. To read it as a new input "
            "give it another name; to start over use a new data directory."
        )
    state.head_bytes = min(size, HEAD_BYTES)
    state.head = _head(descriptor, state.head_bytes)
    return state


def file_too_short(path: Path, position: int) -> InputError:
    """Return what to raise when a file ends before the position that was reached."""
    return InputError(
        f"{path} is shorter than the {position} bytes that this data directory has already read of it. Put the whole file back; or, to "
        "read this one as a new input, give it another name or use a new data directory."
    )


def _head(descriptor: int, length: int) -> str:
    return hashlib.blake2b(os.pread(descriptor, length, 0), digest_size=16).hexdigest()
