"""Short windows over a person's recent events: when errors, clicks or visits become evidence of being stuck.

A window is a flat list of integers, oldest first, so that a person stays small and the garbage collector has nothing to traverse. Each
function adds one event, drops what left the window, and returns the count once it reaches the threshold. The window is then emptied, so
that the next signal needs new evidence.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

from state.catalog.model import Errors, Looping, RageClicks
from state.stuck.evidence import checksum

MOST: Final = 64
"""Entries a window holds at most: twice the highest threshold a catalog may set."""


def error(window: list[int], at: int, policy: Errors) -> int:
    """Add an error. Return the number of errors within the window if it reaches the threshold, else 0."""
    insort(window, at)
    _keep(window, window[-1] - policy.within, 1)
    if len(window) < policy.count:
        return 0
    counted = len(window)
    window.clear()
    return counted


def click(window: list[int], at: int, target: str, policy: RageClicks) -> int:
    """Add a click on ``target``. Return the number of clicks on it within the window if it reaches the threshold, else 0."""
    subject = checksum(target)
    newest = _insert(window, at, subject)
    _keep(window, newest - policy.within, 2)
    counted = _count(window, subject)
    if counted < policy.count:
        return 0
    _forget(window, subject)
    return counted


def visit(window: list[int], at: int, page: str, policy: Looping) -> int:
    """Add a visit to ``page``. Return the number of visits to it within the window if it reaches the threshold, else 0.

    Consecutive views of the same page count once: they are reloads.
    """
    subject = checksum(page)
    if window and at >= window[-2] and window[-1] == subject:
        return 0
    newest = _insert(window, at, subject)
    _keep(window, newest - policy.within, 2)
    counted = _count(window, subject)
    if counted < policy.visits:
        return 0
    window.clear()
    return counted


def _insert(window: list[int], at: int, subject: int) -> int:
    """Add a pair in order of time; return the newest time."""
    index = len(window)
    while index and window[index - 2] > at:
        index -= 2
    window[index:index] = (at, subject)
    return window[-2]


def _keep(window: list[int], oldest: int, width: int) -> None:
    if window[0] >= oldest and len(window) <= MOST * width:
        return
    gone = 0
    while gone < len(window) and window[gone] < oldest:
        gone += width
    gone = max(gone, len(window) - MOST * width)
    del window[:gone]


def _count(window: list[int], subject: int) -> int:
    return window[1::2].count(subject)


def _forget(window: list[int], subject: int) -> None:
    window[:] = [
        value for index in range(0, len(window), 2) if window[index + 1] != subject for value in (window[index], window[index + 1])
    ]
