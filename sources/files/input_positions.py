"""Records how far a data directory has read each file, and identifies the files again.

A file is identified by its base name, so that the data directory and its inputs can be moved, and by a hash of its beginning. A file that
has grown is read on from its old end; a file that has changed is rejected. The same content under another name is another input; its
events are then recognised as duplicates by their ids. No input is skipped because its content looks the same.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec

from sources.errors import InputError
from state.other_version import other_version

HEAD_BYTES = 64 * 1024
"""The largest part of the beginning that is hashed; less if the file was shorter when it was last opened."""

_VERSION = 1


class InputState(msgspec.Struct, gc=False):
    """How far one file was read. Positions are bytes of the unpacked text; ``size`` and ``head_bytes`` are bytes of the file itself."""

    position: int = 0
    """Start of the next line."""
    line: int = 0
    """Lines before ``position``, blank ones included."""
    unterminated_bytes: int = 0
    """Bytes after ``position`` that were read as the last line although no newline ended it. 0: none."""
    head: str = ""
    head_bytes: int = 0
    size: int = 0
    """Size of the file at ``seen_at``. The lines up to there use that time as their reference."""
    seen_at: int = 0


class InputPositions(msgspec.Struct, gc=False):
    """The snapshot of the source. ``log_time``, ``seq`` and ``ticked`` (the slot of the last tick) continue from file to file."""

    log_time: int
    seq: int = 0
    ticked: int = 0
    streams: int = 0
    """Number of pipes read so far. Each is an input of its own and cannot be resumed."""
    inputs: dict[str, InputState] = {}
    switches: int = 0
    """Switches of guidance that were taken from the data directory."""
    sent: int = 0
    """Messages of commands that were taken from the data directory."""
    version: int = _VERSION


def load(snapshot: Any, log_time: int) -> InputPositions:
    """Decode a snapshot; None gives empty positions that start at ``log_time``. Raises ``InputError`` for a snapshot of another version."""
    if snapshot is None:
        return InputPositions(log_time)
    if snapshot.get("version") != _VERSION:
        raise InputError(f"{other_version('the position in the input', snapshot.get('version', 0), _VERSION)}.")
    return msgspec.convert(snapshot, InputPositions)


def dump(positions: InputPositions) -> dict[str, Any]:
    """Return the positions as plain data: dicts, strings and integers."""
    plain: dict[str, Any] = msgspec.to_builtins(positions)
    return plain


def identify_file(positions: InputPositions, path: Path, descriptor: int, now: int) -> InputState:
    """Return the state of the file at ``path``. Raises ``InputError`` if another file was read under this name before."""
    size = os.fstat(descriptor).st_size
    state = positions.inputs.get(path.name)
    if state is None:
        state = positions.inputs[path.name] = InputState(size=size, seen_at=now)
    elif size < state.head_bytes or _head(descriptor, state.head_bytes) != state.head:
        raise InputError(
            f"{path} is not the file that this data directory has read as {path.name}: its beginning differs. To read it as a new input, "
            "give it another name. To start over, use a new data directory."
        )
    state.head_bytes = min(size, HEAD_BYTES)
    state.head = _head(descriptor, state.head_bytes)
    return state


def file_too_short(path: Path, position: int) -> InputError:
    """Return the error for a file that ends before the position that was reached."""
    return InputError(
        f"{path} is shorter than the {position} bytes that this data directory has already read of it. Restore the complete file. To "
        "read this one as a new input, give it another name or use a new data directory."
    )


def _head(descriptor: int, length: int) -> str:
    return hashlib.blake2b(os.pread(descriptor, length, 0), digest_size=16).hexdigest()
