"""Waiting for data on a descriptor."""

from __future__ import annotations

import select


def has_data(descriptor: int, *, timeout_s: float) -> bool:
    """Whether reading would return at once: data, the end, or an error. Blocks for at most ``timeout_s`` seconds.

    ``poll``, because ``select`` takes no descriptor above 1,023, and a process may have more open.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))
