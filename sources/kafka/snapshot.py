"""The position of one partition in the recovery store."""

from __future__ import annotations

from typing import Final

from sources.errors import SourceError
from sources.log_time import TimeState

_VERSION: Final = 1

Snapshot = tuple[int, int, int, int, int] | tuple[int, int, int, int, int, str]
"""(version, next offset, log time, seq, log time of the last tick, id of the topic). Snapshots of older releases have no id."""


def dump(offset: int, time: TimeState, topic_id: str) -> Snapshot:
    """Return the snapshot of a partition that goes on at ``offset``."""
    return (_VERSION, offset, *time, topic_id)


def load(snapshot: Snapshot) -> tuple[int, TimeState, str]:
    """Return the offset, the time and the id of the topic, empty in a snapshot of an older release.

    Raises ``SourceError`` for another format.
    """
    if snapshot[0] != _VERSION:
        raise SourceError(
            f"The data directory was written by another version of Onramp (position format {snapshot[0]}, here {_VERSION}); "
            "use that version, or a new data directory."
        )
    _, offset, log_time, seq, ticked = snapshot[:5]
    return offset, TimeState(log_time, seq, ticked), snapshot[5] if len(snapshot) == 6 else ""
