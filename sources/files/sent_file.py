"""The file of messages that commands send to runs on files: one message a line, in the order in which they were sent.

A run on a file has no live log to write to. So what ``onramp dlq replay`` and ``onramp forget`` send is appended to this file in the data
directory, and the next run reads the new lines before it goes on. The snapshot has the number of lines read, so that a run that was killed
reads them again at the same place. A line has ``raw``, and ``key`` and ``headers`` if there are any, as in a dead letter. A line of blanks
is a message that was erased with the user it named.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from sources.files.appended_lines import append_lines, whole_lines
from state.records.dead_letter import Header, content_as_json, content_of


class Sent(NamedTuple):
    """One message to send. ``partition`` is that of the topic which it must go to; None where its key decides."""

    value: bytes
    key: bytes | None = None
    headers: tuple[Header, ...] = ()
    partition: int | None = None


def append_sent(path: Path, messages: Sequence[Sent]) -> None:
    """Append messages, durably. Raises ``InputError``."""
    append_lines(path, b"".join(msgspec.json.encode(content_as_json(each.value, each.key, each.headers)) + b"\n" for each in messages))


def read_sent(path: Path) -> list[Sent | None]:
    """Return all whole lines, None for one that holds no message; nothing where there is no file. Raises ``InputError``."""
    return [_message(line) for line in whole_lines(path)]


def _message(line: bytes) -> Sent | None:
    if line.isspace():
        return None
    try:
        return Sent(*content_of(msgspec.json.decode(line)))
    except (msgspec.DecodeError, ValueError):
        return None
