"""What a source emits: raw messages, and ticks of log time between them. Time is data: no later step reads a clock."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

MAX_MESSAGE: Final = 1_048_576
"""Bytes of the largest message that is decoded."""


class Peeked(NamedTuple):
    """What a source that asks for the time of a message has seen of it: its event time, and the whole where it could be read."""

    at: int | None
    wire: Any = None


class Message(msgspec.Struct, frozen=True, gc=False):
    """One Kafka message or one line of a file, not yet decoded. Times are milliseconds since the Unix epoch, UTC.

    ``offset`` is the Kafka offset or the line number (the first line is 1); for a file, ``topic`` is its name. ``log_time`` never goes back
    within a partition. ``reference`` is the time against which ``decode`` checks timestamps that lie in the future. ``fault`` is the reason
    code and a sentence where the source could not read the message, or found that it has no value; ``decode`` then rejects it.
    """

    value: bytes
    key: bytes | None
    topic: str
    partition: int
    offset: int
    log_time: int
    reference: int
    seq: int
    traceparent: str = ""
    headers: tuple[tuple[str, bytes | None], ...] = ()
    fault: tuple[str, str] | None = None
    original: bytes | None = None
    """The bytes that Kafka delivered, where ``value`` was decoded from them with a schema."""
    peeked: Peeked | None = None
    """What the source has read of ``value``, so that ``decode`` need not read it again; only with a ``wire``."""


class Tick(msgspec.Struct, frozen=True, gc=False):
    """The log time of ``partition`` has reached ``at``: every timer with a deadline up to and including ``at`` is due.

    A batch with a tick holds nothing else. ``seq`` is odd, larger than that of every earlier message and smaller than that of the next.
    Ticks between the same two messages share it, so outputs of ticks are ordered by (seq, deadline, key).
    """

    partition: int
    at: int
    seq: int
