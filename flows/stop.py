"""The request to stop a run: from a signal, a failing part, or a test."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Ends a run in order, with a last snapshot. Every source polls it, and so do sinks that retry."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __call__(self) -> bool:
        """Return whether the run must stop."""
        return self._event.is_set()

    def set(self) -> None:
        """Request the stop. Call it from any thread or signal handler."""
        self._event.set()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM request the stop. A second signal of the same kind has its usual effect. Main thread only."""

        def request(number: int, _frame: FrameType | None) -> None:
            self.set()
            signal.signal(number, before[number])

        before = {number: signal.getsignal(number) for number in (int(signal.SIGINT), int(signal.SIGTERM))}
        for number in before:
            signal.signal(number, request)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """For the block: let SIGTERM do what Ctrl-C does, so that a command removes what it has not finished. Main thread only."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
