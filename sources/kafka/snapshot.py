"""The position of one partition in the recovery store."""

from __future__ import annotations

from typing import Final

from sources.errors import SourceError

VERSION: Final = 1

Snapshot = tuple[int, int, int, int, int] | tuple[int, int, int, int, int, str]
"""(version, next offset, log time, seq, log time of the last tick, id of the topic). Snapshots of older releases have no id."""


def load(snapshot: Snapshot) -> tuple[int, int, int, int, int, str]:
    """Return a snapshot with the id of the topic, empty in one of an older release. Raises ``SourceError`` for another format."""
    if snapshot[0] != VERSION:
        raise SourceError(
            f"The data directory was written by another version of Onramp (position format {snapshot[0]}, here {VERSION}); "
            "use that version, or a new data directory."
        )
    return snapshot if len(snapshot) == 6 else (*snapshot, "")
