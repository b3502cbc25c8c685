"""A log as it is: every message with its offset, append time and bytes, before anything is decoded. The archive reads this way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from sources.headers import Header

UNREADABLE_HEADER: Final = "onramp-unreadable"
"""Of a message that the log could not deliver. Its value says why."""


class RawRow(NamedTuple):
    """One message. ``time`` (ms) is its append time, None where it has none. A Kafka tombstone has no ``value``."""

    offset: int
    time: int | None
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()


class RawBatch(NamedTuple):
    """What a partition has after the last batch. ``at_end``: this was all of it.

    ``skipped_to``: messages before this offset are gone, and the operator accepted that. Offsets may have holes besides: of transactions.
    """

    partition: int
    rows: Sequence[RawRow]
    at_end: bool
    skipped_to: int | None = None


class RawLog(Protocol):
    """A log that is read from positions which the caller keeps. For one thread.

    ``name`` is that of the topic in messages.
    """

    name: str

    @property
    def id(self) -> str:
        """The id of this very log, empty where it is not known. Raises ``SourceError``."""

    def start(self, positions: Mapping[int, int]) -> list[int]:
        """Begin at these offsets, and partitions without one at their earliest message. Return all partitions. Raises ``SourceError``."""

    def poll(self) -> list[RawBatch]:
        """Return what is new, perhaps nothing. Blocks for half a second at most.

        Raises ``OffsetGapError`` where messages are gone before they were read, and the operator has not accepted that.
        """

    def check(self) -> None:
        """Return if everything that was polled is of the log of ``id``. Blocks until the log tells it.

        Raises ``OffsetGapError`` if another log took its place meanwhile, ``UnreachableError`` if it has not told it when the caller stops.
        """

    def look_again(self) -> None:
        """Let ``at_end`` of later batches mean an end that was seen after this call."""

    def commit(self, positions: Mapping[int, int]) -> None:
        """Tell the log that everything before these offsets is durable. Does not wait; only tools that show lag depend on it."""

    def close(self) -> None:
        """Close the log."""
