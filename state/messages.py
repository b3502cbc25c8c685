"""What a source emits: raw messages, and the passing of time between them. Time is data: nothing downstream asks a clock."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True, gc=False):
    """One line or one Kafka message as it came in, not yet looked into. Times are milliseconds since the Unix epoch, UTC.

    ``topic``, ``partition`` and ``offset`` say where it stands, for people too: a Kafka offset, or the line of a file (the first is 1;
    ``topic`` is then the file's name). ``log_time`` never goes back within a partition. ``reference`` is the clock by which a far-future
    timestamp X
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


class Tick(msgspec.Struct, frozen=True, gc=False):
    """The log time of ``partition`` has reached ``at``: every timer with a deadline up to and including ``at`` is due.

    It stands alone in its batch. ``seq`` is odd: more than that of every message before it, less than that of the next. Ticks between the
    same two messages share it, so order what one tick caused by (seq, deadline, key).
    """

    partition: int
    at: int
    seq: int
