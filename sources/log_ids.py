"""Ids of logs: what tells a log from one of the same name that took its place."""

from __future__ import annotations


def is_another(known: str, now: str) -> bool:
    """Return whether the log ``now`` is another one than the log ``known``.

    An empty id is not known. An id may begin with its kind and a colon; ids of two kinds say nothing of each other.
    """
    same_kind = known.rpartition(":")[0] == now.rpartition(":")[0]
    return bool(known and now) and same_kind and known != now
