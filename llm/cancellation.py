"""Cancellation that is not lost on the way through a library."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cancellation_kept() -> Iterator[None]:
    """Raise ``CancelledError`` at the end of the block where the task was cancelled inside and the block went on as if it was not.

    redis-py waits with ``asyncio.wait_for``, which in Python 3.11 drops a cancellation that meets a result.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    yield
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
