"""Measures something again and again in a thread of its own, so that whoever asks gets the last result and waits for nothing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_JOIN_SECONDS: Final = 1.0
_AGAIN_SECONDS: Final = 3.0
"""After a failure: whoever waits until the job is ready does not wait for long."""
OLD_SECONDS: Final = 60.0
"""Without a successful measurement for so long, the last one is too old to count."""
_STALE_SECONDS: Final = 30.0
"""Longer than between two tries, one of which fails: an alert on a figure must not end for that. Shorter than an alert takes to begin."""


class Sample(NamedTuple, Generic[T]):
    """``value`` is the newest result, None before the first. ``error`` is why the last try failed, empty where it did not.

    ``age`` is the number of seconds since the last try that succeeded, or since the start.
    """

    value: T | None
    error: str
    age: float

    @property
    def fresh(self) -> T | None:
        """The newest result, unless it is old: a figure that stands still would say that all is as it was."""
        return self.value if self.age <= _STALE_SECONDS else None

    @property
    def up(self) -> float:
        """1 if the last try succeeded; 0 if it failed or none has ended yet, or for so long that what is asked hangs."""
        return float(self.value is not None and not self.error and self.age <= OLD_SECONDS)


class Sampler(Generic[T]):
    """Calls ``measure`` once in ``every_s`` seconds. What it raises becomes the error of the sample; ``close`` is called at the end.

    ``failures``: how often it raised something.
    """

    def __init__(
        self,
        name: str,
        every_s: float,
        measure: Callable[[], T],
        close: Callable[[], None] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Measure nothing yet. ``name`` is that of the thread; ``clock`` is in seconds."""
        self.every_s = every_s
        self._measure = measure
        self._close = close
        self._clock = clock
        self._ended = threading.Event()
        self._value: T | None = None
        self._error = ""
        self.failures = 0
        self._at = clock()
        self._thread = threading.Thread(target=self._run, name=f"metrics-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Tell the thread to end. Does not wait."""
        self._ended.set()

    def join(self) -> None:
        """Wait for the thread, for a second at most: it may be in a request to a server that does not answer."""
        if self._thread.is_alive():
            self._thread.join(_JOIN_SECONDS)

    def once(self) -> None:
        """Measure now, in the calling thread."""
        try:
            value = self._measure()
        except Exception as error:  # noqa: BLE001 -- whatever is wrong with a store, the thread goes on, and the sample says it
            self._error = str(error) or type(error).__name__
            self.failures += 1
            _LOG.debug("a measurement failed", exc_info=True)
        else:
            self._value, self._error, self._at = value, "", self._clock()

    @property
    def sample(self) -> Sample[T]:
        """The newest result. From any thread."""
        return Sample(self._value, self._error, self._clock() - self._at)

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                self.once()
                self._ended.wait(min(self.every_s, _AGAIN_SECONDS) if self._error else self.every_s)
        finally:
            if self._close is not None:
                self._close()
