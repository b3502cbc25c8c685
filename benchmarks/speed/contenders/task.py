"""The task of a contender: one JSON object as its argument. Only the standard library is imported."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """``directory`` is an empty one for state. ``epoch`` is the seconds between two snapshots or commits, if it makes any.

    ``fold`` is ``small`` or, for those in this project's environment, ``own``. ``changelog`` asks Quix Streams for changelog topics.
    """

    brokers: str
    topic: str
    partitions: int
    events: int
    warm: int
    epoch: float
    directory: str
    recovery_partitions: int = 128
    fold: str = "small"
    changelog: bool = False


def task() -> Task:
    """Return the task of this process."""
    return Task(**json.loads(sys.argv[1]))
