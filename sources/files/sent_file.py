"""The file of messages that commands send to runs on files: one message a line, in the order in which they were sent.

A run on a file has no live log to write to. So what ``onramp dlq replay`` and ``onramp forget`` send is appended to this file in the data
directory, and the next run reads the new lines before it goes on. The snapshot has the number of lines read, so that a run that was killed
reads them again at the same place. A line has ``raw``, and ``key`` and ``headers`` if there are any, as in a dead letter. A line of blanks
is a message that was erased with the user it named.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from sources.errors import InputError
from state.records.dead_letter import Header, content_as_json, content_of


class Sent(NamedTuple):
    """One message to send. ``partition`` is that of the topic which it must go to; None where its key decides."""

    value: bytes
    key: bytes | None = None
    headers: tuple[Header, ...] = ()
    partition: int | None = None


def append_sent(path: Path, messages: Sequence[Sent]) -> None:
    """Append messages, durably. Raises ``InputError``."""
    lines = b"".join(msgspec.json.encode(content_as_json(each.value, each.key, each.headers)) + b"\n" for each in messages)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # by a power cut; the line is no message
            left = memoryview((b"\n" if torn else b"") + lines)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error


def read_sent(path: Path) -> list[Sent | None]:
    """Return all whole lines, None for one that holds no message; nothing where there is no file. Raises ``InputError``."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    return [_message(line) for line in lines]


def _message(line: bytes) -> Sent | None:
    if line.isspace():
        return None
    try:
        return Sent(*content_of(msgspec.json.decode(line)))
    except (msgspec.DecodeError, ValueError):
        return None
