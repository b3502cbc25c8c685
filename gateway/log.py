"""The event log as the gateway sees it: records go in, and count as stored when the call returns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from sources.local_log.log import Record

__all__ = ["Log", "OversizeError", "Record", "UnavailableError"]


class UnavailableError(Exception):
    """The log did not acknowledge the records in time. They may be stored all the same: the sender repeats them, with the same ids.

    The text is one sentence for the operator. ``retry_after`` is in seconds.
    """

    def __init__(self, sentence: str, *, retry_after: int = 1) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class OversizeError(Exception):
    """Some records are larger than the log ever takes; all others of the call are stored. ``values`` are those of the large ones."""

    def __init__(self, values: Collection[bytes]) -> None:
        super().__init__(f"{len(values)} of the records are larger than the event log takes")
        self.values = frozenset(values)


class Log(Protocol):
    """Where events are stored durably."""

    async def append(self, records: Sequence[Record]) -> None:
        """Return when all records are stored. Raises ``UnavailableError``, when some may be stored, and ``OversizeError``."""

    async def fault(self) -> str | None:
        """Return why the log takes nothing now, as a sentence, or None. For the readiness check; it may be a few seconds old."""

    async def close(self) -> None:
        """Wait for what is under way, a few seconds at most, and release the log."""
