"""Writes to a local log by group commit: whatever came in while one commit ran is the next one.

A commit costs an fsync, some milliseconds whatever its size, so that requests share commits under load and wait for no timer without it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from gateway.log import Record, UnavailableError

_LOG = logging.getLogger(__name__)

MOST_WAITING_BYTES: Final = 64 * 1_048_576
"""Bytes of records that may wait for a commit. More than a disk takes in the time that a request waits is refused at once."""
FAULT_SECONDS: Final = 5.0
"""For how long a fault is told. A balancer sends nothing to a gateway that is not ready, so that only trying again shows that it works."""
_CLOSE_SECONDS: Final = 10.0
_RECORD_COST: Final = 256  # bytes of a waiting record beside its content


class BlockingLog(Protocol):
    """A log on this machine, like ``EventLog``."""

    def append(self, records: Sequence[Record]) -> object:
        """Return when the records are on disk. Blocks. Raises an exception whose text is one sentence."""

    def close(self) -> None:
        """Close the log, after an append that still runs. Blocks."""


class _Request(NamedTuple):
    """What waits for a commit. ``deadline`` is in the time of the event loop."""

    records: Sequence[Record]
    stored: asyncio.Future[None]
    deadline: float


class GroupCommitLog:
    """Writes to ``log`` from one thread of its own. Use it on one event loop."""

    def __init__(
        self,
        log: BlockingLog,
        *,
        acknowledge_seconds: float,
        failures: tuple[type[Exception], ...],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start nothing yet. ``failures`` are what ``log.append`` raises where it could not store; anything else is a bug and is logged.

        A request waits for at most ``acknowledge_seconds``. ``clock`` is in seconds.
        """
        self._log = log
        self._acknowledge_seconds = acknowledge_seconds
        self._failures = failures
        self._waiting: list[_Request] = []
        self._writing: list[_Request] = []
        self._timer: asyncio.TimerHandle | None = None
        self._waiting_bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="event-log")
        self._clock = clock
        self._fault: str | None = None
        self._fault_seen = 0.0
        self._hangs = False  # a request has waited for the present commit in vain

    async def append(self, records: Sequence[Record]) -> None:
        """Return when the records are on disk. Raises ``UnavailableError`` if the log failed, is too slow, or too much waits for it."""
        if not records:
            return
        if self._waiting_bytes >= MOST_WAITING_BYTES:
            raise UnavailableError("the event log is slower than its input", retry_after=2)
        loop = asyncio.get_running_loop()
        request = _Request(records, loop.create_future(), loop.time() + self._acknowledge_seconds)
        self._waiting.append(request)
        self._waiting_bytes += _size(records)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        if self._timer is None:  # one for all requests: each of its own would cost as much as the queue
            self._timer = loop.call_at(request.deadline, self._give_up)
        await request.stored

    @property
    def waiting(self) -> int:
        """How many requests wait for the next commit."""
        return len(self._waiting)

    async def fault(self) -> str | None:
        """Return why events were not stored in the last ``FAULT_SECONDS``, or are not now because a commit does not end. Else None."""
        recent = self._hangs or self._clock() - self._fault_seen < FAULT_SECONDS
        return self._fault if recent else None

    async def close(self) -> None:
        """Wait for the commits under way, some seconds at most, and close the log."""
        if self._writer is not None:
            await asyncio.wait((self._writer,), timeout=_CLOSE_SECONDS)
        if self._timer is not None:
            self._timer.cancel()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(self._thread, self._log.close), _CLOSE_SECONDS)
        self._thread.shutdown(wait=False)

    def _give_up(self) -> None:
        """Answer the requests whose time is over; their commit may still succeed. Look again when that of the next one is."""
        self._timer = None
        loop = asyncio.get_running_loop()
        for request in (*self._writing, *self._waiting):  # the oldest come first
            if request.stored.done():
                continue
            if request.deadline > loop.time():
                self._timer = loop.call_at(request.deadline, self._give_up)
                return
            sentence = f"the event log did not acknowledge within {self._acknowledge_seconds:g} seconds"
            self._hangs = True
            self._note(sentence)
            request.stored.set_exception(UnavailableError(sentence, retry_after=2))

    def _note(self, sentence: str) -> None:
        if self._fault is None:
            _LOG.error("the event log stores nothing: %s", sentence)
        self._fault, self._fault_seen = sentence, self._clock()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            self._writing, self._waiting, self._waiting_bytes = self._waiting, [], 0
            records = [record for request in self._writing for record in request.records]
            error: UnavailableError | None = None
            try:
                await loop.run_in_executor(self._thread, self._log.append, records)
            except self._failures as failure:
                error = UnavailableError(str(failure), retry_after=5)
                self._note(str(failure))
            except Exception:  # noqa: BLE001 - a bug: its requests are answered too, and the next group is tried
                error = UnavailableError("the event log failed; its log has the reason", retry_after=5)
                _LOG.exception("the event log failed")
                self._note(str(error))
            self._hangs = False
            if error is None and self._fault is not None:
                _LOG.info("the event log stores events again")
                self._fault = None
            for request in self._writing:
                if request.stored.done():
                    continue
                if error is None:
                    request.stored.set_result(None)
                else:
                    request.stored.set_exception(UnavailableError(str(error), retry_after=error.retry_after))
        self._writing, self._writer = [], None


def _size(records: Sequence[Record]) -> int:
    return sum([len(record.value) for record in records]) + _RECORD_COST * len(records)
