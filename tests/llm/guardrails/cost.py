"""What a check costs on a hostile text, as a multiple of what it costs on an ordinary one: the same on a fast and on a slow machine."""

from __future__ import annotations

import time
from collections.abc import Callable


def cost(check: Callable[[str], object], text: str, *, times: int = 3) -> float:
    """CPU seconds of ``check(text)``; the least of a few, because other work on the machine only adds to it."""
    return min(_once(check, text) for _ in range(times))


def _once(check: Callable[[str], object], text: str) -> float:
    began = time.thread_time()
    check(text)
    return time.thread_time() - began


def repeated(piece: str, size: int) -> str:
    """``piece`` over and over, ``size`` characters."""
    return (piece * (size // len(piece) + 1))[:size]
